"""The log's words and promises; both backends keep them, one suite proves it.

    entry         what goes to the log: topic, key, value, headers
    record        what comes from it: an entry with its partition and offset
    offset        the place of a record in its partition; rising, gaps are allowed
    group         a reader with a memory: the marks of one topic under one name
    settled       done for this group, in any order; a settled record never comes back
    mark          per partition: everything below it is settled, plus runs above it
    durable       survives kill -9 of this process (SQLite: a power cut too)

Promises: ``append`` returns only when every entry is durable. Entries of one key keep
their order. An unsettled record comes back to the next subscription of its group, a
settled one never does. ``scan`` moves no group. Topic names here have no prefix.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes], ...]


class Entry(NamedTuple):
    """What is appended. Entries of one event share the same ``value`` object."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = ()


class Record(NamedTuple):
    """What is read; ``appended_at_ms`` is unix milliseconds."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Headers
    appended_at_ms: int


class Past(NamedTuple):
    """What is read of a settled record to know it again: neither key nor value.

    ``headers`` are the values of those asked for, empty where it has none of that name.
    """

    partition: int
    offset: int
    appended_at_ms: int
    headers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which records a scan yields: appended in [from_ms, until_ms), oldest first."""

    from_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupState:
    """One group of a topic: ``lag`` counts the records it has not settled."""

    name: str
    committed: int
    lag: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """One topic as ``gateway topics`` shows it; ``bytes`` is an estimate."""

    name: str
    partitions: int
    records: int
    bytes: int
    groups: tuple[GroupState, ...]


class Subscription(Protocol):
    """One group's reading of one topic; used by one worker, from one loop.

    Where a group has several members, partitions move between them. Before,
    ``on_revoke`` is awaited, in bounded time: start nothing, return when nothing is in
    flight and all that ended is settled. ``on_overdue`` is called when that took too
    long: end what is in flight, the others wait no more. After, ``on_assign`` is told
    which partitions are lost (forget what is pending of them: others have it now) and
    which are new.
    """

    on_revoke: Callable[[], Awaitable[None]] | None
    on_overdue: Callable[[], None] | None
    on_assign: Callable[[frozenset[int], frozenset[int]], None] | None

    async def poll(self, *, limit: int, timeout_s: float) -> Sequence[Record]:
        """The next records in order, each once; empty after ``timeout_s``.

        Never yields a record that the group has settled. While paused: empty.
        """
        ...

    async def settle(
        self, records: Sequence[Record], entries: Sequence[Entry] = ()
    ) -> None:
        """Append ``entries`` (outcomes, dead letters), then mark ``records`` as done.

        Returns when both are durable, never the marks before the entries (DESIGN 5.5).
        Raises LogError; then neither is promised and calling again is safe.
        """
        ...

    def pause(self) -> None:
        """Stop yielding records; membership and place are kept."""
        ...

    def resume(self) -> None:
        """Yield records again."""
        ...

    def before_committed(
        self,
        limit: int,
        headers: tuple[str, ...],
        partitions: Collection[int] | None = None,
    ) -> AsyncIterator[Sequence[Past]]:
        """The newest settled records, ``limit`` at most, oldest first (DESIGN 5.4).

        Of all assigned partitions, or of some; many at a time, with these headers.
        """
        ...

    @property
    def runs(self) -> int:
        """Settled runs above the mark, the most of any partition: the bound of 5.5."""
        ...

    @property
    def lag(self) -> int:
        """Records this group has not settled, those not yet polled included."""
        ...


class EventLog(Protocol):
    """Topics of records: append durably, follow as a group, scan without one."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """Return when all entries are durable; else LogError, and a retry is safe.

        ``LogError.code`` is ``overloaded`` when the cap on waiting bytes is reached,
        ``log_unavailable`` for everything else, the deadline included.
        """
        ...

    def has_room(self) -> bool:
        """False when an append would be refused: asked before a body is read."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """Bytes appended but not yet durable."""
        ...

    def subscribe(
        self, topic: str, *, group: str, holds: bool = True
    ) -> AbstractAsyncContextManager[Subscription]:
        """Follow a topic as a group; a new group starts at the oldest record.

        Without ``holds`` what it has not read is no reason to keep anything: a reader
        that may miss records, so that it never fills the log.
        """
        ...

    def scan(
        self, topic: str, span: Span, *, follow: bool = False, late_s: float = 0.0
    ) -> AsyncIterator[Record]:
        """The records of a topic, oldest first; ends at the end unless ``follow``.

        Who follows and may be told ``late_s`` seconds late is told of more at once,
        where each look at the log has its price.
        """
        ...

    async def topics(self) -> Sequence[TopicState]:
        """Every topic with its size and groups."""
        ...

    @property
    def weaknesses(self) -> Sequence[str]:
        """What is less safe than configured, for /readyz to name; mostly empty."""
        ...

    async def ping(self) -> None:
        """Return when the log can take an append now; else LogError saying why not."""
        ...

    async def close(self) -> None:
        """Finish what waits (within the append deadline), then let go of the store."""
        ...
