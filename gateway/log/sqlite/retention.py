"""What may be deleted, and when the log is full. On the writer thread, step by step.

    with a budget        the oldest go beyond it, read or not
    that hold unread     what their reader has not settled stays, whatever its age
    ... without reader   (the archive) a group holds it only while subscribed, so that
                         a replay, killed or finished, blocks nobody
    all                  by age, but those that are kept otherwise

What each topic needs is declared by its name (topics.py); nothing here knows a name.

A clock that was set a moment ago tells no age: for an hour nothing is deleted by it.
Then times that lie more than a day ahead, of a clock that was wrong, are taken back.

When the whole is over its size, what nobody needs goes before its age, the oldest
first: of queues and of the archive (where that frees room: a body stays as long as an
unread queue refers to it), then of what has a budget. When that is not enough the log
is full: ``full`` says for whom.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.log.marks import Marks
from gateway.log.sqlite.clock import Clock
from gateway.log.sqlite.gaps import Gaps
from gateway.log.sqlite.tables import Tables, Topic
from gateway.log.trouble import Trouble
from gateway.notices import Say
from gateway.topics import Declare

STEP_ROWS = 1_000  # one transaction's deletes: an append waits no longer than that
EVERY_S = 1.0  # how often it looks, if not a part of the smallest budget was written
PART = 64
USEFUL = 10  # a chunk of the archive goes when it frees a tenth of its bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How long and how much: ``size`` for the whole, each topic's needs within it."""

    retention_s: float
    size: int
    declared: Declare


class Upkeep:
    """``behind``: call ``run`` again soon. ``full``: why, empty when there is room."""

    def __init__(
        self,
        tables: Tables,
        keeping: Keeping,
        tell: Say,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.behind = False
        self.full = ""
        self._tables = tables
        self._keeping = keeping
        self._declared = keeping.declared
        self._tell = tell
        self.trouble = Trouble(tell, "log_upkeep_failed", "log_upkeep_recovered")
        self._clock = Clock(tell, steady)
        self._gaps = Gaps(tell, steady)
        self._age_checked_at = float("-inf")
        self._looked_at = float("-inf")
        self._rows = self._bytes = 0

    def run(self, now: float, rows_written: int = 0, bytes_written: int = 0) -> None:
        """Delete at most 1,000 rows, or as many as were just written if those are more.

        Deleting has to keep up with writing, or a busy log would outgrow its size.
        """
        self._rows += rows_written
        self._bytes += bytes_written
        if not self._is_due(now):
            return
        self._looked_at = now
        ages = self._clock.believed(now, self._tables.newest_ms / 1000)
        steps = max(1, self._rows // STEP_ROWS)
        self._rows = self._bytes = 0
        for _ in range(steps):
            self.behind = self._step(now, ages=ages)
            if not self.behind:
                break
        self._gaps.tell()
        self.trouble.passed()

    def end(self) -> None:
        """The log is closed: say what is left to say."""
        self._gaps.tell(every=True)

    def _is_due(self, now: float) -> bool:
        return (
            self.behind
            or bool(self.full)
            or self._bytes >= self._bytes_due()
            or abs(now - self._looked_at) >= EVERY_S
        )

    def _bytes_due(self) -> int:
        """A part of the smallest budget: written, it is time to look."""
        budgets = [budget for _, budget in self._budgeted()]
        return min([self._keeping.size, *budgets]) // PART

    def _step(self, now: float, *, ages: bool) -> bool:
        """One transaction at most; False when there was nothing to delete.

        ``ages``: the clock can tell how old a record is.
        """
        for topics, budget in self._budgeted():
            excess = sum(topic.bytes for topic in topics) - budget
            if excess > 0 and self._delete_oldest(topics, excess):
                return True
        if ages and (
            self._tables.step_back(int(now * 1000), STEP_ROWS) or self._delete_aged(now)
        ):
            return True
        return self._make_room()

    def _budgeted(self) -> Iterator[tuple[Sequence[Topic], int]]:
        """The topics that share a budget, and how many bytes it is."""
        shared: dict[str, list[Topic]] = {}
        budgets: dict[str, int] = {}
        for topic in list(self._tables.topics.values()):
            declared = self._declared(topic.name)
            if declared.budget_bytes is not None:
                name = declared.shares or topic.name
                shared.setdefault(name, []).append(topic)
                budgets[name] = declared.budget_bytes
        for name, topics in shared.items():
            yield topics, budgets[name]

    def _delete_aged(self, now: float) -> bool:
        if abs(now - self._age_checked_at) < EVERY_S:
            return False
        before_ms = int((now - self._keeping.retention_s) * 1000)
        for topic in self._deletable():
            span = topic.first, self._floor(topic)
            oldest = self._tables.oldest(topic, *span, 1)
            if oldest and oldest[0][2] < before_ms:
                rows = self._tables.oldest(topic, *span, STEP_ROWS)
                aged = [row for row in rows if row[2] < before_ms]
                self._delete(topic, aged, aged[-1][0] + 1)
                return True
        self._age_checked_at = now
        return False

    def _make_room(self) -> bool:
        """When over size: delete something that nobody needs, or say it is full."""
        excess = self._tables.live_bytes() - self._keeping.size
        if excess <= 0:
            self._set_full("")
            return False
        topics = [t for t in self._deletable() if self._declared(t.name).holds_unread]
        if (
            self._delete_oldest(topics, excess)
            or self._delete_between(topics, excess)
            or any(
                self._delete_oldest(budgeted, excess)
                for budgeted, _ in self._budgeted()
            )
        ):
            return True
        self._set_full(self._why_full())
        return False

    def _deletable(self) -> list[Topic]:
        topics = self._tables.topics.values()
        return [
            each for each in topics if self._declared(each.name).kept == "retention"
        ]

    def _delete_oldest(self, topics: Sequence[Topic], excess: int) -> bool:
        """Delete where the oldest deletable record is the oldest of all."""
        oldest = [
            # Of the same age the archive goes last: only then is its room free.
            (row[2], self._is_archive(topic), topic)
            for topic in topics
            for row in self._tables.oldest(topic, topic.first, self._floor(topic), 1)
        ]
        for _, archive, topic in sorted(oldest, key=lambda place: place[:2]):
            span = topic.first, self._floor(topic)
            rows = list(_up_to(self._tables.oldest(topic, *span, STEP_ROWS), excess))
            if not archive or self._frees_room(topic, rows):
                self._delete(topic, rows, rows[-1][0] + 1)
                return True
        return False

    def _delete_between(self, topics: Sequence[Topic], excess: int) -> bool:
        """Delete settled records above the mark: one blocked person holds only one."""
        for topic in topics:
            if self._is_archive(topic):
                continue
            own, *others = self._holders(topic)
            for start, stop in own.settled() if not others else ():
                if rows := self._tables.oldest(topic, start, stop, STEP_ROWS):
                    self._delete(topic, list(_up_to(rows, excess)), topic.first)
                    return True
        return False

    def _frees_room(self, topic: Topic, rows: Sequence[tuple[int, int, int]]) -> bool:
        """False when almost all of it would stay, as unread queues refer to it too."""
        freed = self._tables.freed_by(topic, rows[0][0], rows[-1][0])
        return freed * USEFUL >= sum(row[1] for row in rows)

    def _delete(
        self, topic: Topic, rows: Sequence[tuple[int, int, int]], first: int
    ) -> None:
        unread = {
            name: sum(stop - start for start, stop in marks.unsettled(0, first))
            for name, marks in topic.groups.items()
        }
        for name, marks in self._tables.delete(topic, rows, first).items():
            if marks is not None and unread[name]:
                self._gaps.add(topic.name, name, unread[name])

    def _holders(self, topic: Topic) -> list[Marks]:
        """The marks that keep a topic's unsettled records from being deleted."""
        declared = self._declared(topic.name)
        if not declared.holds_unread:
            return []
        own, tables = declared.reader, self._tables
        holding = tables.subscribed - tables.loose
        holders = [
            marks
            for name, marks in topic.groups.items()
            if name == own or (topic.name, name) in holding
        ]
        if own is not None and own not in topic.groups:
            holders.append(Marks(topic.first))  # nobody came yet: all of it is unread
        return holders

    def _is_archive(self, topic: Topic) -> bool:
        declared = self._declared(topic.name)
        return declared.holds_unread and declared.reader is None

    def _floor(self, topic: Topic) -> int:
        """Below it, nobody needs the topic's records."""
        return min((m.mark for m in self._holders(topic)), default=topic.next)

    def _set_full(self, why: str) -> None:
        if bool(why) != bool(self.full):
            self._tell("log_full" if why else "log_has_room", why=why or "deleted")
        self.full = why

    def _why_full(self) -> str:
        unread = {
            topic.name: topic.next - self._floor(topic)
            for topic in self._tables.topics.values()
            if self._declared(topic.name).holds_unread
        }
        worst = max(unread, key=lambda name: unread[name], default="")
        if not worst or not unread[worst]:
            return f"the log is full ({self._keeping.size} bytes): raise log.size"
        reader = self._declared(worst).reader or "the replay"
        return (
            f"the log is full ({self._keeping.size} bytes): {unread[worst]} unread"
            f" events in {worst}; raise log.size or let {reader} catch up"
        )


def _up_to(
    rows: Sequence[tuple[int, int, int]], excess: int
) -> Iterator[tuple[int, int, int]]:
    """The first rows, as many as make up ``excess`` bytes."""
    for row in rows:
        if excess <= 0:
            break
        excess -= row[1]
        yield row
