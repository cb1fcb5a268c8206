"""The composition root: the only file that joins the rooms and picks concrete parts.

Everything here happens once, at the start or the end; no event passes through.
"""

import asyncio
import contextlib
import gc
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Literal

import aiohttp
from aiohttp import web

from gateway import replay
from gateway.config import Config
from gateway.control import Control
from gateway.errors import ConfigError, place_of
from gateway.event import Json, SourceKind
from gateway.inbound.accept import Acceptor
from gateway.inbound.accept_track import beside
from gateway.inbound.authenticate import Keys
from gateway.inbound.check import SCHEMAS
from gateway.inbound.connection import Server
from gateway.inbound.judge import Judge
from gateway.inbound.listen import Listener
from gateway.inbound.rate import Budget
from gateway.inbound.receive import Receiver
from gateway.log import EventLog, announce, open_log
from gateway.metrics import Metrics
from gateway.notices import Notices
from gateway.outbound.contract import Destination
from gateway.outbound.send import AiohttpSend, open_session
from gateway.outbound.suppressed import Suppressed, follow
from gateway.outbound.work import Worker
from gateway.parts import Parts, check, declared_of, replay_rules, topics_of
from gateway.ports import Port, bind, tls, watch_descriptors
from gateway.workspace.settings import name_of

if TYPE_CHECKING:
    from gateway.workspace.room import Room

FLUSH_S = 60.0  # notices that repeat are written this often
RESTART_S = 1.0  # a worker that failed by a bug of ours starts again
SHUTDOWN_S = 10.0  # for requests under way when a stop is asked for
GC_THRESHOLDS = (50_000, 20, 10)  # messages are trees without cycles: collect rarely

HINT = """\
try   curl {url}/v1/identify -u dev: -d '{{"userId": "97980cfea0067", \
"traits": {{"email": "cool.person@example.com"}}}}'
look  tail -f {inbox}
      .venv/bin/gateway read events
      {admin}/metrics
"""


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


def serve(config: Config, role: Role) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    role.check(config)
    parts = check(config)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(config, parts, role))
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
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
    notices, metrics = Notices(), Metrics()
    metrics.notices = notices.counts
    async with AsyncExitStack() as stack:
        log = await open_log(
            config.log,
            config.limits,
            topics=topics_of(config),
            declared=declared_of(parts),
            notices=notices,
        )
        stack.push_async_callback(log.close)
        metrics.waiting_bytes = lambda: log.waiting_bytes
        session = await stack.enter_async_context(open_session())
        house = House(config, parts, role, log, session, metrics, notices)
        room = house.room(stack)
        suppressed = Suppressed()
        workers = house.workers(stack, room, suppressed)
        public = None if role.name == "worker" else await house.listen()
        if public is not None:
            stack.push_async_callback(public.runner.cleanup)
        admin = await house.listen_to_admin(workers, room)
        stack.push_async_callback(admin.runner.cleanup)
        running = Running(log, workers, room, suppressed, notices, stop)
        await _run(running, public, admin, config=config)


@dataclass(frozen=True, slots=True)
class Running:
    """What runs from ready to drained."""

    log: EventLog
    workers: Sequence[Worker]
    room: "Room | None"
    suppressed: Suppressed
    notices: Notices
    stop: asyncio.Event


async def _run(
    running: Running, public: Port | None, admin: Port, *, config: Config
) -> None:
    """From ready to drained: stop accepting, finish, settle, in this order."""
    async with asyncio.TaskGroup() as tasks:
        notices = running.notices
        beside = [tasks.create_task(_flush(notices))]
        beside.append(tasks.create_task(watch_descriptors(notices)))
        if name_of(config) is None or not running.workers:
            running.suppressed.known.set()
        else:
            beside.append(tasks.create_task(_follow(running)))
        for worker in running.workers:
            tasks.create_task(_keep_running(worker, running))
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        _say_ready(config, public, admin)
        await running.stop.wait()
        if public is not None:
            await public.runner.cleanup()
        for worker in running.workers:
            worker.request_stop()
        for task in beside:
            task.cancel()
    notices.flush()


async def _follow(running: Running) -> None:
    """Know who is suppressed, from before the first event to the end."""
    if running.room is not None:
        await running.room.tell()
    await follow(running.suppressed, running.log, random.random)


async def _keep_running(worker: Worker, running: Running) -> None:
    """A bug of ours in a worker is told and costs a second, not the process."""
    stop = running.stop
    while not stop.is_set():
        try:
            if await _unless(stop, _before(worker, running)):
                await worker.run()
        except Exception as error:  # noqa: BLE001 -- see above; cancellation passes
            cause = _first(error)
            running.notices.say(
                "worker_failed",
                destination=worker.name,
                error=type(cause).__name__,
                place=place_of(cause),
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RESTART_S)


async def _before(worker: Worker, running: Running) -> None:
    """What a worker has to know before its first event."""
    await running.suppressed.known.wait()
    if running.room is not None and running.room.name == worker.name:
        await running.room.catch_up()


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
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


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


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
    session: aiohttp.ClientSession
    metrics: Metrics
    notices: Notices

    @property
    def source_kinds(self) -> dict[str, SourceKind]:
        """Who sends what, by name."""
        return {name: source.kind for name, source in self.config.sources.items()}

    def room(self, stack: AsyncExitStack) -> "Room | None":
        """Where people are kept, if this process works for it; the stack closes it."""
        name = name_of(self.config)
        if name is None or not self.role.works_for(name):
            return None
        from gateway.workspace.room import Room  # noqa: PLC0415 -- costs start-up time

        kept = self.config.destinations[name]
        room = Room(self.config, kept, self.log, self.source_kinds)
        stack.push_async_callback(room.people.close)
        return room

    def workers(
        self, stack: AsyncExitStack, room: "Room | None", suppressed: Suppressed
    ) -> list[Worker]:
        """One worker per destination of this role; the stack closes destinations."""
        config = self.config
        workers = []
        for name, each in config.destinations.items():
            if not each.enabled or not self.role.works_for(name):
                continue
            built: Destination
            if room is not None and room.name == name:
                built = room.people
            else:
                send = AiohttpSend(self.session, timeout_s=each.delivery.timeout_s)
                kind = self.parts.kinds[name]
                built = kind.build(each, folder=config.folder, send=send)
                stack.push_async_callback(built.close)
            workers.append(
                Worker(
                    config=each,
                    log=self.log,
                    destination=built,
                    source_kinds=self.source_kinds,
                    suppressed=suppressed,
                    metrics=self.metrics,
                    notices=self.notices,
                )
            )
        return workers

    async def listen(self) -> Port:
        """Open the public port; several intakes of one machine may share it."""
        config, limits = self.config, self.config.limits
        proxies = [ip_network(each) for each in config.server.trusted_proxies]
        acceptor = Acceptor(
            keys=Keys(config.sources),
            judge=Judge(
                routes=self.parts.routes,
                plans=self.parts.plans,
                limits=limits,
                notices=self.notices,
                trusted_proxies=proxies,
            ),
            limits=limits,
            log=self.log,
            receiver=Receiver(
                body_bytes_max=limits.request_bytes,
                reading_bytes_max=limits.waiting_bytes,
            ),
            metrics=self.metrics,
            budgets={
                name: Budget(source.rate)
                for name, source in config.sources.items()
                if source.rate is not None
            },
        )
        listener = Listener(
            acceptor=acceptor,
            track=beside(acceptor, config.sources),
            schemas=SCHEMAS,
            metrics=self.metrics,
            notices=self.notices,
        )
        runner = web.ServerRunner(Server(listener), shutdown_timeout=SHUTDOWN_S)
        shared = self.role.name == "intake"
        port = await bind(runner, config, "listen", secure=tls(config), shared=shared)
        listener.public_url = (config.server.public_url or port.url).rstrip("/")
        listener.track.public_url = listener.public_url
        return port

    async def listen_to_admin(
        self, workers: Sequence[Worker], room: "Room | None"
    ) -> Port:
        """Open the admin port, and say beside the log where it is."""

        def readiness() -> Mapping[str, Json]:
            return {worker.name: worker.state() for worker in workers}

        def replaying(asked: Mapping[str, Json]) -> AsyncIterator[Mapping[str, Json]]:
            return replaying_on(self.log, self.config, self.parts, asked)

        control = Control(
            log=self.log,
            metrics=self.metrics,
            workers=readiness,
            replaying=replaying,
            more=[] if room is None else room.lookup.routes(),
        )
        runner = web.AppRunner(
            control.application(),
            shutdown_timeout=1.0,
            access_log=None,
            handler_cancellation=True,
        )
        port = await bind(runner, self.config, "admin_listen")
        announce(self.log, admin=port.url, token=control.token)
        return port


async def replaying_on(
    log: EventLog, config: Config, parts: Parts, asked: Mapping[str, Json]
) -> AsyncIterator[Mapping[str, Json]]:
    """A replay's progress, or with ``dry`` what it would send, as JSON values."""
    dry = asked.get("dry", False)
    request = replay.Request(**{k: v for k, v in asked.items() if k != "dry"})
    enabled = {name: each.enabled for name, each in config.destinations.items()}
    replay.check(request, enabled)
    rules = replay_rules(config, parts, request)
    if dry:
        async for shown in replay.dry_run(log, request, rules):
            yield shown
        return
    async for progress in replay.replay(log, request, rules):
        yield progress.as_json()


def _say_ready(config: Config, public: Port | None, admin: Port) -> None:
    where = f"{public.url} " if public is not None else ""
    hint = ""
    if config.file is None and public is not None:
        inbox = config.destinations["inbox"].settings["path"]
        hint = HINT.format(url=public.url, admin=admin.url, inbox=inbox)
    sys.stdout.write(f"ready {where}admin {admin.url}\n{hint}")
    sys.stdout.flush()
