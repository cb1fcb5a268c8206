"""What became of dead letters since: a replay sent them again, and how that ended.

A letter is *open* until a later replay of its event has an end at the destination.
Where that end is another dead letter, this one is open instead: an event counts once.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.event import Json, iso
from gateway.ledger.contract import Connection
from gateway.ledger.facts import AGAIN, DUPLICATE, KINDS, digest

GROUPS_MAX = 200
ROWS_MAX = 2_000  # groups by what became of them, which are folded
REPLAYS_MAX = 5  # named in a group
AT_ONCE = 400  # letters that one question is about
BACK_MS = 7 * 86_400_000  # of what was received earlier no letter is looked for

LATER = (
    "{x}.at = e.at AND {x}.digest = e.digest AND {x}.source = e.source"
    " AND {x}.destination = e.destination AND {x}.replay IS NOT NULL"
    f" AND {{x}}.kind <> {DUPLICATE} AND {{x}}.kind < {AGAIN}"
)
SINCE = (
    f" LEFT JOIN ends x ON {LATER.format(x='x')} AND x.appended > e.appended"  # noqa: S608 -- our own names
    f" AND NOT EXISTS (SELECT 1 FROM ends y WHERE {LATER.format(x='y')}"
    " AND (y.appended > x.appended"
    " OR (y.appended = x.appended AND y.replay > x.replay)))"
)
"""After ``FROM ends e``: the last end of a replay that came later; or nulls."""
LETTERS = (  # not delivered: said, or SQLite does not take the index of these
    " e.destination IN (SELECT destination FROM counts WHERE kind = 6)"
    " AND e.kind = 6 AND e.kind <> 1"
)


class Letter(NamedTuple):
    """A dead letter as the log has it; times are unix milliseconds."""

    source: str
    message_id: str
    received_ms: int
    appended_ms: int
    replay: str | None
    """The replay that came to it; None: it was the first time."""


class Since(NamedTuple):
    """What the last replay of a dead letter came to, and when."""

    replay: str
    kind: str
    ended_ms: int


class Standing(NamedTuple):
    """Dead letters of one destination: all, and those that nothing became of since."""

    events: int
    open: int


def standings(
    connection: Connection, since_ms: int, now_ms: int
) -> dict[str, Standing]:
    """By destination, of those that were given up in [since, now)."""
    found = connection.execute(
        "SELECT d.text, count(*), sum(CASE WHEN x.kind IS NULL THEN 1 ELSE 0 END)"  # noqa: S608 -- our own names
        f" FROM ends e JOIN words d ON d.id = e.destination{SINCE} WHERE{LETTERS}"
        " AND e.at >= ? AND e.at + e.ended >= ? AND e.at + e.ended < ? GROUP BY 1",
        (since_ms - BACK_MS, since_ms, now_ms),
    )
    return {name: Standing(events, int(left)) for name, events, left in found}


def folded(found: Sequence[Sequence[Any]]) -> list[dict[str, Json]]:
    """Groups of dead letters with what became of them; the most open ones first.

    ``found``: destination, reason, status, error, letters, the first and the last
    time, and of what became of them since: kind and replay, or nulls.
    """
    groups: dict[tuple[Any, ...], list[Sequence[Any]]] = defaultdict(list)
    for row in found:
        groups[tuple(row[:4])].append(row[4:])
    told = [_group(named, parts) for named, parts in groups.items()]
    told.sort(key=lambda each: (-each["open"], -each["events"]))
    return told[:GROUPS_MAX]


def _group(named: Sequence[Any], parts: Sequence[Sequence[Any]]) -> dict[str, Json]:
    since: dict[str, int] = {}
    replays: dict[str, int] = {}
    for events, _, _, kind, replay in parts:
        if kind is not None:
            name = KINDS[kind]
            since[name] = since.get(name, 0) + events
            replays[replay] = replays.get(replay, 0) + events
    events = sum(part[0] for part in parts)
    return {
        **dict(zip(("destination", "reason", "status", "error"), named, strict=True)),
        "events": events,
        "open": events - sum(since.values()),
        "since": since,
        "replays": sorted(replays, key=lambda each: -replays[each])[:REPLAYS_MAX],
        "first": iso(min(part[1] for part in parts)),
        "last": iso(max(part[2] for part in parts)),
    }


def since_of(
    connection: Connection, destination: str, letters: Sequence[Letter]
) -> list[Since | None]:
    """What the last replay of each of these letters came to; None: nothing yet."""
    ends: dict[tuple[int, int, str], list[tuple[int, Since]]] = defaultdict(list)
    for start in range(0, len(letters), AT_ONCE):
        for key, appended_ms, since in _ends(
            connection, destination, letters[start : start + AT_ONCE]
        ):
            ends[key].append((appended_ms, since))
    return [_last(letter, ends) for letter in letters]


def _last(
    letter: Letter, ends: Mapping[tuple[int, int, str], list[tuple[int, Since]]]
) -> Since | None:
    """Of several replays the last; the one that the letter is of is none of them."""
    later = [
        (appended_ms, since)
        for appended_ms, since in ends.get(_key(letter), ())
        if appended_ms > letter.appended_ms and since.replay != letter.replay
    ]
    return max(later)[1] if later else None


def _key(letter: Letter) -> tuple[int, int, str]:
    key = digest(letter.message_id.encode(errors="replace"))
    return letter.received_ms, key, letter.source


def _ends(
    connection: Connection, destination: str, letters: Sequence[Letter]
) -> Iterator[tuple[tuple[int, int, str], int, Since]]:
    keys = {_key(letter)[:2] for letter in letters}
    places = ", ".join(["(CAST(? AS BIGINT), CAST(? AS BIGINT))"] * len(keys))
    found = connection.execute(
        f"WITH wanted (at, digest) AS (VALUES {places})"  # noqa: S608 -- our own names
        " SELECT e.at, e.digest, s.text, e.appended, e.kind, p.text, e.ended"
        " FROM wanted w JOIN ends e ON e.at = w.at AND e.digest = w.digest"
        " JOIN words s ON s.id = e.source"
        " JOIN words d ON d.id = e.destination JOIN words p ON p.id = e.replay"
        f" WHERE e.kind <> {DUPLICATE} AND e.kind < {AGAIN} AND d.text = ?",
        [*(value for key in keys for value in key), destination],
    )
    for at, key, source, appended, kind, replay, ended in found:
        since = Since(replay, KINDS[kind], at + ended)
        yield (at, key, source), at + appended, since
