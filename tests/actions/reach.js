"use strict";
/* Every way out of a process that we know of; each must fail at once. */
const outcome = async (way) => {
  try {
    const found = await way();
    return `reached: ${String(found).slice(0, 80)}`;
  } catch (error) {
    return `${error.code ?? error.name}: ${error.message}`.slice(0, 200);
  }
};

const connected = (socket) =>
  new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("connect", () => resolve("connected"));
    socket.on("listening", () => resolve("listening"));
  });

const answered = (request) =>
  new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", (response) => resolve(response.statusCode));
    request.end();
  });

const ways = {
  net: ({ port }) => connected(require("net").connect(port, "127.0.0.1")),
  "net.Socket": ({ port }) => connected(new (require("net").Socket)().connect(port, "127.0.0.1")),
  "net of import": async ({ port }) => connected((await import("net")).connect(port, "127.0.0.1")),
  "net by path": ({ socket }) => connected(require("net").connect(socket)),
  "net.Server": () => connected(require("net").createServer().listen(0)),
  tls: ({ port }) => connected(require("tls").connect(port, "127.0.0.1")),
  http: ({ url }) => answered(require("http").request(url)),
  https: ({ url }) => answered(require("https").request(url.replace("http:", "https:"))),
  http2: ({ url }) => connected(require("http2").connect(url)),
  fetch: async ({ url }) => (await fetch(url)).status,
  WebSocket: ({ url }) =>
    new Promise((resolve, reject) => {
      const { WebSocket } = globalThis;
      if (WebSocket === undefined) throw new Error("there is none");
      const socket = new WebSocket(url.replace("http:", "ws:"));
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("it did not open"));
    }),
  undici: async ({ url }) => (await require("undici").request(url)).statusCode,
  "dns.lookup": () => require("util").promisify(require("dns").lookup)("localhost"),
  "dns.promises": () => require("dns").promises.lookup("localhost"),
  "dns of import": async () => require("util").promisify((await import("dns")).lookup)("localhost"),
  "dns/promises of import": async () => (await import("dns/promises")).lookup("localhost"),
  "dns.Resolver": ({ port }) => {
    const resolver = new (require("dns").Resolver)({ timeout: 200, tries: 1 });
    resolver.setServers([`127.0.0.1:${port}`]);
    return require("util").promisify(resolver.resolve4.bind(resolver))("a.test");
  },
  "dns.promises.Resolver": ({ port }) => {
    const resolver = new (require("dns").promises.Resolver)({ timeout: 200, tries: 1 });
    resolver.setServers([`127.0.0.1:${port}`]);
    return resolver.resolve4("a.test");
  },
  "dgram.createSocket": ({ port }) => datagram(require("dgram").createSocket("udp4"), port),
  "dgram.Socket": ({ port }) => datagram(new (require("dgram").Socket)("udp4"), port),
  "dgram.Socket without dns": ({ port }) => {
    const lookup = (host, family, done) => done(null, host, 4);
    return datagram(new (require("dgram").Socket)({ type: "udp4", lookup }), port);
  },
  "dgram._createSocketHandle": () => require("dgram")._createSocketHandle("127.0.0.1", 0, "udp4"),
  "net._createServerHandle": () => require("net")._createServerHandle("127.0.0.1", 0, 4),
  "dgram of import": async ({ port }) => datagram((await import("dgram")).createSocket("udp4"), port),
  "read /etc/passwd": () => require("fs").readFileSync("/etc/passwd"),
  "read the configuration": ({ file }) => require("fs").promises.readFile(file),
  "read /proc": () => require("fs").readFileSync(`/proc/${process.ppid}/environ`),
  "list a folder": ({ folder }) => require("fs").readdirSync(folder),
  "read by a stream": ({ file }) =>
    new Promise((resolve, reject) => {
      require("fs").createReadStream(file).on("data", resolve).on("error", reject);
    }),
  "write outside": ({ folder }) => require("fs").writeFileSync(`${folder}/written`, "x"),
  "write inside": () => require("fs").writeFileSync(`${__dirname}/written`, "x"),
  "write to /tmp": () => require("fs").mkdtempSync("/tmp/written-"),
  child_process: () => require("child_process").execFileSync("id"),
  "child_process.spawn": () =>
    new Promise((resolve, reject) => {
      require("child_process").spawn("id").on("spawn", resolve).on("error", reject);
    }),
  worker_threads: () =>
    new Promise((resolve, reject) => {
      const { Worker } = require("worker_threads");
      new Worker("1", { eval: true }).on("online", resolve).on("error", reject);
    }),
  "process.binding": () => process.binding("tcp_wrap"),
  "process.dlopen": ({ file }) => process.dlopen({ exports: {} }, file),
  "process.kill": () => process.kill(process.ppid, 0),
  "process._kill": () => process._kill(process.ppid, 0),
  "process._debugProcess": () => process._debugProcess(process.pid),
  inspector: () => {
    require("inspector").open(0, "127.0.0.1");
    return "open";
  },
  "a module from outside": ({ module }) => require(module),
  "a module of import": ({ module }) => import(module),
  wasi: ({ folder }) => {
    const { WASI } = require("wasi");
    return new WASI({ version: "preview1", preopens: { "/": folder } });
  },
};

function datagram(socket, port) {
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.send("x", port, "127.0.0.1", (error) => (error ? reject(error) : resolve("sent")));
  });
}

module.exports.all = async (given) => {
  const found = { environment: Object.keys(process.env).sort().join(" ") };
  for (const [name, way] of Object.entries(ways)) {
    found[name] = await outcome(() => way(given));
  }
  return found;
};
