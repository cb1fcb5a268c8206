"use strict";
/* What the package itself makes of events by a workspace's subscriptions: its requests.

   stdin: {directory, settings, subscriptions: [{partnerAction, subscribe, mapping}], events}
   stdout: for each event its requests, as [method, url, body] in their order. */
const { createRequire } = require("node:module");
const path = require("node:path");
const [INSTALLATION] = process.argv.slice(2);
const require_ = createRequire(path.join(INSTALLATION, "package.json"));
const inPackage = createRequire(require_.resolve("@segment/action-destinations"));
const inCore = createRequire(inPackage.resolve("@segment/actions-core"));
const fetching = createRequire(inCore.resolve("cross-fetch")).resolve("node-fetch");
const real = { ...inCore(fetching) };
let made = [];
async function capture(url, options) {
  const request = new real.Request(url, options);
  made.push([request.method, request.url, (await request.buffer()).toString()]);
  const headers = { "content-type": "application/json" };
  return new real.Response("{}", { status: 200, headers, url: request.url });
}
const { Headers, Request, Response, FetchError, AbortError } = real;
const exported = { Headers, Request, Response, FetchError, AbortError, default: capture };
require_.cache[fetching].exports = Object.assign(capture, exported);
const { Destination } = inPackage("@segment/actions-core");
const root = path.dirname(require_.resolve("@segment/action-destinations/package.json"));
const nothing = () => undefined;
const names = ["incr", "set", "histogram", "gauge", "timing", "observe", "distribution"];
const statsClient = Object.fromEntries(names.map((name) => [name, nothing]));

async function main() {
  const pieces = [];
  for await (const piece of process.stdin) pieces.push(piece);
  const { directory, settings, subscriptions, events } = JSON.parse(Buffer.concat(pieces));
  const loaded = require_(path.join(root, "dist", "destinations", directory));
  const destination = new Destination({ ...(loaded.default ?? loaded), name: "d" });
  const all = [];
  for (const event of events) {
    made = [];
    const transaction = { transaction: {}, setTransaction: nothing };
    const options = { features: {}, statsContext: { statsClient, tags: [] }, transactionContext: transaction };
    for (const subscription of subscriptions) {
      await destination.onEvent(event, { ...settings, subscriptions: [subscription] }, options);
    }
    all.push(made);
  }
  process.stdout.write(JSON.stringify(all));
}
main();
