// Opens pages in a headless Chromium and evaluates in them: the DevTools protocol.
// argv: the browser's path, its profile. stdin, JSON lines: {"forget": true} (a new
// person), {"goto": URL}, {"evaluate": FUNCTION, "arguments": [...]}, {"leave": true};
// stdout: one JSON line each, {"value"} or {"error"}.
const readline = require("node:readline");
const puppeteer = require("puppeteer-core");

async function main() {
  const [executablePath, userDataDir] = process.argv.slice(2);
  const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
  const browser = await puppeteer.launch({ executablePath, userDataDir, args, headless: true });
  let context = null;
  let page = null;
  const commands = {
    forget: async () => {
      if (context !== null) await context.close();
      context = await browser.createBrowserContext();
      page = await context.newPage();
    },
    goto: async ({ goto }) => page.goto(goto).then(() => null),
    evaluate: ({ evaluate, arguments: given }) =>
      page.evaluate((name, values) => window[name](...values), evaluate, given || []),
    leave: async () => page.goto("about:blank").then(() => null),
  };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    let told;
    try {
      const value = await commands[Object.keys(command)[0]](command);
      told = { value: value === undefined ? null : value };
    } catch (error) {
      told = { error: String(error) };
    }
    process.stdout.write(JSON.stringify(told) + "\n");
  }
  await browser.close();
}

main();
