"""The composition root: the only file that joins the rooms and picks concrete parts.

Everything here happens once, at the start or the end; no event passes through.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import ip_network

import aiohttp
from aiohttp import web

from gateway.config import Config
from gateway.control import Control
from gateway.errors import ConfigError, GatewayError, place_of
from gateway.event import EventType, Json
from gateway.inbound.accept import Acceptor
from gateway.inbound.authenticate import Keys
from gateway.inbound.check import SCHEMAS, Plan, load_plan
from gateway.inbound.listen import Listener, Server
from gateway.inbound.rate import Budget
from gateway.inbound.receive import Receiver
from gateway.inbound.route import Routes
from gateway.log import EventLog, announce, open_log
from gateway.metrics import Metrics
from gateway.notices import Notices
from gateway.outbound import destinations
from gateway.outbound.send import AiohttpSend, open_session
from gateway.outbound.suppressed import Suppressed
from gateway.outbound.when import Filter
from gateway.outbound.work import Worker
from gateway.values import address

FLUSH_S = 60.0  # notices that repeat are written this often
RESTART_S = 1.0  # a worker that failed by a bug of ours starts again
SHUTDOWN_S = 10.0  # for requests under way when a stop is asked for
BACKLOG = 1_024
GC_THRESHOLDS = (50_000, 20, 10)  # messages are trees without cycles: collect rarely

HINT = """\
try   curl {url}/v1/identify -u dev: -d '{{"userId": "97980cfea0067", \
"traits": {{"email": "cool.person@example.com"}}}}'
look  tail -f {inbox}
      .venv/bin/gateway read events
      {admin}/metrics
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the configuration means, checked; made without opening anything."""

    routes: Routes
    plans: Mapping[str, Plan]
    kinds: Mapping[str, destinations.Kind]


def check(config: Config) -> Parts:
    """Find everything that can be wrong; ConfigError names file, key and remedy."""
    with _in_file(config):
        if config.log.kind != "sqlite":
            raise ConfigError(f"log.kind: {config.log.kind!r} is not served yet")
        kinds = {name: _kind(config, name) for name in config.destinations}
        taken = {
            name: _taken(kind, config.destinations[name].types)
            for name, kind in kinds.items()
        }
        plans = {
            name: load_plan(source.schema, source.violation)
            for name, source in config.sources.items()
            if source.schema is not None
        }
    return Parts(routes=Routes(config.destinations, taken), plans=plans, kinds=kinds)


@contextlib.contextmanager
def _in_file(config: Config) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        name = config.file or "built-in default"
        raise ConfigError(f"{name}: {error}") from error


def _kind(config: Config, name: str) -> destinations.Kind:
    destination, place = config.destinations[name], f"destinations.{name}"
    try:
        kind = destinations.load(destination.type)
    except ConfigError as error:
        raise ConfigError(f"{place}.{error}") from error
    kind.check(destination.settings, place=f"{place}.settings")
    if destination.when is not None:
        Filter(destination.when, place=f"{place}.when")
    return kind


def _taken(
    kind: destinations.Kind, wanted: tuple[str, ...] | None
) -> frozenset[EventType]:
    types = kind.traits.types
    return types if wanted is None else frozenset(t for t in types if t in wanted)


def serve(config: Config) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    parts = check(config)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(config, parts))
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 -- not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(config: Config, parts: Parts) -> None:
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
            topics=_topics(config),
            notices=notices,
        )
        stack.push_async_callback(log.close)
        session = await stack.enter_async_context(open_session())
        workers = _workers(config, parts, log, session, metrics, notices, stack)
        metrics.waiting_bytes = lambda: log.waiting_bytes
        public = await _listen_publicly(config, parts, log, metrics, notices)
        stack.push_async_callback(public.runner.cleanup)
        admin = await _listen_to_admin(config, log, metrics, workers)
        stack.push_async_callback(admin.runner.cleanup)
        await _run(workers, public, admin, notices=notices, config=config, stop=stop)


async def _run(
    workers: Sequence[Worker],
    public: "Port",
    admin: "Port",
    *,
    notices: Notices,
    config: Config,
    stop: asyncio.Event,
) -> None:
    """From ready to drained: stop accepting, finish, settle, in this order."""
    async with asyncio.TaskGroup() as tasks:
        for worker in workers:
            tasks.create_task(_keep_running(worker, notices, stop))
        flusher = tasks.create_task(_flush(notices))
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        _say_ready(config, public, admin)
        await stop.wait()
        await public.runner.cleanup()
        for worker in workers:
            worker.request_stop()
        flusher.cancel()
    notices.flush()


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _flush(notices: Notices) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        notices.flush()


def _topics(config: Config) -> list[str]:
    names = list(config.destinations)
    return [
        "events",
        "refused",
        "outcomes",
        *(f"to.{name}" for name in names),
        *(f"dead.{name}" for name in names),
    ]


def _workers(
    config: Config,
    parts: Parts,
    log: EventLog,
    session: aiohttp.ClientSession,
    metrics: Metrics,
    notices: Notices,
    stack: AsyncExitStack,
) -> list[Worker]:
    """One worker per enabled destination; the stack closes the destinations."""
    source_kinds = {name: source.kind for name, source in config.sources.items()}
    suppressed = Suppressed()
    workers = []
    for name, each in config.destinations.items():
        if not each.enabled:
            continue
        send = AiohttpSend(session, timeout_s=each.delivery.timeout_s)
        built = parts.kinds[name].build(each, folder=config.folder, send=send)
        stack.push_async_callback(built.close)
        workers.append(
            Worker(
                config=each,
                log=log,
                destination=built,
                source_kinds=source_kinds,
                suppressed=suppressed,
                metrics=metrics,
                notices=notices,
            )
        )
    return workers


async def _keep_running(worker: Worker, notices: Notices, stop: asyncio.Event) -> None:
    """A bug of ours in a worker is told and costs a second, not the process."""
    while not stop.is_set():
        try:
            await worker.run()
        except Exception as error:  # noqa: BLE001 -- see above; cancellation passes
            cause = _first(error)
            notices.say(
                "worker_failed",
                destination=worker.name,
                error=type(cause).__name__,
                place=place_of(cause),
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RESTART_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A bound port and what serves it."""

    runner: web.BaseRunner
    url: str


async def _listen_publicly(
    config: Config, parts: Parts, log: EventLog, metrics: Metrics, notices: Notices
) -> Port:
    limits = config.limits
    acceptor = Acceptor(
        keys=Keys(config.sources),
        routes=parts.routes,
        plans=parts.plans,
        limits=limits,
        log=log,
        receiver=Receiver(
            body_bytes_max=limits.request_bytes,
            reading_bytes_max=limits.waiting_bytes,
        ),
        metrics=metrics,
        notices=notices,
        trusted_proxies=[ip_network(each) for each in config.server.trusted_proxies],
        budgets={
            name: Budget(source.rate)
            for name, source in config.sources.items()
            if source.rate is not None
        },
    )
    listener = Listener(
        acceptor=acceptor, schemas=SCHEMAS, metrics=metrics, notices=notices
    )
    runner = web.ServerRunner(Server(listener), shutdown_timeout=SHUTDOWN_S)
    port = await _bind(runner, config, "listen", secure=_tls(config))
    listener.public_url = (config.server.public_url or port.url).rstrip("/")
    return port


async def _listen_to_admin(
    config: Config, log: EventLog, metrics: Metrics, workers: Sequence[Worker]
) -> Port:
    def readiness() -> Mapping[str, Json]:
        return {worker.name: worker.state() for worker in workers}

    control = Control(log=log, metrics=metrics, workers=readiness)
    runner = web.AppRunner(control.application(), shutdown_timeout=1.0, access_log=None)
    port = await _bind(runner, config, "admin_listen")
    announce(log, admin=port.url, token=control.token)
    return port


async def _bind(
    runner: web.BaseRunner,
    config: Config,
    key: str,
    secure: ssl.SSLContext | None = None,
) -> Port:
    """Start a port; GatewayError names the key when it is taken."""
    text = getattr(config.server, key)
    host, number = address(text, f"server.{key}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, number), family=family, backlog=BACKLOG)
    except OSError as error:
        raise GatewayError(
            f"server.{key}: cannot listen on {text}: {error.strerror}"
        ) from error
    await runner.setup()
    site = web.SockSite(runner, bound, ssl_context=secure, backlog=BACKLOG)
    await site.start()
    shown = f"[{host}]" if ":" in host else host
    scheme = "https" if secure else "http"
    return Port(runner=runner, url=f"{scheme}://{shown}:{bound.getsockname()[1]}")


def _tls(config: Config) -> ssl.SSLContext | None:
    certificate, key = config.server.tls_certificate, config.server.tls_key
    if certificate is None or key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"server.tls_certificate, tls_key: {error}") from error
    return context


def _say_ready(config: Config, public: Port, admin: Port) -> None:
    hint = ""
    if config.file is None:
        inbox = config.destinations["inbox"].settings["path"]
        hint = HINT.format(url=public.url, admin=admin.url, inbox=inbox)
    sys.stdout.write(f"ready {public.url} admin {admin.url}\n{hint}")
    sys.stdout.flush()
