"""Binds a port before anything else starts, so that a taken one is named at once."""

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.config import Config
from gateway.errors import ConfigError, GatewayError, place_of
from gateway.notices import Notice, Notices
from gateway.values import address

BACKLOG = 1_024
LINE_BYTES = 16_384  # of a request's first line: a message id may take 12,000
LOOK_S = 1.0  # whether another connection could be taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A bound port and what serves it; ``said`` is what a terminal is told of it."""

    runner: web.BaseRunner
    url: str
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """A port that somebody beside the road wants, and what answers there.

    ``place`` is the key of the configuration that ``listen`` is from. ``said`` makes of
    its URL what a person at a terminal is told, who may come in by it.
    """

    place: str
    listen: str
    application: web.Application
    said: Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A port that is ours, and that nobody serves yet."""

    listening: socket.socket
    url: str
    secure: ssl.SSLContext | None

    async def serve(self, runner: web.BaseRunner) -> Port:
        """Answer what comes."""
        await runner.setup()
        site = web.SockSite(
            runner, self.listening, ssl_context=self.secure, backlog=BACKLOG
        )
        await site.start()
        return Port(runner=runner, url=self.url)


def bind(
    config: Config,
    key: str,
    *,
    secure: ssl.SSLContext | None = None,
    shared: bool = False,
) -> Bound:
    """Take a port of ``[server]``; see ``take``."""
    text = getattr(config.server, key)
    return take(text, f"server.{key}", secure=secure, shared=shared)


def take(
    text: str,
    place: str,
    *,
    secure: ssl.SSLContext | None = None,
    shared: bool = False,
) -> Bound:
    """Take a port; GatewayError names the place that says so when it is taken.

    ``shared``: other processes may listen on it too (SO_REUSEPORT).
    """
    host, number = address(text, place)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server(
            (host, number),
            family=family,
            backlog=BACKLOG,
            reuse_port=shared,
            dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise GatewayError(
            f"{place}: cannot listen on {text}: {error.strerror}"
        ) from error
    shown = f"[{host}]" if ":" in host else host
    scheme = "https" if secure else "http"
    url = f"{scheme}://{shown}:{bound.getsockname()[1]}"
    return Bound(listening=bound, url=url, secure=secure)


def serving(application: web.Application, notices: Notices) -> web.AppRunner:
    """What serves an application of pages or JSON; see ``ServerLog``."""
    return web.AppRunner(
        application,
        shutdown_timeout=1.0,
        access_log=None,
        logger=ServerLog(notices),
        handler_cancellation=True,
        max_line_size=LINE_BYTES,
    )


class ServerLog(logging.Logger):
    """aiohttp's own log: a bug is a notice, and no trace shows what was asked.

    Of HTTP that is none only its sender is told, by a 400.
    """

    def __init__(self, notices: Notices) -> None:
        super().__init__("server")
        self._notices = notices

    def handle(self, record: logging.LogRecord) -> None:
        """Tell where it was, and which error."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, HttpProcessingError):
            place, name = place_of(error), type(error).__name__
            self._notices.say("bug", place=place, error=name)


async def watch_descriptors(notices: Notices) -> None:
    """Post ``out_of_file_descriptors`` for each second without any; until cancelled.

    The loop is not told: new connections are closed before anybody sees them.
    """
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            os.close(os.open(os.curdir, os.O_RDONLY))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                notice = Notice("out_of_file_descriptors", os.strerror(error.errno))
                notices.post("server.listen", notice)


def tls(config: Config) -> ssl.SSLContext | None:
    """The context of the public port; None without a certificate.

    ConfigError names the key and the file that cannot be used.
    """
    certificate, key = config.server.tls_certificate, config.server.tls_key
    if certificate is None or key is None:
        return None
    for name, file in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            file.read_bytes()
        except OSError as error:
            message = f"server.{name}: cannot read {file}: {error.strerror}"
            raise ConfigError(message) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password="")  # never ask a terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            message = f"server.tls_key: {key} is not the key of {certificate}"
        else:
            message = (
                f"server.tls_certificate, tls_key: {certificate} and {key} "
                f"must be PEM, the key without a password ({error.reason or error})"
            )
        raise ConfigError(message) from error
    return context
