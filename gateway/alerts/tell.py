"""Brings messages to a webhook, to Slack, to a command; in order, tried again, bounded.

Each channel has a task of its own: one that hangs holds up no other, and nothing waits
for any of them. What could not be told is a notice.
"""

import asyncio
import contextlib
import os
import random
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gateway.alerts.keep import Book, StateError
from gateway.alerts.message import Message, slack_request, webhook_request
from gateway.alerts.settings import Alerts, found
from gateway.notices import Say
from gateway.outbound.contract import Delivered, Rejected, Retry, Skipped
from gateway.outbound.http import NoResponse, Request, Send, by_status
from gateway.outbound.retry import delay_s

T = TypeVar("T")
TRIES = 10
BASE_S, CAP_S = 2.0, 300.0
GRACE_S = (
    2.0  # for what is under way at a stop; for a command to end when it is asked to
)


class Failed(NamedTuple):
    """Why a message was not taken; ``final``: it never will be."""

    why: str
    final: bool = False
    after_s: float | None = None


Channel = Callable[[Message], Awaitable[Failed | None]]


def channels(settings: Alerts, send: Send, folder: Path) -> Mapping[str, Channel]:
    """Those that are configured, by name; None is what one says when it was told."""
    made: dict[str, Channel] = {}
    if url := settings.webhook:
        secret = settings.secret
        made["webhook"] = _http(send, lambda m: webhook_request(m, url, secret))
    if slack := settings.slack:
        made["slack"] = _http(send, lambda m: slack_request(m, slack))
    if settings.command:
        made["command"] = _command(settings.command, folder, settings.timeout_s)
    return made


def _http(send: Send, request: Callable[[Message], Request]) -> Channel:
    async def tell(message: Message) -> Failed | None:
        response = await send(request(message))
        if isinstance(response, NoResponse):
            return Failed(response.reason)
        match by_status(response):
            case Delivered() | Skipped():
                return None
            case Retry(reason=reason, after_s=after_s):
                return Failed(reason, after_s=after_s)
            case Rejected(detail=detail):
                return Failed(detail, final=True)

    return tell


def _command(command: Sequence[str], folder: Path, timeout_s: float) -> Channel:
    """Started without a shell, the message a line on its standard input; 0: told."""

    async def tell(message: Message) -> Failed | None:
        program = found(command[0], folder) or command[0]
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *command[1:],
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=DEVNULL,
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            return Failed(type(error).__name__)
        try:
            async with asyncio.timeout(timeout_s):
                await process.communicate(message.to_json() + b"\n")
        except TimeoutError:
            return Failed(f"was not done in {timeout_s:g} s")
        finally:
            await _ended(process)
        code = process.returncode
        return None if code == 0 else Failed(f"exit code {code}")

    return tell


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Nothing of it is left, however it ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await process.wait()


class Teller:
    """One channel's task."""

    def __init__(
        self,
        name: str,
        channel: Channel,
        book: Book,
        say: Say,
        *,
        chance: Callable[[], float] = random.random,
        base_s: float = BASE_S,
    ) -> None:
        self._name, self._channel, self._book = name, channel, book
        self._say, self._chance, self._base_s = say, chance, base_s

    async def run(self) -> None:
        """Tell what waits, until cancelled."""
        while True:
            message = self._book.first(self._name)
            if message is None:
                await self._book.news[self._name].wait()
                continue
            why = await self._told(message)
            if why is not None:
                self._say(
                    "alert_untold",
                    channel=self._name,
                    alert=message.rule,
                    subject=message.subject,
                    why=why,
                )
                await self._done(message)

    async def _told(self, message: Message) -> str | None:
        """Try, try again, give up; why, or None once it was taken."""
        why = ""
        for attempt in range(1, TRIES + 1):
            failed = await _to_its_end(self._try(message))
            if failed is None:
                return None
            why = failed.why
            if failed.final or attempt == TRIES:
                break
            await asyncio.sleep(
                delay_s(
                    attempt,
                    base_s=self._base_s,
                    cap_s=CAP_S,
                    after_s=failed.after_s,
                    chance=self._chance(),
                )
            )
        return why

    async def _try(self, message: Message) -> Failed | None:
        """Once; what was taken is written down at once, so that it is told once."""
        failed = await self._channel(message)
        if failed is None:
            await self._done(message)
        return failed

    async def _done(self, message: Message) -> None:
        try:
            await self._book.told(self._name, message)
        except StateError as error:
            self._say("alerts_failed", error=str(error))


async def _to_its_end(trying: Coroutine[Any, Any, T]) -> T:
    """Do it; a stop waits a little for what is under way, or it would be told twice."""
    task = asyncio.ensure_future(trying)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=GRACE_S)
        task.cancel()
        await asyncio.wait([task])
        raise
