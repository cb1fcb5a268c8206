"""What a restart must not forget: which troubles were told, and what is yet to be.

One small file, written anew whenever something was told or began; a crash between a
message's delivery and the file repeats that one message, with the same id.
"""

import asyncio
import fcntl
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from gateway.alerts.judge import Key, Trouble
from gateway.alerts.message import Message
from gateway.errors import GatewayError
from gateway.event import Json

WAITING_MAX = 100  # messages of one channel; the oldest go
STALE_MS = 86_400_000  # what could not be told for so long is no news


class StateError(GatewayError):
    """The file cannot be used."""


class Book:
    """Troubles that were told, and messages that wait, by the channel they go to.

    ``news`` of a channel is set while a message may wait for it.
    """

    def __init__(self, path: Path, channels: Sequence[str]) -> None:
        self.troubles: dict[Key, Trouble] = {}
        self._path = path
        self._waiting: dict[str, list[Message]] = {name: [] for name in channels}
        self.news = {name: asyncio.Event() for name in channels}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="alerts-state")
        self._lock: int | None = None
        self.damaged: str | None = None
        self._saving = asyncio.Lock()

    async def open(self, now_ms: int) -> bool:
        """Read what is kept; False: another process has the file, and tells.

        StateError: it cannot be read. What makes no sense is passed over: ``damaged``.
        """
        if not await self._do(self._take):
            return False
        kept = await self._do(self._read)
        try:
            self.troubles = dict(map(_trouble, kept["troubles"]))
            for name in self._waiting:
                waiting = kept["waiting"].get(name, ())
                found = [Message(**each) for each in waiting]
                self._waiting[name] = [
                    each for each in found if now_ms - each.at_ms < STALE_MS
                ]
                self.news[name].set()
        except (KeyError, TypeError, AttributeError) as error:
            self.damaged = f"{self._path}: is not what was written: {error!r}"
        return True

    def first(self, channel: str) -> Message | None:
        """The next message for a channel."""
        waiting = self._waiting[channel]
        if not waiting:
            self.news[channel].clear()
            return None
        return waiting[0]

    async def told(self, channel: str, message: Message) -> None:
        """It was delivered, or given up."""
        if message in self._waiting[channel]:
            self._waiting[channel].remove(message)
        await self.save()

    async def add(
        self, troubles: Mapping[Key, Trouble], messages: Sequence[Message]
    ) -> int:
        """What a look gave; how many old messages had to go for it."""
        before = {key for key, each in self.troubles.items() if each.told}
        self.troubles = dict(troubles)
        dropped = 0
        for name, waiting in self._waiting.items():
            waiting.extend(messages)
            dropped += max(0, len(waiting) - WAITING_MAX)
            del waiting[: len(waiting) - WAITING_MAX]
            if waiting:
                self.news[name].set()
        after = {key for key, each in self.troubles.items() if each.told}
        if messages or before != after:
            await self.save()
        return dropped

    async def save(self) -> None:
        """Write it; StateError when that cannot be."""
        async with self._saving:
            told = {
                "troubles": [
                    {"rule": key[0], "subject": key[1], **asdict(each)}
                    for key, each in self.troubles.items()
                    if each.told
                ],
                "waiting": {
                    name: [each.kept() for each in waiting]
                    for name, waiting in self._waiting.items()
                },
            }
            await self._do(self._write, told)

    async def close(self) -> None:
        """Write what is under way, then let go of the file and the thread."""
        await self._do(self._release)
        self._thread.shutdown(wait=False)

    async def _do(self, work: Any, *given: Any) -> Any:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work, *given)
        except OSError as error:
            raise StateError(f"{self._path}: {error}") from error

    def _take(self) -> bool:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._lock is None:
            self._lock = _locked(Path(f"{self._path}.lock"))
        return self._lock is not None

    def _read(self) -> Any:
        try:
            return orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {"troubles": (), "waiting": {}}
        except orjson.JSONDecodeError:
            return None

    def _write(self, told: Mapping[str, Json]) -> None:
        draft = self._path.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(orjson.dumps(told, option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def _locked(path: Path) -> int | None:
    """The lock, or None while another process has it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _trouble(kept: Mapping[str, Any]) -> tuple[Key, Trouble]:
    rest = {name: kept[name] for name in ("since_ms", "told", "calm_ms")}
    return (kept["rule"], kept["subject"]), Trouble(**rest)
