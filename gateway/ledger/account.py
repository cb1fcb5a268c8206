"""The account: per source and destination, what was admitted and what became of it.

    admitted = delivered + filtered + skipped + duplicate + suppressed + dead
               + pending + unconfirmed + unknown + difference

What the intake left out of a destination is admitted and filtered there. What is open
is looked for, event by event, so that ``difference`` proves something: it is 0 when
every event stands for one end or is found waiting. ``unknown`` may have ended: the log
deleted outcomes of its time before they were read. What replays came to is apart
(``replayed``), unless it stands in for an event that never had an end of its own.
"""

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.event import Json, iso
from gateway.ledger.facts import ADMITTED, ENDS, REFUSED
from gateway.ledger.queries import Queries
from gateway.ledger.rows import Row
from gateway.ledger.store import Store, life_of
from gateway.ledger.tallies import FOR_EVER_MS, OPEN_MAX, Counted
from gateway.ledger.waiting import behind, unconfirmed
from gateway.ledger.write import NONE, missed_of
from gateway.log.contract import EventLog, TopicState

IDS_MAX = 500  # of one command that sends what is unconfirmed again


class _State(NamedTuple):
    """The log as it stood before anything was counted."""

    topics: Sequence[TopicState]
    life: str
    missed_ms: int


class Accountant:
    """Makes accounts; ``store`` is a reader's."""

    def __init__(self, store: Store, log: EventLog) -> None:
        self._store, self._log = store, log

    async def behind(self) -> int:
        """Records of the log that the ledger has not read yet."""
        life = await self._store.ask(life_of)
        return behind(await self._log.topics(), life)

    async def account(
        self, from_ms: int | None, until_ms: int | None
    ) -> dict[str, Json]:
        """Of what was received in [from, until); ``behind``: records not yet read."""
        span = from_ms or 0, FOR_EVER_MS if until_ms is None else until_ms
        life = await self._store.ask(life_of)
        topics = await self._log.topics()
        counted, missed_ms = await self._store.ask(
            lambda c: (Queries(c).counted(*span), missed_of(c))
        )
        state = _State(topics, life, missed_ms)
        pairs = sorted({(source, name) for source, name, *_ in counted if name})
        lines = [await self._line(pair, counted, span, state) for pair in pairs]
        sources = sorted({source for source, *_ in counted})
        return {
            "from": None if from_ms is None else iso(from_ms),
            "until": None if until_ms is None else iso(until_ms),
            "behind": behind(state.topics, life),
            "sources": [
                {
                    "source": source,
                    "admitted": counted[source, NONE, ADMITTED, 0],
                    "refused": counted[source, NONE, REFUSED, 0],
                }
                for source in sources
            ],
            "account": lines,
        }

    async def _line(
        self,
        pair: tuple[str, str],
        counted: Counted,
        span: tuple[int, int],
        state: _State,
    ) -> dict[str, Json]:
        source, destination = pair
        admitted = counted[source, destination, ADMITTED, 0]
        ends = Counter({k: counted[source, destination, n, 0] for k, n in ENDS.items()})
        replayed = sum(counted[source, destination, n, 1] for n in ENDS.values())
        pending, unknown, lost = 0, 0, list[Row]()
        if (still := admitted - ends.total()) > 0:
            found = await self._store.ask(lambda c: Queries(c).open(*pair, *span))
            for each in found:
                if each.replayed is not None:
                    ends[each.replayed] += 1
                    replayed -= 1
            rows = [each.row for each in found if each.replayed is None]
            lost = await unconfirmed(
                self._log, state.topics, state.life, destination, rows
            )
            unseen = still - len(found) if len(found) >= OPEN_MAX else 0
            pending = len(rows) - len(lost) + unseen
            sure = [row for row in lost if row.appended_at > state.missed_ms]
            unknown, lost = len(lost) - len(sure), sure
        return {
            "source": source,
            "destination": destination,
            "admitted": admitted,
            **ends,
            "pending": pending,
            "unconfirmed": len(lost),
            "unknown": unknown,
            "difference": admitted - ends.total() - pending - len(lost) - unknown,
            "replayed": replayed,
            **_again(destination, lost),
        }


def _again(destination: str, lost: Sequence[Row]) -> Mapping[str, Json]:
    """The commands that send what is unconfirmed again."""
    if not lost:
        return {}
    groups = [lost[at : at + IDS_MAX] for at in range(0, len(lost), IDS_MAX)]
    return {"replay": [replay_command(destination, group) for group in groups]}


def replay_command(destination: str, rows: Sequence[Row]) -> str:
    """For a shell: these messages, within the time they were received in."""
    ids = json.dumps(sorted({row.message_id for row in rows})).replace("`", "\\`")
    times = [row.at for row in rows]
    return shlex.join(
        [
            *("gateway", "replay", "--to", destination),
            *("--from", iso(min(times)), "--until", iso(max(times) + 1)),
            *("--where", f"contains(`{ids}`, messageId)"),
        ]
    )


OPEN = ("pending", "unconfirmed", "unknown")
COLUMNS = ("admitted", *ENDS, *OPEN, "difference", "replayed")
UNKNOWN = (
    "unknown: the log deleted outcomes before the ledger had read them (log_gap);"
    " log.outcomes_size keeps more"
)


def as_text(told: Mapping[str, Json]) -> str:
    """``gateway account`` for a person: a line a source and destination."""
    rows = [("SOURCE", "DESTINATION", *(each.upper() for each in COLUMNS))]
    for line in told["account"]:
        numbers = [str(line[each]) for each in COLUMNS]
        rows.append((line["source"], line["destination"], *numbers))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    refused = [
        f"refused: {each['refused']} of {each['source']}"
        for each in told["sources"]
        if each["refused"]
    ]
    again = [each for line in told["account"] for each in line.get("replay", ())]
    if again:
        again.insert(0, "unconfirmed: admitted, and never seen at the destination;")
        again.insert(1, "this sends them:")
    if any(line["unknown"] for line in told["account"]):
        again.append(UNKNOWN)
    late = told["behind"]
    note = [f"the ledger has {late} records of the log to read yet"] if late else []
    return "\n".join([*lines, *refused, *again, *note])
