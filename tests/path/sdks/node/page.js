// The page of the browser tests: both SDKs, unmodified, and their public calls.
const customerio = require("@customerio/cdp-analytics-browser");
const segment = require("@segment/analytics-next");

const packages = {
  "@customerio/cdp-analytics-browser": customerio,
  "@segment/analytics-next": segment,
};
const open = new Set();
let analytics = null;

function revived(value) {
  if (Array.isArray(value)) return value.map(revived);
  if (value === null || typeof value !== "object") return value;
  const at = value.$date || value.$day;
  if (at) return new Date(at);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revived(item)]));
}

const calls = {
  identify: (m, options) =>
    m.userId === undefined ? analytics.identify(m.traits, options) : analytics.identify(m.userId, m.traits, options),
  track: (m, options) => analytics.track(m.event, m.properties, options),
  page: (m, options) => analytics.page(m.name, m.properties, options),
  screen: (m, options) => analytics.screen(m.name, m.properties, options),
  group: (m, options) => analytics.group(m.groupId, m.traits, options),
  alias: (m, options) => analytics.alias(m.userId, m.previousId, options),
};

window.begin = async ({ sdk, host, key, options }) => {
  analytics = packages[sdk].AnalyticsBrowser.load({ writeKey: key, cdnURL: host }, options);
  await new Promise((loaded, failed) => analytics.then(() => loaded(), failed));
  await analytics.ready();
};

// A page knows one person: another one begins with a reset.
window.call = async (text) => {
  const { type, ...message } = revived(JSON.parse(text));
  const options = { context: message.context, integrations: message.integrations };
  if (message.timestamp) options.timestamp = message.timestamp;
  if (type !== "track" || message.anonymousId) {
    await analytics.reset();
    if (message.anonymousId) await analytics.setAnonymousId(message.anonymousId);
  }
  if (message.userId && type !== "identify" && type !== "alias") options.userId = message.userId;
  const sent = calls[type](message, options);
  open.add(sent);
  sent.finally(() => open.delete(sent));
};

window.end = () => Promise.all(open);
