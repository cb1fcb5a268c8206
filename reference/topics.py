"""The page of the topics, from a configuration that has them all."""

from pathlib import Path

from gateway.config import parse
from gateway.parts import check, declared_of, topics_of
from reference.table import code, table

CONFIGURATION = """\
[sources.web]
write_keys = ["key"]

[destinations.name]
type = "file"
settings = { path = "events.ndjson" }

[destinations.people]
type = "workspace"
"""
HOLDS = {
    "events": "every admitted event, with the routing decision in its header `route`: "
    "the archive that a replay reads",
    "refused": "every message that failed the check, as it was sent, with its errors: "
    "its first 64 KB; of one request 8 MB in full, of the rest that and why",
    "outcomes": "one record for each event at each destination: delivered, filtered, "
    "skipped, duplicate, suppressed, dead",
    "to.NAME": "the events routed to one destination",
    "dead.NAME": "what a destination refused for good or what outlived its retries: "
    "the event, the last request (secrets masked), the response, and a `detail` that "
    "names the error where no response does",
    "suppressed": "who is blocked, if people are kept: the newest for each identifier",
}
KEPT = {
    "retention": "for `log.retention`",
    "for_ever": "for ever",
    "newest": "the newest of each key",
}
HEAD = """\
# Topics

Names are without `log.prefix`. `gateway read TOPIC` prints the records of one, `gateway
topics` lists them all. The shapes of the values are on [the page of the
interface](interface.md#the-event). Unread events are never deleted, and in `to.NAME` of
a workspace nothing ever is. Sizes are bounded by `log.size`, those of `refused`,
`outcomes` and `dead.NAME` by [keys of their own](configuration.md#log).
"""


def page() -> str:
    """Every topic."""
    config = parse(CONFIGURATION, folder=Path("/"), environment={})
    parts = check(config)
    declared = declared_of(config, parts)
    names = [name for name in topics_of(config, parts) if not name.endswith(".people")]
    rows = []
    for name in names:
        shown = name.replace(".name", ".NAME")
        rows.append((code(shown), HOLDS[shown], KEPT[declared(name).kept]))
    return f"{HEAD}\n{table(('topic', 'holds', 'kept'), rows)}"
