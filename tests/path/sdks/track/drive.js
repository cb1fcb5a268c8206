// Drives customerio-node, either version, through its public calls.
// stdin: {"package", "options", "calls": [[method, ...arguments], ...]}
// stdout: for each call [true, answer] or [false, {"status", "message"}].
console.log = console.error; // SDKs log there: stdout is for the answer

async function main() {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  const given = JSON.parse(text);
  const { TrackClient } = require(given.package);
  const client = new TrackClient("site", given.key || "key", given.options);
  const results = [];
  for (const [method, ...args] of given.calls) {
    try {
      results.push([true, await client[method](...args)]);
    } catch (error) {
      results.push([false, { status: error.statusCode, message: String(error.message) }]);
    }
  }
  process.stdout.write(JSON.stringify(results) + "\n");
}

main();
