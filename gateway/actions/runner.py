"""Calls to a sidecar, whatever becomes of it: started when needed, started again.

When a process dies, the calls that were under way are suspects: one of their events may
have killed it. They are run again one at a time, before anything else is, in a new
process. Who kills it again, alone, twice, is to blame; the others are done by then.
Nobody else learns of it, so a breaker does not hear of a crash.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from gateway.actions.frames import Frame
from gateway.actions.process import Call, Launch, Sidecar
from gateway.event import Json
from gateway.notices import Notice

ALONE_MAX = 2  # deaths with only one call open, after which it is to blame
DEATHS_MAX, DEATHS_S = 3, 60.0  # so many with no call open at all: it cannot run
PAUSE_CAP_S = 30.0  # between starts that fail

Fetch: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[Frame]]
"""(a ``fetch`` frame) -> the ``answer`` frame"""


class Unable(NamedTuple):
    """There is no process to ask, and why; true of every event."""

    reason: str


Died: TypeAlias = Literal["died", "died alone"]
Said: TypeAlias = dict[str, Any] | Unable | Died


class Runner:
    """One destination's process, or the next one."""

    def __init__(
        self,
        launch: Launch,
        init: Mapping[str, Json],
        tell: Callable[[Notice], None],
    ) -> None:
        self._launch = launch
        self._init = init
        self._tell = tell
        self._sidecar: Sidecar | None = None
        self._starting = asyncio.Lock()
        self._alone = asyncio.Lock()
        self._calm = asyncio.Event()
        self._calm.set()
        self._open: set[_Turn] = set()
        self._suspects = 0
        self._closed = False
        self._failures = 0
        self._not_before_s = 0.0
        self._why = ""
        self._deaths: deque[float] = deque(maxlen=DEATHS_MAX)

    @property
    def sidecar(self) -> Sidecar | None:
        """The process that runs now, if one does."""
        return self._sidecar

    async def run(self, name: str, frame: Mapping[str, Json], fetch: Fetch) -> Said:
        """What became of a call: its ``done`` frame; or it killed its process.

        Requests are made by ``fetch``, one after the other, in the caller's own task.
        """
        if self._suspects:
            await self._calm.wait()
        turn = _Turn()
        self._open.add(turn)
        try:
            said = await self._once(name, frame, fetch)
            if isinstance(said, str):
                async with self._alone:
                    alone = int(said == "died alone")
                    said = await self._again(name, frame, fetch, alone)
            return said
        finally:
            self._open.discard(turn)
            self._cleared(turn)

    async def _again(
        self, name: str, frame: Mapping[str, Json], fetch: Fetch, alone: int
    ) -> Said:
        """As often as it takes to know whether it is this one that ends processes."""
        while alone < ALONE_MAX:
            said = await self._once(name, frame, fetch)
            if said == "died alone":
                alone += 1
            elif said != "died":
                return said
        self._tell(Notice("actions_crashed", "an event ends its process"))
        return "died alone"

    async def _once(self, name: str, frame: Mapping[str, Json], fetch: Fetch) -> Said:
        sidecar = await self._started()
        if isinstance(sidecar, Unable):
            return sidecar
        call = sidecar.open(name, frame)
        try:
            return await _heard(sidecar, call, fetch)
        finally:
            sidecar.drop(call)

    async def _started(self) -> Sidecar | Unable:
        """The process; a start that failed is not repeated at once."""
        if self._sidecar is not None and self._sidecar.alive:
            return self._sidecar
        async with self._starting:
            if self._closed:
                return Unable("it is closed")
            if self._sidecar is not None and self._sidecar.alive:
                return self._sidecar
            now_s = time.monotonic()
            if now_s < self._not_before_s:
                return Unable(self._why)
            sidecar = Sidecar(self._lost)
            refused = await sidecar.start(self._launch, self._init)
            if refused is not None:
                return self._failed(refused, now_s)
            self._failures = 0
            self._sidecar = sidecar
            return sidecar

    def _failed(self, why: str, now_s: float) -> Unable:
        self._failures += 1
        pause_s = min(PAUSE_CAP_S, 2.0 ** (self._failures - 1))
        self._why, self._not_before_s = why, now_s + pause_s
        self._tell(Notice("actions_unable", why))
        return Unable(why)

    def _lost(self, sidecar: Sidecar) -> None:
        """It died: whoever was under way is a suspect, and goes first, alone."""
        if self._sidecar is not sidecar:
            return  # it never was ready
        self._sidecar = None
        if not sidecar.calls:
            self._died_idle()
        for turn in self._open:
            if not turn.suspected:
                turn.suspected = True
                self._suspects += 1
        if self._suspects:
            self._calm.clear()

    def _died_idle(self) -> None:
        """A process that ends with nothing to do, again and again, cannot run."""
        now_s = time.monotonic()
        self._deaths.append(now_s)
        if len(self._deaths) == DEATHS_MAX and now_s - self._deaths[0] < DEATHS_S:
            self._why = "it ends again and again"
            self._not_before_s = self._deaths[0] + DEATHS_S

    def _cleared(self, turn: "_Turn") -> None:
        if turn.suspected:
            self._suspects -= 1
            if not self._suspects:
                self._calm.set()

    async def close(self) -> None:
        """End the process; calls that are under way are answered that it is closed."""
        self._closed = True
        if self._sidecar is not None:
            sidecar, self._sidecar = self._sidecar, None
            await sidecar.close()


class _Turn:
    """One ``run``, from its start to its end."""

    def __init__(self) -> None:
        self.suspected = False


async def _heard(sidecar: Sidecar, call: Call, fetch: Fetch) -> Said:
    """Make its requests until it is done, or the process died."""
    while (said := await call.next()) is not None:
        name, frame = said
        if name == "done":
            return frame
        await sidecar.answer(call, {"id": frame["id"], **await fetch(frame)})
    return "died alone" if call.was_alone else "died"
