"""One sender: takes a batch, makes one attempt, and sees its events to their end.

A sender is free when its answer is in, and takes its next batch while fewer than
``unsettled`` events have ended and are not yet durably settled. So a crash can repeat
these, and what is under way: one attempt for each sender. A person's next event may
leave before the last one's outcome is durable; both are then repeated, in their order.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from gateway.log.contract import Record
from gateway.metrics import Histogram
from gateway.outbound.attempt import bound_s, deliver
from gateway.outbound.bells import happens
from gateway.outbound.breaker import Probe
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
from gateway.outbound.gate import Gate
from gateway.outbound.headers import named, repeated
from gateway.outbound.lane import Pending
from gateway.outbound.rate import Rate
from gateway.outbound.retry import delay_s
from gateway.outbound.run import Run
from gateway.outbound.settle import given_up, outcome_of
from gateway.outbound.traced import carried_by, ended_as, told_of
from gateway.trace import Tracer

SLOW_S = 1.0  # a failure that took longer cost a sender its time
NEWEST_S = 30.0  # who came last: since
ONLY_DELIVERED = frozenset({Delivered})
MS_NS = 1_000_000
QUIET_EVENTS = 100  # events without a request until the loop may do something else


class Answered(NamedTuple):
    """An attempt, answered: when, as which probe, for several persons, and believed."""

    now_s: float
    probe: Probe | None
    company: bool
    believed: bool


class Senders:
    """What the senders of one run share; ``send`` is the life of each."""

    def __init__(
        self,
        run: Run,
        destination: Destination,
        gate: Gate,
        tracer: Tracer | None = None,
    ) -> None:
        self._run = run
        self._held = run.held
        self._breaker = run.breaker
        self._clock = run.clock
        self._destination = destination
        self._gate = gate
        self._delivery = run.config.delivery
        self._rate = Rate(self._delivery.rate)
        self._tracer = tracer
        self._attempts = run.metrics.attempts
        seconds = run.metrics.delivery_seconds
        self._seconds = seconds.setdefault(run.name, Histogram())

    async def send(self) -> None:
        """Take, attempt, settle; until told to stop, between two batches."""
        held, flights, quiet = self._held, self._run.flights, 0
        while not self._run.stop.is_set():
            kept = flights.keeps_the_next()
            batch, probe = self._take(newest=kept)
            if not batch:
                await held.wait_for_work()
                continue
            held.nudge_poller()
            flights.take_off(kept=kept)
            try:
                tried = await self._attempt(batch, probe)
            finally:
                flights.land(kept=kept)
            await self._run.settler.room()
            if tried:
                quiet = 0
            elif (quiet := quiet + len(batch)) > QUIET_EVENTS:
                await asyncio.sleep(0)
                quiet = 0

    def _take(self, *, newest: bool) -> tuple[list[Pending], Probe | None]:
        """The next batch, and what it probes if the breaker is open.

        ``newest``: this sender is kept for those who came last.
        """
        held, now_s = self._held, self._clock.monotonic()
        if self._run.rebalance.halted:
            return [], None
        since_s = now_s - NEWEST_S
        if self._breaker.closed:
            if newest:
                return held.take_newest(now_s, since_s=since_s), None
            return held.take(now_s), None
        probe = held.may_probe()
        if probe is None or (newest and probe == "due"):
            return [], None
        if newest and probe == "new":
            batch = held.take_newest(now_s, since_s=since_s)
        else:
            batch = held.take_probe(probe, now_s)
        if batch:
            self._breaker.probing(probe, now_s)
            held.wake_senders()  # the next probe may be due, or has a time
        return batch, probe

    async def _attempt(self, batch: Sequence[Pending], probe: Probe | None) -> bool:
        """One attempt at a batch; True when a request was made."""
        run, held = self._run, self._held
        pending, deliveries = self._prepare(batch, probe)
        if not deliveries:
            return False
        wait_s = self._rate.take(len(deliveries), self._clock.monotonic())
        if wait_s and await happens(run.stop, wait_s):
            held.put_back(pending)
            return False
        started_s = self._start(pending)
        verdicts = await deliver(
            self._destination,
            deliveries,
            timeout_s=bound_s(
                self._destination.takes, self._delivery.timeout_s, len(deliveries)
            ),
            under_way=run.flights.deadlines,
        )
        now_s = self._clock.monotonic()
        took_s = now_s - started_s
        self._seconds.observe(took_s, len(verdicts))
        if took_s >= SLOW_S and any(isinstance(each, Retry) for each in verdicts):
            run.flights.hung(now_s)
        if self._tracer is not None:
            self._trace(self._tracer, pending, verdicts)
        if self._breaker.calm and ONLY_DELIVERED.issuperset(map(type, verdicts)):
            self._all_delivered(pending, verdicts)
        else:
            believed = self._tell_breaker(pending, verdicts, now_s, probe)
            company = len(pending) > 1 and not held.alone
            answered = Answered(now_s, probe, company=company, believed=believed)
            for each, verdict in zip(pending, verdicts, strict=True):
                self._judge(each, verdict, answered)
        held.wake_senders()
        return True

    def _prepare(
        self, batch: Sequence[Pending], probe: Probe | None
    ) -> tuple[list[Pending], list[Delivery]]:
        """Split off what needs no request, and end it."""
        going: list[Pending] = []
        deliveries: list[Delivery] = []
        for pending in batch:
            record = pending.record
            at = Place(record.partition, record.offset, record.appended_at_ms)
            message_id, _, replay = pending.named()
            only = None if replay is None else repeated(record.headers)
            prepared = self._gate.prepare(record.value, replay, at, message_id, only)
            if isinstance(prepared, Delivery):
                going.append(pending)
                deliveries.append(prepared)
                continue
            end = prepared.end
            if isinstance(end, Rejected):
                self._note_failure([end], self._clock.monotonic())
            if self._tracer is not None:
                self._trace_end(self._tracer, pending, end)
            self._end(pending, end)
        if probe is not None and not going:
            self._probe_said_nothing(probe)
        return going, deliveries

    def _start(self, batch: Sequence[Pending]) -> float:
        """Count the attempt; the time it starts."""
        now_s, now_ms = self._clock.monotonic(), self._clock.wall_ms()
        age_from_s = now_s - self._breaker.open_s(now_s)
        for pending in batch:
            pending.attempt(now_ms, age_from_s)
        return now_s

    def _trace(
        self, tracer: Tracer, batch: Sequence[Pending], verdicts: Sequence[Verdict]
    ) -> None:
        """A span of the attempt for each of its events that is traced."""
        for pending, verdict in zip(batch, verdicts, strict=True):
            carried = carried_by(pending.record)
            if carried is not None and pending.last_attempt_ms is not None:
                name, start_ns = self._run.name, pending.last_attempt_ms * MS_NS
                told, failed = told_of(verdict)
                told |= {"gateway.destination": name, "gateway.events": len(batch)}
                told["gateway.attempt"] = pending.attempts
                tracer.attempted(f"deliver {name}", carried, start_ns, told, failed)

    def _trace_end(
        self, tracer: Tracer, pending: Pending, end: Outcome | Rejected
    ) -> None:
        """A span of what needed no request."""
        carried = carried_by(pending.record)
        if carried is not None:
            name, (told, failed) = self._run.name, ended_as(end)
            told["gateway.destination"] = name
            now_ns = tracer.now_ns()
            tracer.attempted(f"judge {name}", carried, now_ns, told, failed)

    def _all_delivered(
        self, batch: Sequence[Pending], verdicts: Sequence[Verdict]
    ) -> None:
        """The way of nearly every batch; nobody needs to hear of it."""
        self._attempts[self._run.name, "delivered"] += len(batch)
        self._held.done(batch)
        for pending, verdict in zip(batch, verdicts, strict=True):
            assert isinstance(verdict, Delivered)
            self._run.end(pending, outcome_of(verdict))

    def _judge(self, pending: Pending, verdict: Verdict, answered: Answered) -> None:
        """What becomes of an event after an attempt.

        A rejection that is not believed waits, as a failure does.
        """
        attempts, name = self._attempts, self._run.name
        match verdict:
            case Delivered():
                attempts[name, "delivered"] += 1
                self._end(pending, outcome_of(verdict))
            case Retry():
                attempts[name, "retry"] += 1
                self._retry(pending, verdict, answered)
            case Skipped():
                attempts[name, "skipped"] += 1
                self._end(pending, outcome_of(verdict))
            case Rejected():
                attempts[name, "rejected"] += 1
                if answered.believed or verdict.unsent or verdict.reason == "bug":
                    self._end(pending, verdict)
                else:
                    self._retry(pending, _doubted(verdict), answered)

    def _end(self, pending: Pending, end: Outcome | Rejected) -> None:
        if isinstance(end, Rejected):
            if end.reason == "bug":
                self._run.post("bug", end.detail)
            end = outcome_of(end)
        self._held.done([pending])
        self._run.end(pending, end)

    def _retry(self, pending: Pending, verdict: Retry, answered: Answered) -> None:
        """Wait for the next attempt; give up at max_age (an open breaker halts it).

        Whatever was asked for, the last attempt is when max_age is over. What was said
        of a batch was said of another event, perhaps: each is tried alone soon, not
        before Retry-After, but it is no hour for all. So is a probe that was begun too
        early: it fails, and others are served already.
        """
        delivery, now_s = self._delivery, answered.now_s
        left_s = self._left_s(pending, now_s)
        closed, company = self._breaker.closed, answered.company
        soon = company or (answered.probe is not None and closed)
        if left_s <= 0 and closed and not soon:
            self._end(pending, given_up("max_age", verdict))
            return
        longest_s = delivery.probe_every_s if company else left_s
        pending.failed(verdict, self._clock.wall_ms())
        due_s = now_s + delay_s(
            1 if soon else pending.attempts,
            base_s=delivery.retry_base_s,
            cap_s=min(delivery.retry_cap_s, max(left_s, 0.0)),
            after_s=verdict.after_s and min(verdict.after_s, max(longest_s, 0.0)),
            chance=self._clock.chance(),
        )
        self._held.retry(pending, due_s)

    def _left_s(self, pending: Pending, now_s: float) -> float:
        """Until max_age, by the clock that stands still while the breaker is open."""
        age_s = now_s - self._breaker.open_s(now_s) - pending.age_from_s
        return self._delivery.max_age_s - age_s

    def _tell_breaker(
        self,
        batch: Sequence[Pending],
        verdicts: Sequence[Verdict],
        now_s: float,
        probe: Probe | None,
    ) -> bool:
        """What the answers say of the destination; whether rejections are believed.

        One that is full believes them: there is no place where they could wait. Bugs of
        ours, and what needed no request, say nothing.
        """
        breaker, was_closed = self._breaker, self._breaker.closed
        self._note_failure(verdicts, now_s)
        served, retried, rejected = _told_apart(batch, verdicts)
        believed = True
        if served:
            breaker.delivered(now_s, served, beside=[*retried, *rejected])
            self._held.somebody_was_served(wake=not was_closed)
        elif retried:
            retries = [verdict for verdict in verdicts if isinstance(verdict, Retry)]
            breaker.failed(
                now_s,
                retried,
                auth=any(verdict.auth for verdict in retries),
                away=any(verdict.away for verdict in retries),
                after_s=max(verdict.after_s or 0.0 for verdict in retries),
                too_old=any(self._left_s(each, now_s) <= 0 for each in batch),
                probe=probe,
            )
            believed = breaker.closed
        elif rejected:
            believed = breaker.rejected(now_s, rejected, probe=probe)
        elif probe is not None:
            self._probe_said_nothing(probe)
        if not (was_closed and breaker.closed):
            self._on_breaker(was_closed=was_closed)
        return (believed and (probe is None or bool(served))) or self._held.is_full()

    def _note_failure(self, verdicts: Sequence[Verdict], now_s: float) -> None:
        """One of a batch is enough: what failed is shown, and said if it is news."""
        for verdict in verdicts:
            if isinstance(verdict, (Retry, Rejected)):
                at_ms = self._clock.wall_ms()
                self._run.trouble.failed(verdict, now_s, at_ms)
                return

    def _probe_said_nothing(self, probe: Probe) -> None:
        """Another may go at once."""
        self._breaker.probe_said_nothing(probe, self._clock.monotonic())
        self._held.wake_senders()

    def _on_breaker(self, *, was_closed: bool) -> None:
        self._run.tell_breaker()
        if not self._breaker.closed:
            if was_closed:
                self._held.breaker_opened()
            self._run.alarm.ring()
            self._held.nudge_poller()
        elif not was_closed:
            self._run.alarm.ring()
            self._held.wake_senders()
            self._held.nudge_poller()


def _told_apart(
    batch: Sequence[Pending], verdicts: Sequence[Verdict]
) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """The keys of those that were served, failed for now, and were rejected."""
    served: list[bytes] = []
    retried: list[bytes] = []
    rejected: list[bytes] = []
    for pending, verdict in zip(batch, verdicts, strict=True):
        match verdict:
            case Delivered():
                served.append(pending.record.key)
            case Retry():
                retried.append(pending.record.key)
            case Rejected(reason) if reason != "bug" and not verdict.unsent:
                rejected.append(pending.record.key)
    return served, retried, rejected


def _doubted(verdict: Rejected) -> Retry:
    """A rejection as a failure: perhaps the destination rejects everybody now."""
    reason = verdict.detail or verdict.reason
    status, exchange, more = verdict.status, verdict.exchange, verdict.more
    return Retry(reason, status=status, exchange=exchange, more=more)


def replay_of(record: Record) -> str | None:
    """The id of the replay that appended this record; None for the first time."""
    return named(record)[2]
