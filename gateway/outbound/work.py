"""The worker of one destination: from poll to settled, the owner of every task.

poll       log -> held (poll.py)
send       a fixed number of them: one attempt at a time (deliver.py)
settle     outcomes and dead letters, then the marks (settle.py)
tend       the timer: wakes lanes whose time has come, and an open breaker's probe
"""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from gateway import topics
from gateway.config import DestinationConfig
from gateway.errors import LogError
from gateway.event import Json, SourceKind
from gateway.log.contract import EventLog, Subscription
from gateway.metrics import Metrics
from gateway.notices import Notice, Notices
from gateway.outbound.bells import happens
from gateway.outbound.clock import Clock
from gateway.outbound.contract import Begins, Destination
from gateway.outbound.deliver import Senders
from gateway.outbound.failure import Trouble
from gateway.outbound.gate import Gate, Step, SuppressedPeople
from gateway.outbound.poll import poll
from gateway.outbound.retry import pause_s
from gateway.outbound.run import Run, begin
from gateway.outbound.settle import tries_so_far
from gateway.trace import Tracer

STOP_GRACE_S = 2.0  # beyond the request timeout, for requests to end by themselves
SETTLE_GRACE_S = 5.0  # for the last settle, when the worker stops


class Worker:
    """Delivers ``to.<name>`` to one destination until told to stop."""

    def __init__(
        self,
        *,
        config: DestinationConfig,
        log: EventLog,
        destination: Destination,
        source_kinds: Mapping[str, SourceKind],
        suppressed: SuppressedPeople,
        metrics: Metrics,
        notices: Notices,
        clock: Clock | None = None,
        steps: Sequence[Step] = (),
        tracer: Tracer | None = None,
    ) -> None:
        self.name = config.name
        self._tracer = tracer
        self._config = config
        self._log = log
        self._destination = destination
        self._metrics = metrics
        self._notices = notices
        self._clock = clock or Clock()
        self._gate = Gate(
            config,
            destination.takes,
            source_kinds=source_kinds,
            suppressed=suppressed,
            more=steps,
            tell=partial(notices.post, config.name),
        )
        self._trouble = Trouble(partial(notices.say, destination=config.name))
        self._stop = asyncio.Event()
        self._run: Run | None = None
        self._subscription: Subscription | None = None
        gauges = metrics.gauges
        gauges["gateway_lag"][self.name] = lambda: self._state().lag
        gauges["gateway_pending"][self.name] = lambda: self._state().pending
        gauges["gateway_breaker_open"][self.name] = lambda: (
            self._state().breaker is not None
        )

    def state(self) -> Mapping[str, Json]:
        """How it stands, for /readyz; ``breaker`` is why it is open, else null.

        ``lag`` is null while it is unknown: no worker follows the topic.
        ``last_failure`` is null until an attempt fails: ``at``, ``reason`` (a status or
        an error), ``host``, and ``location`` of a redirect.
        """
        state = self._state()
        return {
            "running": state.running,
            "paused": self._config.paused,
            "breaker": state.breaker,
            "pending": state.pending,
            "lag": state.lag,
            "last_failure": self._trouble.last(),
        }

    def tries(self, message_id: str, received_at: str) -> Sequence[Json]:
        """The failed attempts so far of an event that has not ended, oldest first.

        As its outcome will have them; the last one with ``request`` and ``response``.
        Empty of an event that is not held here, or was not tried yet.
        """
        if self._run is None:
            return ()
        wanted = [each.encode(errors="replace") for each in (message_id, received_at)]
        found = self._run.held.find(*wanted)
        return () if found is None else tries_so_far(found.tries or (), found.last)

    def _state(self) -> "State":
        run, subscription = self._run, self._subscription
        lag = None if subscription is None else subscription.lag
        if run is None:
            return State(lag=lag)
        return State(
            running=True,
            breaker=run.breaker.cause,
            pending=run.held.events,
            lag=lag,
        )

    def request_stop(self) -> None:
        """Start nothing more; ``run`` returns when what is under way has settled."""
        self._stop.set()
        if self._run is not None:
            self._run.held.wake_senders(all_of_them=True)

    async def run(self) -> None:
        """Deliver until ``request_stop``, or cancelled.

        A log that is away is waited for. Stopping takes the request timeout at most,
        and a little for the last settle; what has not settled then comes back, as after
        a crash. May be called again once it has returned or raised; the destination is
        the caller's to close.
        """
        async with AsyncExitStack() as stack:
            subscription = await self._subscribe(stack)
            if subscription is None:
                return
            self._subscription = subscription
            stack.callback(self._forget)
            run = begin(
                self._config,
                self._destination.takes,
                subscription,
                stop=self._stop,
                metrics=self._metrics,
                notices=self._notices,
                trouble=self._trouble,
                clock=self._clock,
            )
            if await self._remember(run) and await self._began():
                self._run = run
                await self._work(run)

    async def _began(self) -> bool:
        """Let the destination do what comes first; False when told to stop before."""
        if self._config.paused or not isinstance(self._destination, Begins):
            return True
        return await unless(self._stop, self._destination.begin())

    def _forget(self) -> None:
        self._run = self._subscription = None

    async def _subscribe(self, stack: AsyncExitStack) -> Subscription | None:
        """Join the group; None when told to stop before the log let it."""
        topic, failures = topics.to(self.name), 0
        while not self._stop.is_set():
            try:
                following = self._log.subscribe(topic, group=self.name)
                return await stack.enter_async_context(following)
            except LogError:
                failures += 1
                await self._wait_for_log("subscribe", failures)
        return None

    async def _remember(self, run: Run) -> bool:
        """Rebuild the dedupe window from what was settled last (5.4)."""
        failures = 0
        while not self._stop.is_set():
            try:
                if not self._config.paused:
                    await run.remember()
                return True
            except LogError:
                failures += 1
                await self._wait_for_log("remember", failures)
        return False

    async def _wait_for_log(self, what: str, failures: int) -> None:
        self._notices.post(self.name, Notice("log_unavailable", what))
        pause = pause_s(failures, chance=self._clock.chance())
        await happens(self._stop, pause)

    async def _work(self, run: Run) -> None:
        senders = Senders(run, self._destination, self._gate, self._tracer)
        async with asyncio.TaskGroup() as tasks:
            settling = tasks.create_task(run.settler.run(), name=f"{self.name} settle")
            starting = [
                tasks.create_task(poll(run), name=f"{self.name} poll"),
                tasks.create_task(tend(run), name=f"{self.name} tend"),
            ]
            sending = [
                tasks.create_task(senders.send(), name=f"{self.name} send {number}")
                for number in range(run.flights.senders)
            ]
            await self._stop.wait()
            await self._finish(run, starting, sending)
            settling.cancel()

    async def _finish(
        self,
        run: Run,
        starting: Sequence[asyncio.Task[None]],
        sending: Sequence[asyncio.Task[None]],
    ) -> None:
        """End in order: start nothing, let requests end, settle; in bounded time."""
        for task in starting:
            task.cancel()
        bound_s = self._config.delivery.timeout_s + STOP_GRACE_S
        _, late = await asyncio.wait(sending, timeout=bound_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        try:
            async with asyncio.timeout(SETTLE_GRACE_S):
                await run.settler.durable()
        except TimeoutError:
            run.post("stopped_unsettled")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the metrics and /readyz tell of a run; of none, the lag is not known."""

    running: bool = False
    breaker: str | None = None
    pending: int = 0
    lag: int | None = None


async def unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Do it, unless told to stop before it is done; False then."""
    doing, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([doing, stopping], return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
        return doing.done()
    finally:
        doing.cancel()
        stopping.cancel()
        await asyncio.wait([doing, stopping])


async def tend(run: Run) -> None:
    """Wake what is due; sleep until the next is. The one timer of a worker."""
    while True:
        run.alarm.heard()
        now_s = run.clock.monotonic()
        run.held.wake_lanes(now_s)
        run.tell_breaker()
        run.held.wake_senders()
        run.held.nudge_poller()
        await run.alarm.sleep(now_s, min(_alarms(run, now_s), default=float("inf")))


def _alarms(run: Run, now_s: float) -> Iterator[float]:
    if run.breaker.closed:
        yield run.held.next_due_s(now_s)
        return
    for at_s in (run.held.next_probe_s(), run.trouble.open_again_at_s):
        if at_s > now_s:
            yield at_s
