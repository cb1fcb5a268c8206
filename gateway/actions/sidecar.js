"use strict";
/* One action destination of the npm package, run for the gateway: frames.py speaks with it.

   node ... sidecar.js FD INSTALLATION

   FD is one end of a socket pair; on it each line is one JSON frame. The destination decides
   what to say; the gateway sends it: whatever it fetches leaves as a `fetch` frame, and the
   answer comes back as one. It has no network of its own.

   in   init {directory, settings, actions: [{slug, mapping}], aliases}
        call {id, action, event | events, auth, transaction}
        refresh {id, auth}, test {id, auth}
        answer {id, status, reason, headers, body | body64} or {id, error}
        cancel {id}, ping
   out  ready {package, node, pid} or refused {reason}
        fetch {id, call, method, url, headers, body | body64}
        done {id, nodes, transaction, tokens} or {id, error: {...}, payload}
        pong {rss, heap, noise}
*/
const { AsyncLocalStorage } = require("node:async_hooks");
const { isUtf8 } = require("node:buffer");
const { createRequire, syncBuiltinESMExports } = require("node:module");
const net = require("node:net");
const path = require("node:path");

const [FD, INSTALLATION] = process.argv.slice(2);
const REQUEST_BYTES_MAX = 16 * 1024 * 1024;
const FRAME_BYTES_MAX = 32 * 1024 * 1024;
const MESSAGE_CHARS_MAX = 500;
const PAYLOAD_CHARS_MAX = 16 * 1024;

const gateway = new net.Socket({ fd: Number(FD) });
const underWay = new AsyncLocalStorage(); // whose call a request belongs to
const calls = new Map(); // id -> {id, controller, open: its fetches}
const fetches = new Map(); // id -> what waits for its answer
let unsaid = ""; // frames of this turn of the loop
let lastFetch = 0;
let noise = 0; // rejections that nobody awaited
let destination, settings, actions, aliases, core, nodeFetch;

function say(frame) {
  if (unsaid === "") setImmediate(write); // frames of one turn of the loop leave as one text
  unsaid += JSON.stringify(frame) + "\n";
}

function write() {
  gateway.write(unsaid);
  unsaid = "";
}

/* Everything that could reach out, but for the gateway's socket, throws. */
function close() {
  const shut = (object, label, names) => {
    for (const name of names) {
      if (typeof object[name] !== "function") continue;
      object[name] = function () {
        throw new Error(`${label}: only the gateway sends requests`);
      };
    }
  };
  const dns = require("node:dns");
  const dgram = require("node:dgram");
  shut(net, "net", ["_createServerHandle"]);
  shut(net.Socket.prototype, "net", ["connect"]);
  shut(net.Server.prototype, "net", ["listen"]);
  shut(dgram, "dgram", ["createSocket", "_createSocketHandle"]);
  shut(dgram.Socket.prototype, "dgram", ["bind", "connect", "send", "sendto"]);
  for (const each of [dns, dns.promises, dns.Resolver.prototype, dns.promises.Resolver.prototype]) {
    shut(each, "dns", everyName(each).filter((name) => /^(lookup|resolve|reverse)/.test(name)));
  }
  shut(globalThis, "fetch", ["fetch", "WebSocket", "EventSource"]);
  shut(process, "process", ["kill", "_kill", "_debugProcess", "_debugEnd"]); // the gateway's, too
  syncBuiltinESMExports(); // `import` sees the same
}

function everyName(object) {
  const above = Object.getPrototypeOf(object);
  const inherited = above === null || above === Object.prototype ? [] : everyName(above);
  return [...Object.getOwnPropertyNames(object), ...inherited];
}

/* In the place of node-fetch, where all requests of the package end. */
async function fetchByGateway(url, options) {
  const request = new nodeFetch.Request(url, options);
  const body = await request.buffer();
  if (body.length > REQUEST_BYTES_MAX) {
    throw new nodeFetch.FetchError("the request is too large", "request-too-large");
  }
  const headers = { accept: "*/*", ...Object.fromEntries(request.headers) };
  const call = underWay.getStore();
  if (!calls.has(call?.id)) throw new nodeFetch.FetchError("nobody's request", "system");
  const { signal } = request;
  return new Promise((resolve, reject) => {
    const id = ++lastFetch;
    const aborted = () => {
      call.open.delete(id);
      fetches.delete(id);
      const error = new Error("The user aborted a request.");
      error.name = "AbortError";
      reject(error);
    };
    if (signal?.aborted) return aborted();
    signal?.addEventListener("abort", aborted, { once: true });
    // A signal made of others is kept, with all it knows, for as long as somebody listens.
    const forget = () => {
      call.open.delete(id);
      signal?.removeEventListener("abort", aborted);
    };
    call.open.add(id);
    fetches.set(id, { url: request.url, resolve, reject, forget });
    say({ fetch: { id, call: call.id, method: request.method, url: request.url, headers, ...bytes(body) } });
  });
}

function bytes(body) {
  if (body.length === 0) return {};
  return isUtf8(body) ? { body: body.toString() } : { body64: body.toString("base64") };
}

function answered(frame) {
  const waiting = fetches.get(frame.id);
  if (waiting === undefined) return;
  fetches.delete(frame.id);
  waiting.forget();
  if (frame.error !== undefined) {
    const error = { code: frame.error, message: frame.error };
    waiting.reject(new nodeFetch.FetchError(`no answer: ${frame.error}`, "system", error));
    return;
  }
  const body =
    frame.body64 === undefined ? frame.body : Buffer.from(frame.body64, "base64");
  const { status, reason: statusText, headers } = frame;
  waiting.resolve(new nodeFetch.Response(body, { status, statusText, headers, url: waiting.url }));
}

/* A destination of the package, with what it would do for itself taken away. */
function load(frame) {
  const require = createRequire(path.join(INSTALLATION, "package.json"));
  const inPackage = createRequire(require.resolve("@segment/action-destinations"));
  const core_ = inPackage.resolve("@segment/actions-core");
  const inCore = createRequire(core_);
  const fetching = createRequire(inCore.resolve("cross-fetch")).resolve("node-fetch");
  nodeFetch = { ...inCore(fetching) };
  const { Headers, Request, Response, FetchError, AbortError } = nodeFetch;
  const replaced = { Headers, Request, Response, FetchError, AbortError };
  require.cache[fetching].exports = Object.assign(fetchByGateway, replaced, {
    default: fetchByGateway,
    isRedirect: nodeFetch.isRedirect,
  });
  core = inPackage("@segment/actions-core");
  const root = path.dirname(require.resolve("@segment/action-destinations/package.json"));
  const loaded = require(path.join(root, "dist", "destinations", frame.directory));
  const definition = loaded.default ?? loaded;
  // A name with blanks is no URI, and schemas are kept by name.
  destination = new core.Destination({ ...definition, name: "d-" + frame.directory });
  destination.responses = { push() {} }; // it would keep every response for ever
  ({ settings, actions, aliases } = frame);
  destination.validateSettings(settings);
  for (const { slug } of actions) {
    if (!(slug in destination.actions)) throw new Error(`no action ${slug}`);
  }
  const { version } = require("@segment/action-destinations/package.json");
  say({ ready: { package: version, node: process.version, pid: process.pid } });
}

/* Reserved traits under their other spelling, too: to be read by name, not to be listed. */
function spellBoth(event) {
  for (const traits of [event.traits, event.context?.traits]) {
    if (traits === null || typeof traits !== "object") continue;
    alias(traits, aliases.traits);
    for (const [name, pairs] of Object.entries(aliases.inside)) {
      const inner = traits[name];
      if (inner !== null && typeof inner === "object" && !Array.isArray(inner)) alias(inner, pairs);
    }
  }
  return event;
}

function alias(object, pairs) {
  for (const [name, other] of pairs) {
    if (Object.hasOwn(object, name) && !Object.hasOwn(object, other)) {
      const value = object[name];
      Object.defineProperty(object, other, { value, configurable: true, writable: true });
    }
  }
}

const nothing = () => undefined;
const logger = { level: "error", name: "gateway" };
for (const name of ["debug", "info", "warn", "error", "crit", "log", "withTags"]) {
  logger[name] = nothing;
}
const statsClient = { observe: nothing, _name: nothing, _tags: nothing };
for (const name of ["incr", "set", "histogram", "gauge", "timing", "distribution"]) {
  statsClient[name] = nothing;
}

const states = new Map(); // what an action asked to be kept until a time
const stateContext = {
  getRequestContext(key) {
    const kept = states.get(key);
    return kept === undefined || kept.until < Date.now() ? undefined : kept.value;
  },
  setResponseContext(key, value, ttl) {
    if (states.size > 10_000) states.clear();
    const seconds = ttl.second ?? (ttl.minute ?? 0) * 60 + (ttl.hour ?? 0) * 3_600 + (ttl.day ?? 0) * 86_400;
    states.set(key, { value, until: Date.now() + seconds * 1_000 });
  },
};

/* All that an action is given; new for each call, as the package writes into some of it. */
function given(frame, signal) {
  const transaction = { ...frame.transaction };
  const { mapping } = actions[frame.action];
  return {
    mapping,
    settings,
    auth: frame.auth,
    features: {},
    statsContext: { statsClient, tags: [] },
    logger,
    transactionContext: {
      transaction,
      setTransaction(key, value) {
        transaction[key] = value;
      },
    },
    stateContext,
    subscriptionMetadata: {},
    signal,
  };
}

async function act(frame, signal) {
  const { slug } = actions[frame.action];
  const data = given(frame, signal);
  const { transaction } = data.transactionContext;
  if (frame.events !== undefined) {
    const events = frame.events.map(spellBoth);
    const nodes = await destination.executeBatch(slug, { ...data, events });
    return { nodes: Array.from(nodes, node), transaction };
  }
  const results = await destination.executeAction(slug, { ...data, event: spellBoth(frame.event) });
  const value = results[results.length - 1]?.data;
  if (value instanceof core.MultiStatusResponse) {
    return { nodes: value.getAllResponses().map((each) => node(each.value())), transaction };
  }
  return { transaction };
}

function node(said) {
  if (said === null || said === undefined) return {};
  const { status, errortype, errormessage } = said;
  const message = errormessage === undefined ? undefined : cut(errormessage);
  return { status, errortype, errormessage: message };
}

async function refresh(frame) {
  const data = { settings, auth: frame.auth };
  const options = destination.extendRequest?.({ ...data, payload: undefined }) ?? {};
  const request = core.createRequestClient(options);
  const tokens = await destination.authentication.refreshAccessToken(request, data);
  return { tokens };
}

async function test(frame) {
  const options = destination.extendRequest?.({ settings, auth: frame.auth, payload: undefined }) ?? {};
  const request = core.createRequestClient(options);
  await destination.authentication?.testAuthentication?.(request, { settings, auth: frame.auth });
  return {};
}

function cut(text) {
  return String(text).slice(0, MESSAGE_CHARS_MAX);
}

function failure(error) {
  if (error === null || typeof error !== "object") return { class: typeof error, message: cut(error) };
  const { name, code, status, response } = error;
  return {
    class: error.constructor?.name ?? "Error",
    name,
    code: code === undefined ? undefined : cut(code),
    status: Number.isInteger(status) ? status : undefined,
    answered: Number.isInteger(response?.status) ? response.status : undefined,
    message: cut(error.message ?? ""),
  };
}

/* What the mapping made of the event, for the dead letter of one that was never sent. */
function payload(frame) {
  if (frame.event === undefined || frame.action === undefined) return undefined;
  try {
    const made = core.transform(actions[frame.action].mapping, frame.event);
    return JSON.stringify(made).length <= PAYLOAD_CHARS_MAX ? made : undefined;
  } catch {
    return undefined;
  }
}

async function take(frame, work) {
  const { id } = frame;
  const controller = new AbortController();
  const call = { id, controller, open: new Set() };
  calls.set(id, call);
  try {
    const said = await underWay.run(call, () => work(frame, controller.signal));
    say({ done: { id, ...said } });
  } catch (error) {
    say({ done: { id, error: failure(error), payload: payload(frame) } });
  } finally {
    calls.delete(id);
    if (call.open.size > 0) controller.abort(); // it did not wait for its own requests
  }
}

const heard = {
  init(frame) {
    try {
      load(frame);
    } catch (error) {
      say({ refused: { reason: cut(`${error?.name}: ${error?.message}`) } });
    }
  },
  call: (frame) => take(frame, act),
  refresh: (frame) => take(frame, refresh),
  test: (frame) => take(frame, test),
  answer: answered,
  cancel: ({ id }) => calls.get(id)?.controller.abort(),
  ping() {
    const { rss, heapUsed } = process.memoryUsage();
    say({ pong: { rss, heap: heapUsed, noise } });
  },
};

let pieces = [];
let waiting = 0;
gateway.on("data", (data) => {
  let from = 0;
  for (let at = data.indexOf(10); at !== -1; at = data.indexOf(10, from)) {
    pieces.push(data.subarray(from, at));
    const line = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
    pieces = [];
    waiting = 0;
    from = at + 1;
    const [[name, frame]] = Object.entries(JSON.parse(line.toString()));
    heard[name]?.(frame);
  }
  if (from < data.length) {
    pieces.push(data.subarray(from));
    waiting += data.length - from;
    if (waiting > FRAME_BYTES_MAX) process.exit(70);
  }
});
gateway.on("end", () => process.exit(0)); // the gateway went: nobody hears the rest
gateway.on("error", () => process.exit(0));
process.on("unhandledRejection", () => {
  noise += 1; // of a promise that its author forgot; its call goes on without it
});

close();
