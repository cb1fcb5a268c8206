"""One run of a worker: its parts, each of which keeps its own state.

Made by the worker when it starts; a run that ended by a bug leaves nothing behind for
the next. What concerns several parts is done here: taking in what was polled, ending an
event, remembering what was settled before.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.config import DestinationConfig
from gateway.log.contract import Record, Subscription
from gateway.metrics import Metrics
from gateway.notices import Notice, NoticeCode, Notices
from gateway.outbound.bells import Alarm
from gateway.outbound.breaker import FAILING_KEYS, Breaker
from gateway.outbound.clock import Clock
from gateway.outbound.contract import Outcome, Takes
from gateway.outbound.failure import Trouble
from gateway.outbound.flights import Flights
from gateway.outbound.held import Held
from gateway.outbound.lane import Pending, lane_of, one_lane
from gateway.outbound.mark import mark_of
from gateway.outbound.rebalance import Rebalance
from gateway.outbound.seen import IDENTITY, Seen
from gateway.outbound.settle import Attempts, Settled, Settler, entries_of, plainly


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What the poller, the senders and the timer of one run share."""

    config: DestinationConfig
    subscription: Subscription
    stop: asyncio.Event
    clock: Clock
    metrics: Metrics
    notices: Notices
    trouble: Trouble
    breaker: Breaker
    flights: Flights
    alarm: Alarm
    held: Held
    seen: Seen
    settler: Settler
    rebalance: Rebalance
    mark: str

    @property
    def name(self) -> str:
        """The destination's."""
        return self.config.name

    def admit(self, records: Sequence[Record]) -> None:
        """Take in what was polled; duplicates are judged here, in log order (5.4)."""
        now_s = self.clock.monotonic()
        for record in records:
            if self.seen.is_duplicate(record):
                self.held.add_ended(record)
                self.end(Pending(record), Outcome(kind="duplicate"))
            elif self.held.add(record, now_s):
                self.post("key_crowded")
        if records:
            self.held.wake_senders()

    def end(self, pending: Pending, outcome: Outcome) -> None:
        """The event has ended: hand its outcome to the settler."""
        self.metrics.outcomes[self.name, outcome.kind] += 1
        attempts = Attempts(
            pending.attempts,
            pending.first_attempt_ms,
            pending.last_attempt_ms,
            pending.tries or (),
        )
        record, rest = (
            pending.record,
            (self.clock.wall_ms(), self.mark, pending.named()),
        )
        try:
            entries = entries_of(self.name, record, outcome, attempts, *rest)
        except Exception as error:  # noqa: BLE001 -- one event's end ends no worker
            outcome = plainly(outcome, error)
            self.post("bug", outcome.detail)
            entries = entries_of(self.name, record, outcome, attempts, *rest)
        self.settler.add(record, entries)

    async def remember(self, partitions: Collection[int] | None = None) -> None:
        """Rebuild the dedupe window from what was settled last (DESIGN 5.4)."""
        limit = self.config.delivery.dedupe_entries
        settled = self.subscription.before_committed(limit, IDENTITY, partitions)
        async for records in settled:
            self.seen.remember(records)
            await asyncio.sleep(0)

    def tell_breaker(self) -> None:
        """Say what there is to say of the breaker."""
        self.trouble.breaker_is(self.breaker.cause, self.clock.monotonic())

    def post(self, code: NoticeCode, name: str = "") -> None:
        """Post a notice of this destination."""
        self.notices.post(self.name, Notice(code, name))


def begin(
    config: DestinationConfig,
    takes: Takes,
    subscription: Subscription,
    *,
    stop: asyncio.Event,
    clock: Clock,
    metrics: Metrics,
    notices: Notices,
    trouble: Trouble,
) -> Run:
    """The parts of a run, joined to each other and to its subscription."""
    delivery, alarm = config.delivery, Alarm()
    most = takes.concurrency or delivery.concurrency
    flights = Flights(min(delivery.concurrency, most), clock.monotonic)
    alone = lane_of(takes, config.order) is one_lane  # there a failure is everybody's
    keys = 1 if alone else FAILING_KEYS
    breaker = Breaker(delivery.probe_every_s, failing_keys=keys)
    held = Held(
        config,
        takes,
        breaker=breaker,
        flights=flights,
        alarm=alarm,
        clock=clock,
        runs=lambda: subscription.runs,
    )

    def settled(group: Sequence[Settled]) -> None:
        held.settled([each.record for each in group])

    rebalance = Rebalance(flights, settling=lambda: held.settling, resume=held.lose)
    subscription.on_revoke = rebalance.begin
    subscription.on_overdue = rebalance.overdue
    subscription.on_assign = rebalance.end
    return Run(
        config=config,
        subscription=subscription,
        stop=stop,
        clock=clock,
        metrics=metrics,
        notices=notices,
        trouble=trouble,
        breaker=breaker,
        flights=flights,
        alarm=alarm,
        held=held,
        seen=Seen(entries=delivery.dedupe_entries, age_s=delivery.dedupe_s),
        settler=Settler(
            subscription,
            name=config.name,
            notices=notices,
            settled=settled,
            unsettled=delivery.unsettled,
        ),
        rebalance=rebalance,
        mark=mark_of(config),
    )
