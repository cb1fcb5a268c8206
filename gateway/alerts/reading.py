"""How things stand at one moment: all that the rules are told. None: not known now."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.ledger.names import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A destination. ``open``: its breaker, None if nothing of it is in hand here.

    ``why`` is what failed last: a status or an error, and the host. ``moves``: events
    have ended there since the last look, or none wait; where some are in hand here:
    some were delivered since.
    """

    open: bool | None = None
    why: str = ""
    lag: int | None = None
    moves: bool = True


class Refusals(NamedTuple):
    """Of a source, within the rule's time; ``why`` is the most frequent reason."""

    refused: int
    messages: int
    why: str = ""


class Silence(NamedTuple):
    """A kind of event that comes regularly: how long it is silent now, and usually."""

    kind: Kind
    now_ms: int
    usual_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """The log. ``refuses``: why it takes no append, or empty.

    ``unread``: the part of its size that a destination has yet to read, and whose.
    """

    refuses: str = ""
    unread: float = 0.0
    unread_by: str = ""
    disk_free: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All of it."""

    destinations: Mapping[str, Seen] = field(default_factory=dict)
    dead: Mapping[str, int] | None = None
    """Dead letters within the rule's time, by destination."""
    dead_why: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, Refusals] | None = None
    silences: Sequence[Silence] | None = None
    log: Filled | None = None


class Risen:
    """How much counters rose within a time; one that falls was tidied, not undone."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._last: dict[str, int] = {}
        self._rises: deque[tuple[float, str, int]] = deque()

    def add(self, at_s: float, counts: Mapping[str, int]) -> dict[str, int]:
        """What they are now; what each rose by, this look's rise included."""
        for name, count in counts.items():
            if (rise := count - self._last.get(name, count)) > 0:
                self._rises.append((at_s, name, rise))
        self._last = dict(counts)
        while self._rises and self._rises[0][0] <= at_s - self._within_s:
            self._rises.popleft()
        total = dict.fromkeys(counts, 0)
        for _, name, rise in self._rises:
            if name in total:
                total[name] += rise
        return total


class Rising:
    """Whether a count of this process grew since the last look; at first: from 0."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def rises(self, name: str, count: int) -> bool:
        """Look once."""
        before, self._last[name] = self._last.get(name, 0), count
        return count > before


class Moving:
    """Whether events end at a destination, by what waits there."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}

    def moves(self, name: str, committed: int, lag: int) -> bool:
        """True at first, when nothing waits, and when anything was settled since."""
        before = self._last.get(name)
        self._last[name] = committed, lag
        return before is None or not lag or committed != before[0] or lag < before[1]
