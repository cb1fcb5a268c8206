"use strict"
// node describe.js INSTALLATION FILE: what each destination of the package is, as JSON.
//
// Run once, at the install, so that nobody else needs Node to know. Each destination is
// loaded on its own: one that fails says why and leaves the others alone.
const fs = require("fs")
const path = require("path")

process.env.NODE_ENV = "production"

const REGISTERED = /^register\('([0-9a-f]{24})', '\.\/([^']+)'\)/gm
const OPTIONS = /\$\.integrations\.(?:\[?'([^']+)'\]?|([^.'[\]]+))\./g

const mapped = (object, change) =>
  Object.fromEntries(Object.entries(object ?? {}).map(([key, value]) => [key, change(value)]))

/** A field as it is written; what is computed when somebody configures is only named. */
function field(given) {
  const { properties, dynamic, ...rest } = given
  const plain = JSON.parse(JSON.stringify(rest))
  if (dynamic) plain.dynamic = true
  if (properties) plain.properties = mapped(properties, field)
  return plain
}

const action = (given) => ({
  title: given.title,
  description: given.description ?? "",
  trigger: given.defaultSubscription ?? null,
  fields: mapped(given.fields, field),
  batch: typeof given.performBatch === "function",
  platform: given.platform ?? "cloud",
  hidden: Boolean(given.hidden),
  sync_mode: given.syncMode ? field(given.syncMode) : null,
  hooks: Object.keys(given.hooks ?? {}),
})

const preset = (given) => ({
  name: given.name,
  trigger: given.subscribe ?? null,
  action: given.partnerAction,
  mapping: JSON.parse(JSON.stringify(given.mapping ?? {})),
  automatic: given.type === "automatic",
})

/** Names under which a default looks for options: `$.integrations.NAME.key`. */
function integrations(described) {
  const found = new Set()
  const text = JSON.stringify([described.actions, described.presets])
  for (const [, quoted, bare] of text.matchAll(OPTIONS)) found.add(quoted ?? bare)
  return [...found].sort()
}

function definition(id, directory, given) {
  const authentication = given.authentication ?? {}
  const described = {
    id,
    name: given.name,
    slug: given.slug ?? directory,
    description: given.description ?? "",
    scheme: authentication.scheme ?? "none",
    settings: mapped(authentication.fields, field),
    refreshes: typeof authentication.refreshAccessToken === "function",
    tests: typeof authentication.testAuthentication === "function",
    audience: Boolean(given.audienceConfig),
    actions: mapped(given.actions, action),
    presets: (given.presets ?? []).map(preset),
  }
  return { ...described, integrations: integrations(described), fails: null }
}

function loaded(id, directory, folder) {
  try {
    return definition(id, directory, require(path.join(folder, directory)).default)
  } catch (error) {
    return { id, fails: String(error.message ?? error).split("\n")[0] }
  }
}

function main([installation, file]) {
  const root = path.join(path.resolve(installation), "node_modules/@segment/action-destinations")
  const folder = path.join(root, "dist/destinations")
  const list = fs.readFileSync(path.join(folder, "index.js"), "utf8")
  const definitions = {}
  for (const [, id, directory] of list.matchAll(REGISTERED)) {
    definitions[directory] = loaded(id, directory, folder)
  }
  const version = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")).version
  fs.writeFileSync(file, JSON.stringify({ package: version, definitions }))
}

main(process.argv.slice(2))
