"""Does the destination answer at all? A circuit breaker (DESIGN 5.3), pure.

    closed     everything may be sent
    open       nothing may; after ``probe_every``, or a longer Retry-After, one probe
    half-open  one probe is on its way

Opens at once on 401, 403, 407 and when a destination says that it is away; on 20
rejections in a row with no success; on 10 failures in a row over 3 keys or more, so
that no single person stops a destination.
What requests under way bring while it is open decides nothing: the probe does. A probe
that is delivered closes it. A probe that is rejected is an answer, too: it closes a
breaker that failures or credentials opened, and keeps open one that rejections opened.
"""

from collections.abc import Iterable
from typing import Literal

REJECTIONS = 20
FAILURES = 10
FAILING_KEYS = 3

Cause = Literal["auth", "away", "rejections", "failures"]


class Breaker:
    """One destination's breaker; all times are seconds of one monotonic clock."""

    def __init__(self, probe_every_s: float) -> None:
        self._probe_every_s = probe_every_s
        self._rejections = 0
        self._failures = 0
        self._failing: set[object] = set()
        self._opened_s: float | None = None
        self._open_before_s = 0.0
        self.cause: Cause | None = None
        """Why it is open; None while it is closed."""
        self.probe_at_s: float | None = None
        """When the next probe may go; None while closed, or while one is on its way."""

    @property
    def closed(self) -> bool:
        """True while everything may be sent."""
        return self.cause is None

    def open_s(self, now_s: float) -> float:
        """Seconds it has been open, all times together; max_age does not count them."""
        since = 0.0 if self._opened_s is None else now_s - self._opened_s
        return self._open_before_s + since

    def may_probe(self, now_s: float) -> bool:
        """True when it is open and a probe is due."""
        return self.probe_at_s is not None and now_s >= self.probe_at_s

    def probing(self) -> None:
        """A probe is on its way: no other may go until it has ended."""
        self.probe_at_s = None

    def probe_said_nothing(self, now_s: float) -> None:
        """The probe needed no request (filtered, skipped): another may go at once."""
        if self.cause is not None:
            self.probe_at_s = now_s

    def delivered(self, now_s: float, *, probe: bool = False) -> None:
        """The destination took an event."""
        if self.closed or probe:
            self._close(now_s)

    def rejected(self, now_s: float, *, probe: bool = False) -> None:
        """The destination refused an event for good."""
        if probe and self.cause != "rejections":
            self._close(now_s)
        self._failures = 0
        self._failing.clear()
        self._rejections += 1
        if probe and self.cause is not None:
            self._wait(now_s, None)
        elif self._rejections >= REJECTIONS:
            self._open("rejections", now_s, None)

    def failed(
        self,
        now_s: float,
        keys: Iterable[object],
        *,
        auth: bool = False,
        away: bool = False,
        after_s: float | None = None,
        probe: bool = False,
    ) -> None:
        """A request failed for now; ``keys`` are the persons it was about."""
        if probe:
            self._wait(now_s, after_s)
            return
        self._failures += 1
        for key in keys:
            if len(self._failing) >= FAILING_KEYS:
                break
            self._failing.add(key)
        if auth or away:
            self._open("auth" if auth else "away", now_s, after_s)
        elif self._failures >= FAILURES and len(self._failing) >= FAILING_KEYS:
            self._open("failures", now_s, after_s)

    def _open(self, cause: Cause, now_s: float, after_s: float | None) -> None:
        if self.cause is None:
            self.cause = cause
            self._opened_s = now_s
            self._wait(now_s, after_s)

    def _wait(self, now_s: float, after_s: float | None) -> None:
        self.probe_at_s = now_s + max(self._probe_every_s, after_s or 0.0)

    def _close(self, now_s: float) -> None:
        self._open_before_s = self.open_s(now_s)
        self._opened_s = self.cause = self.probe_at_s = None
        self._rejections = self._failures = 0
        self._failing.clear()
