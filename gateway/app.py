"""The composition root: the only file that joins the rooms and picks concrete parts.

Everything here happens once, at the start or the end; no event passes through.
"""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network
from typing import Literal

from aiohttp import web

from gateway.admin.port import AdminPort
from gateway.config import Config
from gateway.errors import ConfigError, place_of
from gateway.event import Json
from gateway.inbound.accept import Acceptor
from gateway.inbound.authenticate import SITE_KEYS, Keys
from gateway.inbound.check import SCHEMAS
from gateway.inbound.doors.pipelines import Pipelines
from gateway.inbound.doors.track.api import TrackApi
from gateway.inbound.rate import Budget
from gateway.inbound.receive import Receiver
from gateway.inbound.serve.connection import Server
from gateway.inbound.serve.listen import Listener
from gateway.log import EventLog, announce, open_log
from gateway.metrics import Metrics
from gateway.notices import NoticeCode, Notices
from gateway.outbound.send import Ways, open_ways
from gateway.outbound.suppressed import Suppressed
from gateway.outbound.work import Worker, unless
from gateway.parts import Parts, all_previews, declared_of, topics_of
from gateway.ports import Listening, Port, bind, serving, take, tls, watch_descriptors
from gateway.ready import say_ready, token_of
from gateway.replay.rules import steps
from gateway.sizes import Sizes
from gateway.telemetry.export import tracing
from gateway.trace import Tracer
from gateway.values import address
from gateway.wing import Opened, Readiness, Shared, Shows

FLUSH_S = 60.0  # notices that repeat are written this often
RESTART_S = 1.0  # a worker that failed by a bug of ours starts again
SHUTDOWN_S = 10.0  # for requests under way when a stop is asked for
GC_THRESHOLDS = (50_000, 20, 10)  # messages are trees without cycles: collect rarely


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What this process does; ``destinations`` None: all that are enabled."""

    name: Literal["all", "intake", "worker"] = "all"
    destinations: frozenset[str] | None = None

    def check(self, config: Config) -> None:
        """Raise ConfigError for a role that this configuration cannot have."""
        if config.log.kind == "sqlite" and self != Role():
            message = (
                "SQLite's log belongs to one process: --role all, or log.kind kafka"
            )
            raise ConfigError(message)
        unknown = (self.destinations or frozenset()) - config.destinations.keys()
        if unknown:
            known = ", ".join(config.destinations)
            raise ConfigError(f"--destination {min(unknown)}: known are: {known}")
        if self.name == "intake" and self.destinations is not None:
            raise ConfigError("--destination is for workers; an intake has none")

    def works_for(self, destination: str) -> bool:
        """Whether this process delivers to it."""
        if self.name == "intake":
            return False
        return self.destinations is None or destination in self.destinations


def serve(config: Config, parts: Parts, role: Role) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    role.check(config)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(config, parts, role))
    return 0


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is to be had; None: the standard library's."""
    try:
        import uvloop  # noqa: PLC0415 -- not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(config: Config, parts: Parts, role: Role) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    token = None if role.name == "intake" else token_of(config)

    def ready(public: Port | None, admin: Port, more: Sequence[Port]) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        say_ready(config, public, admin, more, token)

    await run(config, parts, role, notices=Notices(), stop=stop, ready=ready)


async def run(
    config: Config,
    parts: Parts,
    role: Role,
    *,
    notices: Notices,
    stop: asyncio.Event,
    ready: Callable[[Port | None, Port, Sequence[Port]], None],
) -> None:
    """Be a gateway until ``stop`` is set; ``ready`` hears of the ports once it is one.

    The third are those of wings.

    What is under way then is finished and settled before this returns.
    """
    metrics = Metrics()
    metrics.notices = notices.counts
    async with AsyncExitStack() as stack:
        log = await open_log(
            config.log,
            config.limits,
            topics=topics_of(config, parts),
            declared=declared_of(config, parts),
            notices=notices,
        )
        stack.push_async_callback(log.close)
        metrics.waiting_bytes = lambda: log.waiting_bytes
        ways = await stack.enter_async_context(open_ways(config.server, config.egress))
        shows = await stack.enter_async_context(all_previews(config, parts))
        tracer = await stack.enter_async_context(tracing(config, notices))
        house = House(config, parts, role, log, ways, metrics, notices, shows, tracer)
        wings = house.wings(stack)
        workers = house.workers(stack, wings)
        public = None if role.name == "worker" else await house.listen()
        if public is not None:
            stack.push_async_callback(public.runner.cleanup)
        admin = await house.listen_to_admin(wings)
        stack.push_async_callback(admin.runner.cleanup)
        more = await house.listen_for(wings, stack)
        sizes = Sizes(log, metrics)
        running = Running(workers, wings, Readiness(len(wings)), notices, sizes, stop)
        await _run(running, public, ready=lambda: ready(public, admin, more))


@dataclass(frozen=True, slots=True)
class Running:
    """What runs from ready to drained."""

    workers: Sequence[Worker]
    wings: Sequence[Opened]
    ready: Readiness
    notices: Notices
    sizes: Sizes
    stop: asyncio.Event


async def _run(
    running: Running, public: Port | None, *, ready: Callable[[], None]
) -> None:
    """From ready to drained: stop accepting, finish, settle, in this order."""
    async with asyncio.TaskGroup() as tasks:
        notices = running.notices
        beside = [tasks.create_task(_flush(notices))]
        beside.append(tasks.create_task(watch_descriptors(notices)))
        beside.append(tasks.create_task(running.sizes.run()))
        for wing in running.wings:
            work = _keep_wing(wing, running.ready.say(), running)
            beside.append(tasks.create_task(work))
        for worker in running.workers:
            tasks.create_task(_keep_running(worker, running))
        ready()
        await running.stop.wait()
        if public is not None:
            await public.runner.cleanup()
        for worker in running.workers:
            worker.request_stop()
        for task in beside:
            task.cancel()
    notices.flush()


async def _keep_running(worker: Worker, running: Running) -> None:
    """A bug of ours in a worker is told and costs a second, not the process."""
    stop = running.stop
    while not stop.is_set():
        try:
            if await unless(stop, running.ready.wait()):
                await worker.run()
        except Exception as error:  # noqa: BLE001 -- see above; cancellation passes
            _tell(running.notices, "worker_failed", error, destination=worker.name)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RESTART_S)


async def _keep_wing(wing: Opened, ready: Callable[[], None], running: Running) -> None:
    """A bug of ours in a wing is told and costs a second, not the process."""
    while True:
        try:
            await wing.run(ready)
        except Exception as error:  # noqa: BLE001 -- see above; cancellation passes
            _tell(running.notices, "wing_failed", error, wing=type(wing).__name__)
        await asyncio.sleep(RESTART_S)


def _tell(notices: Notices, code: NoticeCode, error: BaseException, **who: str) -> None:
    """Say whose bug it is and where: of several errors at once, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    notices.say(code, **who, error=type(error).__name__, place=place_of(error))


async def _flush(notices: Notices) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        notices.flush()


@dataclass(frozen=True, slots=True)
class House:
    """What all parts of this process share."""

    config: Config
    parts: Parts
    role: Role
    log: EventLog
    ways: Ways
    metrics: Metrics
    notices: Notices
    shows: Shows
    tracer: Tracer | None
    suppressed: Suppressed = field(default_factory=Suppressed)
    at_work: list[Worker] = field(default_factory=list)

    def wings(self, stack: AsyncExitStack) -> list[Opened]:
        """The wings that have a part in this process; the stack closes them."""
        shared = Shared(
            config=self.config,
            log=self.log,
            metrics=self.metrics,
            notices=self.notices,
            suppressed=self.suppressed,
            plans=self.parts.rules.plans,
            works_for=self.role.works_for,
            accepts=self.role.name != "worker",
            configured=self.parts.configured,
            states=self.states,
            tries=self.tries,
            replaying=self.replaying,
            send=self.ways.send,
            shows=self.shows,
        )
        opened: list[Opened] = []
        for wing in self.parts.wings:
            if self.role.name != "intake" and (here := wing.open(shared)) is not None:
                stack.push_async_callback(here.close)
                opened.append(here)
        return opened

    def workers(self, stack: AsyncExitStack, wings: Sequence[Opened]) -> list[Worker]:
        """One worker per destination of this role; the stack closes destinations."""
        config, workers = self.config, self.at_work
        theirs = {n: each for wing in wings for n, each in wing.destinations.items()}
        for name, each in config.destinations.items():
            if not each.enabled or not self.role.works_for(name):
                continue
            built = theirs.get(name)
            if built is None:
                send = self.ways.send(each.delivery.timeout_s)
                tell = partial(self.notices.post, name)
                built = self.parts.configured[name].open(send, tell)
                stack.push_async_callback(built.close)
            workers.append(
                Worker(
                    config=each,
                    log=self.log,
                    destination=built,
                    source_kinds=config.source_kinds,
                    suppressed=self.suppressed,
                    metrics=self.metrics,
                    notices=self.notices,
                    steps=self.parts.configured[name].steps,
                    tracer=self.tracer,
                )
            )
        return workers

    async def listen(self) -> Port:
        """Open the public port; several intakes of one machine may share it."""
        config, shared = self.config, self.role.name == "intake"
        bound = bind(config, "listen", secure=tls(config), shared=shared)
        url = (config.server.public_url or bound.url).rstrip("/")
        acceptor, sources = self._acceptor(), config.sources
        keys = Keys(sources, uses=self.metrics.keys)
        track_keys = Keys(sources, SITE_KEYS, self.metrics.keys)
        listener = Listener(
            pipelines=Pipelines(acceptor=acceptor, keys=keys),
            track=TrackApi(acceptor=acceptor, keys=track_keys, public_url=url),
            schemas=SCHEMAS,
            metrics=self.metrics,
            notices=self.notices,
            public_url=url,
        )
        runner = web.ServerRunner(Server(listener), shutdown_timeout=SHUTDOWN_S)
        return await bound.serve(runner)

    def _acceptor(self) -> Acceptor:
        config, limits = self.config, self.config.limits
        return Acceptor(
            rules=self.parts.rules,
            log=self.log,
            receiver=Receiver(
                body_bytes_max=limits.request_bytes,
                reading_bytes_max=limits.waiting_bytes,
            ),
            metrics=self.metrics,
            notices=self.notices,
            trusted_proxies=[
                ip_network(each) for each in config.server.trusted_proxies
            ],
            budgets={
                name: Budget(source.rate)
                for name, source in config.sources.items()
                if source.rate is not None
            },
            tracer=self.tracer,
        )

    def states(self) -> Mapping[str, Json]:
        """How each worker stands."""
        return {worker.name: worker.state() for worker in self.at_work}

    def tries(
        self, destination: str, message_id: str, received_at: str
    ) -> Sequence[Json]:
        """What a worker of this process has tried in vain, of one event."""
        for worker in self.at_work:
            if worker.name == destination:
                return worker.tries(message_id, received_at)
        return ()

    def replaying(self, asked: Mapping[str, Json]) -> AsyncIterator[Mapping[str, Json]]:
        """A replay, a step at a time."""
        return steps(self.log, self.config, self.parts, asked, self.notices)

    async def listen_for(
        self, wings: Sequence[Opened], stack: AsyncExitStack
    ) -> list[Port]:
        """Open the ports of wings; the stack closes them."""
        opened = []
        for each in [each for wing in wings for each in wing.ports]:
            port = await _listen(each, self.notices)
            stack.push_async_callback(port.runner.cleanup)
            opened.append(port)
        return opened

    async def listen_to_admin(self, wings: Sequence[Opened]) -> Port:
        """Open the admin port, and say beside the log where it is."""
        host, _ = address(self.config.server.admin_listen, "server.admin_listen")
        control = AdminPort(
            log=self.log,
            metrics=self.metrics,
            notices=self.notices,
            workers=self.states,
            replaying=self.replaying,
            mounts=[mount for wing in wings for mount in wing.mounts],
            hosts=(host, *self.config.server.admin_hosts),
        )
        runner = serving(control.application(), self.notices)
        port = await bind(self.config, "admin_listen").serve(runner)
        announce(self.log, admin=port.url, token=control.token)
        return port


async def _listen(wanted: Listening, notices: Notices) -> Port:
    """Open a port of a wing."""
    runner = serving(wanted.application, notices)
    port = await take(wanted.listen, wanted.place).serve(runner)
    return replace(port, said=wanted.said(port.url))
