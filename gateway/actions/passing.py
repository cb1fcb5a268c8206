"""An event on its way through the actions that want it, alone or among others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson

from gateway.actions.settings import Chosen
from gateway.event import Json
from gateway.outbound.contract import Retry, Verdict
from gateway.outbound.mapping import Unmappable

Seen: TypeAlias = dict[str, Json]
Key: TypeAlias = tuple[str, str, str | None]


@dataclass(slots=True)
class Finished:
    """What the actions that are done said of one event, and tell the next one."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    told: Mapping[str, Json] = field(default_factory=dict)


class Passing:
    """What one event is to the actions, and what became of it so far."""

    __slots__ = ("done", "key", "only", "retry", "seen", "told")

    def __init__(
        self,
        key: Key,
        seen: Seen,
        before: Finished,
        only: frozenset[str] | None = None,
    ) -> None:
        self.key = key
        self.seen = seen
        self.only = only
        """The actions that a replay repeats; None: all."""
        self.done = before.verdicts
        """Action -> its last word."""
        self.retry: Retry | None = None
        """Why it must be tried again; no further action is, until then."""
        self.told = before.told
        """What the actions that are done tell the next one."""

    def is_for(self, action: Chosen) -> bool:
        """Whether the action wants it, and has not had it."""
        if self.retry is not None or action.name in self.done:
            return False
        return self.wanted_by(action)

    def wanted_by(self, action: Chosen) -> bool:
        """Whether the action is to have it at all."""
        return self.may_be_for(action) and action.wants(self.seen)

    def may_be_for(self, action: Chosen) -> bool:
        """False for an action that a replay does not repeat: it had it before."""
        return self.only is None or action.name in self.only

    def note(self, action: Chosen, verdict: Verdict) -> None:
        """What became of it there."""
        if isinstance(verdict, Retry):
            self.retry = verdict
        else:
            self.done[action.name] = verdict


def grouped(wanted: Sequence[Passing], action: Chosen) -> Iterator[Sequence[Passing]]:
    """Those that may share a call: what the code reads of the first is the same.

    A group is no larger than the action's batch.
    """
    assert action.batch is not None
    groups: dict[bytes, list[Passing]] = {}
    for each in wanted:
        groups.setdefault(_alike(each, action), []).append(each)
    for group in groups.values():
        for start in range(0, len(group), action.batch):
            yield group[start : start + action.batch]


def _alike(passing: Passing, action: Chosen) -> bytes:
    """Who has the same may share a call; whom no mapping fits goes alone."""
    try:
        value = action.alike(passing.seen)
    except Unmappable:
        return repr(passing.key).encode()
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
