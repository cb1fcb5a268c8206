"""The page of the alerts, from their closed list."""

from gateway.alerts.settings import RULES
from reference.table import code, table

HEAD = """\
# Alerts

With a table [`[alerts]`](configuration.md#alerts) the gateway itself tells whoever is
named there when something needs somebody: by Slack, a webhook, a command. Each trouble
is told once when it begins and once when it is over; a restart repeats nothing. Each
rule has a table of its own, with the thresholds that stand here as `keys`. [See what
happened](../how-to/look.md#be-told) says how to begin.
"""
SHAPE = """
## What is told

A webhook gets, and a command reads on its standard input, one JSON object:

| key | what it is |
| --- | --- |
| `id` | the same whenever the same is told: after a crash a message may come twice |
| `alert` | the rule, or `test` |
| `subject` | whom it is about: a destination, a source, an event, `log` |
| `state` | `begins`, `ends`, or `test` |
| `at`, `since` | when it was told, and since when it is so |
| `text` | a sentence for a person; Slack gets this alone |
| `facts` | the numbers of the rule |

More than ten of one rule at once are one message, with their names in
`facts.subjects`. No message holds a payload, a key or a value of a message.
"""


def page() -> str:
    """Every rule."""
    rows = [(code(rule), each.begins, each.ends) for rule, each in RULES.items()]
    return f"{HEAD}\n{table(('rule', 'begins', 'is over'), rows)}{SHAPE}"
