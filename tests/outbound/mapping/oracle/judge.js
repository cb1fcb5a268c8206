// Answers each line, {trigger, events} or {mapping, events}, with a line of a list:
// for each event {value}, or {error} where the package throws.
const readline = require("node:readline")
const { parseFql, validate } = require("@segment/destination-subscriptions")
const { transform } = require("@segment/actions-core/mapping-kit")

const holds = (text, event) => {
  const tree = parseFql(text)
  if (tree.error) throw tree.error
  return validate(tree, event)
}

// The package writes into a mapping: each event gets one of its own.
const judge = ({ trigger, mapping }, event) => {
  try {
    const value =
      mapping === undefined ? holds(trigger, event) : transform(structuredClone(mapping), event)
    return { value: value === undefined ? null : value }
  } catch (error) {
    return { error: error.message }
  }
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const asked = JSON.parse(line)
  console.log(JSON.stringify(asked.events.map((event) => judge(asked, event))))
})
