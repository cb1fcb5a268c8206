"""The replays that were started from the console: each a task that is owned here.

What comes in: what a form asked for. What goes out: how far each is, and what became of
its events at the destination, counted from ``outcomes``: fed is not yet delivered.
Bounded: a few run at once, some more are remembered. A stopped one resumes under its
id, as one of the command line does.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.errors import ConfigError, GatewayError, place_of
from gateway.event import Json
from gateway.replay.ends import Ends
from gateway.replay.run import new_id
from gateway.wing import Shared

RUNNING_MAX = 3
REMEMBERED = 50
AFTER_S = 600.0  # how long the ends of what was fed are waited for
STOPPED = "It was stopped."
State = Literal["running", "done", "stopped", "failed"]


@dataclass(slots=True)
class Run:
    """One replay; ``asked`` is what the command line would be given."""

    id: str
    asked: Mapping[str, Json]
    chosen: int | None
    started_ms: int
    state: State = "running"
    why: str = ""
    read: int = 0
    total: int = 0
    sent: int = 0
    waiting: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)
    ends: Ends = field(init=False)
    task: asyncio.Task[None] | None = None
    feeding: asyncio.Task[None] | None = None
    again: bool = False
    """It is to be fed on, by the task that still counts."""

    def __post_init__(self) -> None:
        self.ends = Ends(self.id)

    @property
    def outcomes(self) -> Counter[str]:
        """How its events ended, by kind."""
        return self.ends.kinds

    @property
    def ended(self) -> int:
        """How many of its events have an outcome."""
        return self.ends.count

    @property
    def is_settled(self) -> bool:
        """Nothing of it is under way any more."""
        return self.state != "running" and self.ended >= self.sent

    @property
    def part(self) -> float:
        """How much of the topic it has read."""
        if self.state == "done":
            return 1.0
        return min(1.0, self.read / self.total) if self.total else 0.0


class Runs:
    """Starts, stops and remembers them."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._runs: dict[str, Run] = {}
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def all(self) -> Sequence[Run]:
        """The newest first."""
        return list(reversed(self._runs.values()))

    def find(self, id_: str) -> Run | None:
        """One of them."""
        return self._runs.get(id_)

    async def run(self) -> None:
        """Own the tasks, until cancelled: then every replay stops, and can go on."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def start(self, asked: Mapping[str, Json], chosen: int | None = None) -> Run:
        """Start one, or say what cannot be (ConfigError); ``chosen``: how many."""
        self._check_room()
        while len(self._runs) >= REMEMBERED:
            self._runs.pop(next(iter(self._runs)))
        run = Run(new_id(), asked, chosen, time.time_ns() // 1_000_000)
        self._begin(run)
        return run

    def resume(self, run: Run) -> None:
        """Go on where a stopped or failed one was; ConfigError as ``start``."""
        if run.state == "running":
            return
        self._check_room()
        run.state, run.why, run.skipped = "running", "", {}
        if run.task is None or run.task.done():
            self._begin(run)
        else:
            run.again = True
            run.ends.news.set()

    def stop(self, run: Run) -> None:
        """Feed nothing more; what was fed is delivered all the same."""
        if run.state == "running" and run.feeding is not None:
            run.feeding.cancel()

    def _check_room(self) -> None:
        running = [each for each in self._runs.values() if each.state == "running"]
        if len(running) >= RUNNING_MAX:
            text = f"{RUNNING_MAX} replays run already: stop one, or wait for it."
            raise ConfigError(text)
        if self._tasks is None:
            raise ConfigError("The gateway is stopping.")

    def _begin(self, run: Run) -> None:
        assert self._tasks is not None  # there is room
        self._runs[run.id] = run
        run.feeding = self._tasks.create_task(self._feed(run))
        run.task = self._tasks.create_task(self._go(run), name=f"replay {run.id}")

    async def _go(self, run: Run) -> None:
        """Count what comes of it while it is fed, and for a while after."""
        counting = asyncio.create_task(self._count(run))
        try:
            while True:
                assert run.feeding is not None  # made with this task
                await asyncio.wait([run.feeding])
                if run.state == "running":  # stopped before it began
                    run.state, run.why = "stopped", STOPPED
                if not await self._rest(run) or self._tasks is None:
                    return
                run.again = False
                run.feeding = self._tasks.create_task(self._feed(run))
        finally:
            counting.cancel()
            await asyncio.wait([counting])

    async def _feed(self, run: Run) -> None:
        sent = run.sent  # by earlier runs under this id
        try:
            async for step in self._shared.replaying({**run.asked, "id": run.id}):
                self._step(run, step, sent)
            run.state = "done"
        except asyncio.CancelledError:
            run.state, run.why = "stopped", STOPPED
            raise
        except GatewayError as error:
            run.state, run.why = "failed", str(error)
        except Exception as error:  # noqa: BLE001 -- a bug ends one replay, and is told
            say = self._shared.notices.say
            say("bug", place=place_of(error), error=type(error).__name__)
            run.state, run.why = "failed", "The gateway failed; its log says where."

    @staticmethod
    def _step(run: Run, step: Mapping[str, Any], sent: int) -> None:
        run.read, run.total = step["read"], step["total"]
        run.sent, run.skipped = sent + step["sent"], step["skipped"]
        run.waiting = step["waiting"]

    async def _rest(self, run: Run) -> bool:
        """Until all that was fed has ended, or it is to be fed on: True then.

        Not for ever, if a destination is away.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AFTER_S):
                while not run.again and run.ended < run.sent:
                    await run.ends.news.wait()
                    run.ends.news.clear()
        return run.again

    async def _count(self, run: Run) -> None:
        """What became of its events, from the topic that has every end."""
        if run.asked["topic"] == "refused":
            return  # they go where they are routed: nobody can tell how many ends
        await run.ends.follow(self._shared.log)
