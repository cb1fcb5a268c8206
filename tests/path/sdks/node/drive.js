// Drives @segment/analytics-node through its public calls.
// stdin: {"host", "writeKey", "calls": [[method, arguments], ...]}; dates are {"$date": ISO}.
const { Analytics } = require("@segment/analytics-node");

function revive(key, value) {
  return value && typeof value === "object" && "$date" in value
    ? new Date(value.$date)
    : value;
}

async function main() {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  const { host, writeKey, calls } = JSON.parse(text, revive);
  const analytics = new Analytics({ writeKey, host, flushInterval: 100 });
  const problems = [];
  analytics.on("error", (error) => problems.push(String(error.reason || error)));
  for (const [method, argument] of calls) analytics[method](argument);
  await analytics.closeAndFlush({ timeout: 30000 });
  process.stdout.write(JSON.stringify({ problems }) + "\n");
  process.exitCode = problems.length ? 1 : 0;
}

main();
