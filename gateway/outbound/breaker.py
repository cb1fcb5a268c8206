"""Does the destination serve anybody at all? A circuit breaker (DESIGN 5.3), pure.

    closed     everything may be sent
    open       only probes: nobody has been served since it was opened

An answer is about a person or about the destination, and no answer says which: a 403
may be a wrong password, or a firewall that dislikes one payload. What tells them apart
is what others are answered. Four rules follow.

Nobody's failure stops another. It opens only when nobody is served in between: 401, 403
or 407 for two keys (for the first one, if nobody was served yet), 10 failed requests or
20 rejections in a row over 3 keys or more. Where 3 failed, one failure is enough when
an event of anybody would be given up for its age. The first success of anyone, probe or
not, closes it. Who failed beside a success fails alone: until that key is served again,
it does not count. Our own bugs never do.

A probe can always take somebody new. While it is open, keys that have not failed are
tried at once, then slower and slower: 20 in the first second, 66 in ten, each time from
another end of what is held; in the end one every tenth of ``probe_every`` (after two in
a row of 401, 403, 407 or Retry-After: one every ``probe_every``). Those who have failed
and are due for a retry go at that pace, too, beside them: after an outage they may be
all there are. And every ``probe_every``, or when Retry-After lets it, 5 minutes later
at most, one is probed who is not due: one at a time, the least recently tried first.

While it is open nothing is given up: a rejection is not believed either, it waits for
the time when somebody is served. Nor does anything age, but for the first
``probe_every`` of each time: a breaker that opens and closes is no outage.

It knows nothing that a restart could lose: it begins closed, everybody begins anew, and
the same rules find the same.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

REJECTIONS = 20
FAILURES = 10
FAILING_KEYS = 3  # one person, or two, stop no destination
REFUSED_KEYS = 2  # 401, 403, 407
PROBE_WAIT_MAX_S = 300.0  # what a Retry-After may hold a probe back
KEYS_MAX = 10_000  # keys remembered as failing: as many as a worker holds events
ASKED = 2  # answers in a row that ask for patience: one may be about its person
PACE = 20  # between two new keys passes this part of the time it has been open
SHORTEST, LONGEST = 200, 10  # but these parts of ``probe_every`` at least, at most

Cause = Literal["auth", "away", "rejections", "failures"]
Probe = Literal["new", "due", "failed"]
"""Whom a probe is about: a key that has not failed; one that has, and is due for a
retry; any that has."""


class Breaker:
    """One destination's breaker; all times are seconds of one monotonic clock.

    ``failing_keys`` is how many keys a run of failures must be about: 1 where all
    events share one lane, as there a failure is everybody's.
    """

    def __init__(
        self, probe_every_s: float, *, failing_keys: int = FAILING_KEYS
    ) -> None:
        self._probe_every_s = probe_every_s
        self._failing_keys = failing_keys
        self._served_anybody = False
        self._failures = 0
        self._rejections = 0
        self._failing: set[object] = set()
        self._rejected: set[object] = set()
        self._refused: set[object] = set()
        self._suspects: dict[object, None] = {}  # failed since somebody was served
        self._alone: dict[object, None] = {}  # failed while others were served
        self._opened_s = 0.0
        self._open_before_s = 0.0
        self._asked_to_wait = 0  # by so many probes in a row
        self.cause: Cause | None = None
        """Why it is open, by the last probe; None while it is closed."""
        self.probe_at_s: float | None = None
        """When a key that has failed may be probed; None: closed, or one is probed."""
        self.new_at_s: float | None = None
        """When one that has not failed may be; None: closed, or away for everybody."""
        self.due_at_s = 0.0
        """When one that is due may be."""
        self.tried = 0
        """Keys that had not failed and did, since it was opened."""

    @property
    def closed(self) -> bool:
        """True while everything may be sent."""
        return self.cause is None

    @property
    def calm(self) -> bool:
        """True when everybody is served: another success would say nothing new."""
        return self._served_anybody and not self._suspects and not self._alone

    def open_s(self, now_s: float) -> float:
        """Seconds it has been open, all times together; max_age does not count them.

        Of each time the first ``probe_every`` is not among them.
        """
        if self.cause is None:
            return self._open_before_s
        return self._open_before_s + self._this_time_s(now_s)

    def _this_time_s(self, now_s: float) -> float:
        return max(0.0, now_s - self._opened_s - self._probe_every_s)

    def may_probe(
        self, now_s: float, *, new: bool, due_s: float = float("inf")
    ) -> Probe | None:
        """What may be probed now: ``new`` if there are keys that have not failed.

        ``due_s`` is when the next of the others is due by its own time.
        """
        if self.new_at_s is not None:
            if new and now_s >= self.new_at_s:
                return "new"
            if now_s >= max(due_s, self.due_at_s):
                return "due"
        if self.probe_at_s is not None and now_s >= self.probe_at_s:
            return "failed"
        return None

    def probing(self, probe: Probe, now_s: float) -> None:
        """A probe is on its way."""
        if probe == "failed":
            self.probe_at_s = None
        elif probe == "due":
            self.due_at_s = now_s + self._pause_s(now_s)
        elif self.new_at_s is not None:
            self.new_at_s = now_s + self._pause_s(now_s)

    def probe_said_nothing(self, probe: Probe, now_s: float) -> None:
        """The probe needed no request (filtered, skipped), or met a bug of ours."""
        if self.closed:
            return
        if probe == "failed":
            self.probe_at_s = now_s
        elif probe == "due":
            self.due_at_s = now_s
        elif self.new_at_s is not None:
            self.new_at_s = now_s

    def delivered(
        self, now_s: float, keys: Iterable[object], beside: Iterable[object] = ()
    ) -> None:
        """The destination took events of these; it did not take those of ``beside``."""
        self._served_anybody = True
        if self.cause is not None:
            self._open_before_s += self._this_time_s(now_s)
            self.cause = self.probe_at_s = self.new_at_s = None
        self._failures = self._rejections = 0
        if self._suspects:
            self._alone |= self._suspects
            self._suspects.clear()
            self._failing.clear()
            self._rejected.clear()
            self._refused.clear()
        for key in beside:
            self._alone[key] = None
        if self._alone:
            for key in keys:
                self._alone.pop(key, None)
            while len(self._alone) > KEYS_MAX:
                del self._alone[next(iter(self._alone))]

    def rejected(
        self, now_s: float, keys: Sequence[object], *, probe: Probe | None = None
    ) -> bool:
        """The destination refused events of these for good; True: it is believed.

        Not while it is open, nor when this opens it with more keys than it takes:
        perhaps it refuses everybody.
        """
        counted = self._suspect(keys)
        if self.cause is not None:
            if probe is not None:
                self.cause = "rejections"
                self._probed(probe, now_s, 0.0)
            return False
        self._rejections += len(counted)
        _note(self._rejected, counted, self._failing_keys)
        if self._rejections >= REJECTIONS and len(self._rejected) >= self._failing_keys:
            self._open("rejections", now_s, 0.0)
            return self._rejections == REJECTIONS or len(keys) == 1
        return True

    def failed(
        self,
        now_s: float,
        keys: Sequence[object],
        *,
        auth: bool = False,
        away: bool = False,
        after_s: float | None = None,
        too_old: bool = False,
        probe: Probe | None = None,
    ) -> None:
        """A request failed for now; ``keys`` are the persons it was about.

        ``too_old``: one of its events would be given up. With other keys that failed
        and nobody served since, that is reason enough to open.
        """
        counted = self._suspect(keys)
        after_s = min(max(0.0, after_s or 0.0), PROBE_WAIT_MAX_S)
        cause: Cause = "auth" if auth else "away" if away else "failures"
        if self.cause is not None:
            if probe is not None:
                self.cause = cause
                self._probed(probe, now_s, after_s)
        elif counted or away or too_old:
            self._failures += 1
            _note(self._failing, counted, self._failing_keys)
            if auth:
                _note(self._refused, counted, REFUSED_KEYS)
            if away or self._is_enough(1 if too_old else FAILURES):
                self._open(cause, now_s, after_s)

    def _suspect(self, keys: Sequence[object]) -> list[object]:
        """Those that count: they did not fail alone before (in one lane nobody can)."""
        alone = self._alone if self._failing_keys > 1 else ()
        counted = [key for key in keys if key not in alone]
        if len(self._suspects) < KEYS_MAX:
            self._suspects.update(dict.fromkeys(counted))
        return counted

    def _is_enough(self, failures: int) -> bool:
        """Nobody was served in between, and it is not one person's failure."""
        if self._refused and not self._served_anybody:
            return True
        if len(self._refused) >= REFUSED_KEYS:
            return True
        return self._failures >= failures and len(self._failing) >= self._failing_keys

    def _open(self, cause: Cause, now_s: float, after_s: float) -> None:
        self.cause = cause
        self.tried = 0
        self._opened_s = now_s
        self.probe_at_s = now_s + max(self._probe_every_s, after_s)
        self.new_at_s = None if cause == "away" else now_s
        self.due_at_s = now_s
        self._asked_to_wait = ASKED if cause == "auth" or after_s > 0.0 else 0

    def _probed(self, probe: Probe, now_s: float, after_s: float) -> None:
        """Still nobody was served: when the next may go."""
        if probe == "failed":
            self.probe_at_s = now_s + max(self._probe_every_s, after_s)
        self.tried += probe == "new"
        asked = self.cause == "auth" or after_s > 0.0
        self._asked_to_wait = self._asked_to_wait + 1 if asked else 0
        if self.cause == "away":
            self.new_at_s = None
        elif self.new_at_s is None:
            self.new_at_s = now_s

    def _pause_s(self, now_s: float) -> float:
        """Between two probes of keys that have not failed: longer and longer."""
        patient = self._asked_to_wait >= ASKED
        longest_s = self._probe_every_s / (1 if patient else LONGEST)
        growing_s = (now_s - self._opened_s) / PACE
        return min(max(growing_s, self._probe_every_s / SHORTEST), longest_s)


def _note(known: set[object], keys: Iterable[object], enough: int) -> None:
    """Add keys until there are enough to know."""
    for key in keys:
        if len(known) >= enough:
            break
        known.add(key)
