"""One sender: takes a batch, makes one attempt, and sees its events to their end.

A sender takes its next batch only when its last one is durably settled. So what is
delivered and not yet settled is at most one attempt for each sender, and that is all a
crash can repeat: ``concurrency`` events, or that many batches.
"""

import asyncio
from collections.abc import Sequence

from gateway.config import DeliveryConfig
from gateway.log.contract import Record
from gateway.metrics import Histogram, Metrics
from gateway.outbound.attempt import Gate, deliver
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Destination,
    Outcome,
    Place,
    Rejected,
    Retry,
    Skipped,
    Verdict,
)
from gateway.outbound.held import Held, happens
from gateway.outbound.lanes import Pending
from gateway.outbound.rate import Rate
from gateway.outbound.retry import delay_s
from gateway.outbound.settle import given_up, outcome_of

QUIET_EVENTS = 100  # events without a request until the loop may do something else


class Senders:
    """What the senders of one run share; ``send`` is the life of each."""

    def __init__(
        self,
        held: Held,
        destination: Destination,
        gate: Gate,
        delivery: DeliveryConfig,
        metrics: Metrics,
    ) -> None:
        self._held = held
        self._destination = destination
        self._gate = gate
        self._delivery = delivery
        self._rate = Rate(delivery.rate)
        self._attempts = metrics.attempts
        self._seconds = metrics.delivery_seconds.setdefault(held.name, Histogram())

    async def send(self) -> None:
        """Take, attempt, settle; until told to stop, between two batches."""
        held, quiet = self._held, 0
        while not held.stop.is_set():
            batch, probe = self._take()
            if not batch:
                await held.wait_for_work()
                continue
            held.nudge_poller()
            held.flying += 1
            try:
                tried = await self._attempt(batch, probe=probe)
                if tried:
                    await held.settler.durable()
            finally:
                held.landed()
            if tried:
                quiet = 0
            elif (quiet := quiet + len(batch)) > QUIET_EVENTS:
                await asyncio.sleep(0)
                quiet = 0

    def _take(self) -> tuple[list[Pending], bool]:
        """The next batch, and whether it is a probe."""
        held, now_s = self._held, self._held.clock.monotonic()
        if held.halted:
            return [], False
        if held.breaker.closed:
            return held.lanes.take(now_s), False
        if not held.breaker.may_probe(now_s):
            return [], False
        batch = held.lanes.take_stalest(now_s)
        if batch:
            held.breaker.probing()
        return batch, True

    async def _attempt(self, batch: Sequence[Pending], *, probe: bool) -> bool:
        """One attempt at a batch; True when a request was made."""
        held = self._held
        pending, deliveries = self._prepare(batch, probe=probe)
        if not deliveries:
            return False
        wait_s = self._rate.take(len(deliveries), held.clock.monotonic())
        if wait_s and await happens(held.stop, wait_s):
            held.lanes.put_back(pending)
            return False
        started_s = self._start(pending)
        verdicts = await deliver(
            self._destination,
            deliveries,
            # twice for each: a batch that is refused is sent in parts
            timeout_s=self._delivery.timeout_s * 2 * len(deliveries),
            under_way=held.under_way,
        )
        now_s = held.clock.monotonic()
        self._seconds.observe(now_s - started_s, len(verdicts))
        self._tell_breaker(pending, verdicts, now_s, probe=probe)
        for each, verdict in zip(pending, verdicts, strict=True):
            self._judge(each, verdict, now_s)
        held.wake_senders()
        return True

    def _prepare(
        self, batch: Sequence[Pending], *, probe: bool
    ) -> tuple[list[Pending], list[Delivery]]:
        """Split off what needs no request, and end it."""
        going: list[Pending] = []
        deliveries: list[Delivery] = []
        bugs = 0
        for pending in batch:
            record = pending.record
            at = Place(record.partition, record.offset, record.appended_at_ms)
            prepared = self._gate.prepare(record.value, replay_of(record), at)
            if isinstance(prepared, Delivery):
                going.append(pending)
                deliveries.append(prepared)
                continue
            bugs += isinstance(prepared, Rejected)
            self._end(pending, prepared)
        if bugs or (probe and not going):
            self._tell_breaker_without_request(bugs, probe=probe and not going)
        return going, deliveries

    def _start(self, batch: Sequence[Pending]) -> float:
        """Count the attempt; the time it starts."""
        held = self._held
        now_s, now_ms = held.clock.monotonic(), held.clock.wall_ms()
        for pending in batch:
            pending.attempts += 1
            pending.last_attempt_ms = now_ms
            if pending.first_attempt_ms is None:
                pending.first_attempt_ms = now_ms
                pending.age_from_s = now_s - held.breaker.open_s(now_s)
        return now_s

    def _judge(self, pending: Pending, verdict: Verdict, now_s: float) -> None:
        """What becomes of an event after an attempt."""
        attempts, name = self._attempts, self._held.name
        match verdict:
            case Delivered():
                attempts[name, "delivered"] += 1
                self._end(pending, outcome_of(verdict))
            case Retry():
                attempts[name, "retry"] += 1
                self._retry(pending, verdict, now_s)
            case Skipped():
                attempts[name, "skipped"] += 1
                self._end(pending, outcome_of(verdict))
            case Rejected():
                attempts[name, "rejected"] += 1
                self._end(pending, verdict)

    def _end(self, pending: Pending, end: Outcome | Rejected) -> None:
        if isinstance(end, Rejected):
            if end.reason == "bug":
                self._held.post("bug", end.detail)
            end = outcome_of(end)
        self._held.lanes.done([pending])
        self._held.end(pending, end)

    def _retry(self, pending: Pending, verdict: Retry, now_s: float) -> None:
        """Wait for the next attempt; give up at max_age (an open breaker halts it)."""
        held, delivery = self._held, self._delivery
        age_s = now_s - held.breaker.open_s(now_s) - pending.age_from_s
        left_s = delivery.max_age_s - age_s
        if left_s <= 0 and held.breaker.closed:
            self._end(pending, given_up("max_age", verdict))
            return
        pending.last = verdict
        due_s = now_s + delay_s(
            pending.attempts,
            base_s=delivery.retry_base_s,
            cap_s=min(delivery.retry_cap_s, max(left_s, 0.0)),
            after_s=verdict.after_s,
            chance=held.clock.chance(),
        )
        held.lanes.retry([pending], due_s)
        held.set_alarm(due_s)
        held.nudge_poller()

    def _tell_breaker(
        self,
        batch: Sequence[Pending],
        verdicts: Sequence[Verdict],
        now_s: float,
        *,
        probe: bool,
    ) -> None:
        """One request, one word: delivered beats failed beats rejected."""
        breaker, was_closed = self._held.breaker, self._held.breaker.closed
        retries = [verdict for verdict in verdicts if isinstance(verdict, Retry)]
        rejections = [verdict for verdict in verdicts if isinstance(verdict, Rejected)]
        if any(isinstance(verdict, Delivered) for verdict in verdicts):
            breaker.delivered(now_s, probe=probe)
        elif retries:
            breaker.failed(
                now_s,
                (pending.record.key for pending in batch),
                auth=any(verdict.auth for verdict in retries),
                away=any(verdict.away for verdict in retries),
                after_s=max(verdict.after_s or 0.0 for verdict in retries),
                probe=probe,
            )
        elif probe and any(verdict.reason == "bug" for verdict in rejections):
            breaker.failed(now_s, (), probe=True)  # ours: it says nothing of them
        elif rejections:
            for _ in rejections:
                breaker.rejected(now_s, probe=probe)
        elif probe:
            breaker.probe_said_nothing(now_s)
        self._on_breaker(was_closed=was_closed)

    def _tell_breaker_without_request(self, bugs: int, *, probe: bool) -> None:
        """Events that ended before a request: bugs count, as rejections do."""
        breaker, was_closed = self._held.breaker, self._held.breaker.closed
        now_s = self._held.clock.monotonic()
        if probe and bugs:
            breaker.failed(now_s, (), probe=True)
        elif probe:
            breaker.probe_said_nothing(now_s)
        else:
            for _ in range(bugs):
                breaker.rejected(now_s)
        self._on_breaker(was_closed=was_closed)

    def _on_breaker(self, *, was_closed: bool) -> None:
        held, cause = self._held, self._held.breaker.cause
        if cause is None and not was_closed:
            held.say("breaker_closed")
            held.lanes.wake_all()
            held.wake_senders()
            held.nudge_poller()
        elif cause is not None:
            if was_closed:
                held.say("breaker_open", cause=cause)
            held.alarm.set()


def replay_of(record: Record) -> str | None:
    """The id of the replay that appended this record; None for the first time."""
    for name, value in record.headers:
        if name == "replay":
            return value.decode(errors="replace")
    return None
