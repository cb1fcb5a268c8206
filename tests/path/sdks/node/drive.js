// Drives a Node SDK through its public calls.
// stdin, JSON lines: first {"sdk": PACKAGE, "host", "key", "options"}, then one call a
// line; its end flushes and closes. stdout: {"problems": [...]}. Dates are {"$date": ISO}
// and {"$day": ISO}.
const readline = require("node:readline");

console.log = console.error; // SDKs log there: stdout is for the answer

function revive(key, value) {
  const at = value && typeof value === "object" && (value.$date || value.$day);
  return at ? new Date(at) : value;
}

function segment({ sdk, host, key, options }, problems) {
  const { Analytics } = require(sdk);
  const analytics = new Analytics({ writeKey: key, host, ...options });
  analytics.on("error", (error) => problems.push(String(error.reason || error.code || error)));
  return {
    call: (type, message) => analytics[type](message),
    close: () => analytics.closeAndFlush({ timeout: 600000 }),
  };
}

function rudder({ sdk, host, key, options }, problems) {
  const Analytics = require(sdk);
  const errorHandler = (error) => problems.push(String(error));
  const analytics = new Analytics(key, { dataPlaneUrl: host, errorHandler, logLevel: "none", ...options });
  const open = new Set();
  const call = (type, message) => {
    open.add(new Promise((done) => analytics[type](message, done)));
  };
  const close = async () => {
    await analytics.flush().catch(() => {});
    await Promise.all(open);
  };
  return { call, close };
}

async function main() {
  const lines = readline.createInterface({ input: process.stdin });
  const problems = [];
  let client = null;
  for await (const line of lines) {
    const { type, ...rest } = JSON.parse(line, revive);
    if (client === null) client = (rest.sdk.startsWith("@rudder") ? rudder : segment)(rest, problems);
    else client.call(type, rest);
  }
  await client.close();
  process.stdout.write(JSON.stringify({ problems }) + "\n");
  process.exit(0);
}

main();
