"use strict";
/* A destination of our own beside those of the package: it does what an event tells it. */
let aborted = 0; // requests and waits that were told to stop

const say = (request, said) => request("https://a.test/said", { method: "post", json: said });

const deeds = {
  say: (request, { payload }) => say(request, payload.said),
  exit: () => process.exit(3),
  loop() {
    for (;;);
  },
  memory() {
    const all = [];
    for (;;) all.push(new Array(100_000).fill(0).map((_, at) => ({ at })));
  },
  later() {
    setTimeout(() => {
      throw new Error("of nobody's call");
    });
    return new Promise(() => {});
  },
  print(request) {
    console.log('{"done": {"id": 1}}');
    console.error("x".repeat(100_000));
    process.stdout.write("half a line");
    return say(request, "printed");
  },
  forget(request) {
    Promise.reject(new Error("that nobody awaits"));
    return say(request, "forgot");
  },
  wait: (_, { signal }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error(`stopped ${(aborted += 1)}`)));
    }),
  aborted: (request) => say(request, aborted),
  async length(request) {
    const { content } = await request("https://a.test/long");
    return say(request, content.length);
  },
  async rows(request) {
    const { data } = await request("https://a.test/long");
    await say(request, "looked up");
    return say(request, data.rows.length);
  },
  async often(request) {
    for (let count = 0; ; count += 1) {
      await request(`https://a.test/${count}`);
    }
  },
  async both(request, { payload }) {
    const asked = ["https://a.test/1", "https://a.test/2"].map((url) => request(url));
    await Promise.all(asked);
    return say(request, payload.said);
  },
  elsewhere: (request) => request("https://elsewhere.test/?of=u1"),
  swallow: (request) => request("https://a.test/said", { throwHttpErrors: false }),
  tags(request, { statsContext }) {
    statsContext.tags.push("one more");
    return say(request, statsContext.tags);
  },
  auth: (request, { auth }) => say(request, auth),
  async reach(request, { payload }) {
    return say(request, { it: await require("./reach").all(payload.said.it) });
  },
  invalid() {
    throw Object.assign(new Error("of Ada"), { status: 400, code: "BAD", name: "PayloadValidationError" });
  },
};

const fields = {
  deed: { label: "Deed", description: "", type: "string", required: true },
  said: { label: "Said", description: "", type: "object" },
};

const perform = (request, data) => deeds[data.payload.deed](request, data);
const action = { title: "Do", description: "", fields, perform };

module.exports.default = {
  name: "Fake of ours",
  slug: "fake",
  mode: "cloud",
  authentication: {
    scheme: "custom",
    fields: { key: { label: "Key", description: "", type: "password", required: true } },
    async refreshAccessToken(request, { auth }) {
      const { data } = await request("https://a.test/token", { method: "post", json: auth });
      return { accessToken: data.access, refreshToken: data.refresh };
    },
  },
  extendRequest: ({ auth }) => ({ headers: { authorization: `Bearer ${auth?.accessToken}` } }),
  actions: { act: action, again: { ...action, title: "Do again" } },
};
