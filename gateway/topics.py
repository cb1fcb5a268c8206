"""The topics of the gateway: their names, and what each needs of the log.

Nothing else spells a name. A log's backend sees only what is declared of one.

    events      every admitted event: the archive that replay reads
    to.NAME     the events routed to one destination, read by the group NAME
    dead.NAME   what a destination refused for good, or what outlived its retries
    outcomes    one record per event and destination
    refused     every message that failed the check, as it was sent
    suppressed  whom no worker may send: the newest word on each identifier
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from gateway.config import LogConfig

EVENTS, OUTCOMES, REFUSED, SUPPRESSED = "events", "outcomes", "refused", "suppressed"
TO, DEAD = "to.", "dead."
LETTER_BYTES = 1_000_000  # of a dead letter; where it has more, its exchange goes
REFUSED_BYTES = 700_000  # of a refused message with its batch and faults, at the most


def to(destination: str) -> str:
    """Where the events routed to a destination wait."""
    return TO + destination


def dead(destination: str) -> str:
    """Where a destination's dead letters are."""
    return DEAD + destination


def of(destinations: Iterable[str], more: Iterable[str] = ()) -> list[str]:
    """Every topic of a gateway with these destinations, and ``more`` of its wings."""
    names = list(destinations)
    return [EVENTS, REFUSED, OUTCOMES, *map(to, names), *map(dead, names), *more]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a topic needs; ``[log]`` decides the rest.

    ``partitions`` 1: all its records are in one order (SQLite: always). ``kept``: by
    ``log.retention``, or never deleted, or the newest of each key at least.
    ``budget_bytes``: the oldest go beyond it, read or not; topics with the same
    ``shares`` have one budget together (on Kafka each has its own). ``holds_unread``:
    what a group has not settled stays, and when it fills the log an append is refused.
    ``reader``: the group that is waited for before it first comes; without one, only
    the groups that read just now hold anything. ``record_bytes``: the largest value it
    must take; None: an event.
    """

    partitions: int | None = None
    kept: Literal["retention", "for_ever", "newest"] = "retention"
    budget_bytes: int | None = None
    shares: str | None = None
    holds_unread: bool = False
    reader: str | None = None
    record_bytes: int | None = None


Declare: TypeAlias = Callable[[str], Declared]
KEEP_ALL = Declared(kept="for_ever")


def one_queue(destination: str) -> Declared:
    """What a destination needs that applies all its events in one order."""
    return Declared(
        partitions=1, kept="for_ever", holds_unread=True, reader=destination
    )


def declaring(config: LogConfig, own: Mapping[str, Declared] | None = None) -> Declare:
    """What each topic needs, by its name; ``own`` are those that wings declare."""
    special = {
        EVENTS: Declared(holds_unread=True),
        OUTCOMES: Declared(budget_bytes=config.outcomes_size),
        REFUSED: Declared(budget_bytes=config.refused_size, record_bytes=REFUSED_BYTES),
        SUPPRESSED: Declared(kept="newest"),
        **(own or {}),
    }

    @cache
    def declared(name: str) -> Declared:
        if name in special:
            return special[name]
        if name.startswith(TO):
            return Declared(holds_unread=True, reader=name.removeprefix(TO))
        if name.startswith(DEAD):
            return Declared(
                budget_bytes=config.dead_size, shares=DEAD, record_bytes=LETTER_BYTES
            )
        return Declared()

    return declared


def keep_all(name: str) -> Declared:
    """For who only looks into a log: nothing is deleted on the way."""
    del name
    return KEEP_ALL
