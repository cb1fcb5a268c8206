"""One Node process of one destination: its start, its calls, its end.

It gets a socket pair and nothing else: no network where ``unshare`` can take it, no
files but its own, none of the gateway's environment. Whatever it prints is counted, and
the last of it kept for whoever looks for a fault; it may hold payloads, so it goes
nowhere by itself.
"""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from typing import Any, NamedTuple

from gateway.actions.frames import Frame, Frames
from gateway.actions.space import Room
from gateway.event import Json

SCRIPT = Path(__file__).with_name("sidecar.js")
READY_S = 30.0  # a process that is not ready by then is none
PING_S = 1.0
SILENT_S = 5.0
"""No pong for so long: its loop is blocked. Short enough for an event that blocks it to
be found out within the time of one attempt."""
IDLE_S = 600.0  # with nothing to do for so long it is stopped, until the next event
EXIT_S = 5.0  # it is asked to end, and killed when it has not by then
TAIL_BYTES = 4_096
HEAP_MB = 128
YOUNG_MB = 16
"""What is new is looked through when it is so much: at 4 that took a third of the time
of a busy process; it keeps 25 MB more."""
ANSWERS_BYTES = 4_194_304
"""Of answers that its calls hold together: read and made into objects they are many
times as large. As much as one answer may have."""


class Launch(NamedTuple):
    """How a process is started. ``prefix`` takes the network from it, where it can."""

    node: Path
    installation: Path
    environment: Mapping[str, str]
    prefix: Sequence[str] = ()
    permission: str = "--permission"

    def command(self, descriptor: int) -> list[str]:
        """The whole command, for a process that finds its socket at ``descriptor``."""
        return [
            *self.prefix,
            str(self.node),
            f"--max-old-space-size={HEAP_MB}",
            f"--max-semi-space-size={YOUNG_MB}",
            "--no-addons",
            "--no-warnings",
            "--disable-proto=delete",
            self.permission,
            f"--allow-fs-read={self.installation}/",
            f"--allow-fs-read={SCRIPT}",
            str(SCRIPT),
            str(descriptor),
            str(self.installation),
        ]

    def variables(self) -> dict[str, str]:
        """Its environment: the gateway's own is not in it."""
        return {**self.environment, "NODE_ENV": "production", "TZ": "UTC"}


class Call:
    """What is said of one call, until it is done or the process died."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.was_alone = False
        """Whether nothing else was under way when the process died."""
        self._said: deque[tuple[str, dict[str, Any]] | None] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.held = 0
        """Bytes of answers that it has been given."""

    def tell(self, said: tuple[str, dict[str, Any]] | None) -> None:
        """A frame of this call; None: there will be no more, the process died."""
        self._said.append(said)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> tuple[str, dict[str, Any]] | None:
        """``fetch`` or ``done`` with what it holds; None when the process died.

        For its one caller: a queue for many takes several times as long.
        """
        while not self._said:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._said.popleft()


class Sidecar(asyncio.SubprocessProtocol):
    """A process that runs; ``lost`` is called once, when it can do nothing more."""

    def __init__(self, lost: Callable[["Sidecar"], None]) -> None:
        self._lost = lost
        self._ready: asyncio.Future[str | None] = (
            asyncio.get_running_loop().create_future()
        )
        self._frames = Frames(self._hear, self._over)
        self._exited = asyncio.Event()
        self._process: asyncio.SubprocessTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0
        self._silent_since: float | None = None
        self._idle_since = 0.0
        self.calls: dict[int, Call] = {}
        self._room = Room(ANSWERS_BYTES)
        self._ending = False
        self.alive = True
        self.printed = b""
        self.memory: Mapping[str, int] = {}

    async def start(self, launch: Launch, init: Frame) -> str | None:
        """Run it; why it cannot do its work, or None when it is ready."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 -- the standard library's own
        try:
            self._process, _ = await loop.subprocess_exec(
                lambda: self,
                *launch.command(theirs.fileno()),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                pass_fds=(theirs.fileno(),),
                cwd=launch.installation,
                env=launch.variables(),
            )
        except OSError as error:
            ours.close()
            self.alive = False
            return f"{launch.node} cannot be run: {type(error).__name__}"
        finally:
            theirs.close()
        try:
            refused = await self._begun(ours, init)
        except asyncio.CancelledError:
            self.kill()  # nobody knows of it yet
            self._frames.close()
            raise
        if refused is not None:
            await self.close()
            return refused
        self._idle_since = loop.time()
        self._timer = loop.call_later(PING_S, self._tend)
        return None

    async def _begun(self, ours: socket.socket, init: Frame) -> str | None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._frames, sock=ours)
        self._frames.say("init", init)
        try:
            async with asyncio.timeout(READY_S):
                return await asyncio.shield(self._ready)
        except TimeoutError:
            return f"not ready within {READY_S:.0f} s"

    @property
    def pid(self) -> int | None:
        """The process; None before it runs."""
        return None if self._process is None else self._process.get_pid()

    def open(self, name: str, frame: Mapping[str, Json]) -> Call:
        """Ask for something; its frames come to the call that is returned."""
        self._last += 1
        call = self.calls[self._last] = Call(self._last)
        self._frames.say(name, {"id": call.number, **frame})
        return call

    async def answer(self, call: Call, frame: Frame) -> None:
        """What came back for a fetch, once there is room for it in the process.

        Who has been given something waits no more: it would keep what others wait for.
        """
        size = _size(frame)
        await self._room.take(size, at_once=call.held > 0)
        call.held += size
        self._frames.say("answer", frame)

    def drop(self, call: Call) -> None:
        """Nobody waits for it any more; it is told so, unless it is done."""
        self._room.give(call.held)
        if self.calls.pop(call.number, None) is not None:
            self._frames.say("cancel", {"id": call.number})
        self._idle_since = asyncio.get_running_loop().time()

    def _hear(self, name: str, frame: dict[str, Any]) -> None:
        if name == "fetch":
            if (call := self.calls.get(frame["call"])) is not None:
                call.tell((name, frame))
        elif name == "done":
            if (call := self.calls.pop(frame["id"], None)) is not None:
                call.tell((name, frame))
        elif name == "pong":
            self._silent_since, self.memory = None, frame
        elif name in ("ready", "refused") and not self._ready.done():
            self._ready.set_result(frame.get("reason"))

    def _tend(self) -> None:
        """Ask whether it lives, while it has work; end it when it has none for long."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(PING_S, self._tend)
        now_s = loop.time()
        if self._silent_since is not None:
            if now_s - self._silent_since > SILENT_S:
                self.kill()  # whoever has called may have lost patience already
        elif self.calls:
            self._silent_since = now_s
            self._frames.say("ping", {})
        elif now_s - self._idle_since > IDLE_S:
            self._ending = True
            self._frames.close()

    def _over(self) -> None:
        """The socket is closed: the process died, or is about to."""
        if not self.alive:
            return
        self.alive = False
        if self._timer is not None:
            self._timer.cancel()
        if not self._ending:
            self.kill()  # it may have closed its socket only
        if not self._ready.done():
            self._ready.set_result("it ended before it was ready")
        self._room.open()
        self._lost(self)
        for call in self.calls.values():
            call.was_alone = len(self.calls) == 1
            call.tell(None)
        self.calls.clear()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It printed something: the last of it is kept."""
        del fd
        self.printed = (self.printed + data)[-TAIL_BYTES:]

    def process_exited(self) -> None:
        """It is gone."""
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, and all that it printed was read."""
        del exc
        if self._process is not None:
            self._process.close()

    def kill(self) -> None:
        """End it now."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self) -> None:
        """End it, at once if it does not end by itself; and wait until it is gone."""
        self._ending = True
        self._frames.close()
        if self._process is None:
            return
        try:
            async with asyncio.timeout(EXIT_S):
                await self._exited.wait()
        except TimeoutError:
            self.kill()
            await self._exited.wait()
        self._process.close()


def _size(frame: Frame) -> int:
    """Of an answer's body, as it travels."""
    body = frame.get("body") or frame.get("body64")
    return len(body) if isinstance(body, str) else 0
