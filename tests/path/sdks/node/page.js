// The page of the browser tests: the SDKs, unmodified, and their public calls.
const customerio = require("@customerio/cdp-analytics-browser");
const rudder = require("@rudderstack/analytics-js/bundled");
const segment = require("@segment/analytics-next");
const rudderBefore = require("rudder-sdk-js");

const open = new Set();
let analytics = null;
let calls = null;

function revived(value) {
  if (Array.isArray(value)) return value.map(revived);
  if (value === null || typeof value !== "object") return value;
  const at = value.$date || value.$day;
  if (at) return new Date(at);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revived(item)]));
}

// A page knows one person: another one begins with a reset.
const segmentCalls = {
  identify: (m, options) =>
    m.userId === undefined ? analytics.identify(m.traits, options) : analytics.identify(m.userId, m.traits, options),
  track: (m, options) => analytics.track(m.event, m.properties, options),
  page: (m, options) => analytics.page(m.name, m.properties, options),
  screen: (m, options) => analytics.screen(m.name, m.properties, options),
  group: (m, options) => analytics.group(m.groupId, m.traits, options),
  alias: (m, options) => analytics.alias(m.userId, m.previousId, options),
};

// Who it is these remember; and a page's first argument is its category.
const rudderCalls = {
  ...segmentCalls,
  page: (m, options) => analytics.page(undefined, m.name, m.properties, options),
};

const segmentKind = (sdk) => ({
  calls: segmentCalls,
  begin: async ({ host, key, options }) => {
    analytics = sdk.AnalyticsBrowser.load({ writeKey: key, cdnURL: host }, options);
    await new Promise((loaded, failed) => analytics.then(() => loaded(), failed));
    await analytics.ready();
  },
  be: async (m, options) => {
    if (m.type !== "track" || m.anonymousId) {
      await analytics.reset();
      if (m.anonymousId) await analytics.setAnonymousId(m.anonymousId);
    }
    if (m.userId && m.type !== "identify" && m.type !== "alias") options.userId = m.userId;
  },
});

const rudderKind = (make) => ({
  calls: rudderCalls,
  begin: ({ host, key, options }) => {
    analytics = make();
    analytics.load(key, host, { configUrl: host, ...options });
    return new Promise((ready) => analytics.ready(ready));
  },
  be: async () => {},
});

const kinds = {
  "@customerio/cdp-analytics-browser": segmentKind(customerio),
  "@rudderstack/analytics-js": rudderKind(() => new rudder.RudderAnalytics()),
  "@segment/analytics-next": segmentKind(segment),
  "rudder-sdk-js": rudderKind(() => rudderBefore),
};
let kind = null;

window.begin = async ({ sdk, ...given }) => {
  kind = kinds[sdk];
  await kind.begin(given);
};

window.call = async (text) => {
  const { type, ...message } = revived(JSON.parse(text));
  const options = { context: message.context, integrations: message.integrations };
  if (message.timestamp) options.timestamp = message.timestamp;
  await kind.be({ type, ...message }, options);
  const sent = Promise.resolve(kind.calls[type](message, options));
  open.add(sent);
  sent.finally(() => open.delete(sent));
};

// All that the page has asked anybody for.
window.asked = () => performance.getEntriesByType("resource").map((entry) => entry.name);

window.end = () => Promise.all(open);
