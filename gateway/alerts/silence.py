"""Which kinds of events come regularly, and how long each is silent now; pure."""

from collections.abc import Collection, Mapping, Sequence

from gateway.alerts.reading import Silence
from gateway.alerts.settings import EventStopped
from gateway.ledger.names import HOUR_MS, Kind, Steady

LEARNT_MS = 14 * 24 * HOUR_MS
"""The past that tells what is usual: two weekends."""


def silences(
    steady: Sequence[Steady],
    latest: Mapping[Kind, int],
    rule: EventStopped,
    sources: Collection[str],
    now_ms: int,
) -> list[Silence]:
    """Of the kinds that come regularly, from sources that are still configured.

    ``latest``: when kinds came last, where that is known better than in ``steady``.
    """
    return [
        Silence(each.sent.kind, max(0, now_ms - _last(each, latest)), each.silence)
        for each in steady
        if each.sent.kind.source in sources and is_regular(each, rule, now_ms)
    ]


def is_regular(steady: Steady, rule: EventStopped, now_ms: int) -> bool:
    """Often, for long enough, and with silences that the past can tell of."""
    known = steady.sent.first <= now_ms - rule.known_s * 1000
    often = steady.sent.events >= rule.events
    return known and often and rule.times * steady.silence < LEARNT_MS


def known_until(
    now_ms: int, lag: int | None, steady: Sequence[Steady], latest: Mapping[Kind, int]
) -> int:
    """Up to when it is known what came: ``lag`` records are not read yet.

    ``latest`` may tell of kinds that are not regular, too: they were read all the same.

    A ledger that is behind, or stands still, is no silence of the senders.
    """
    if lag == 0:
        return now_ms
    read_ms = max(
        [*latest.values(), *(_last(each, latest) for each in steady)], default=0
    )
    return min(now_ms, read_ms)


def _last(steady: Steady, latest: Mapping[Kind, int]) -> int:
    return max(steady.sent.last, latest.get(steady.sent.kind, 0))
