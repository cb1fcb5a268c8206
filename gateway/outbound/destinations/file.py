"""Appends each event, as one line of JSON, to a file.

With a `mapping` in a table of its `actions` the line is the mapped object alone.
Events come in the order of the log. A line counts as delivered once the file is synced
to the disk. A full disk loses nothing: the event waits and is tried again.

The file is turned away when the next lines would make it larger than `rotate_size`, or
when the period of `rotate_every` in which it was last written (UTC; "1h" turns on the
hour) is over: it becomes `NAME.TIMESTAMP`, and a new one begins. You may move or delete
it at any time, too. A line that a crash cut short is removed before the next is
written; after a restart, lines that the file has already are not written again, but for
those of a mapping: two events may make the same line.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import orjson

from gateway.errors import ConfigError
from gateway.event import PIPELINE_TYPES, Json
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Retry,
    Takes,
    Verdict,
    whole,
)
from gateway.outbound.kind import Context, Kind, Schema, setting
from gateway.outbound.shape import Mapped

BATCH_EVENTS = 1_000
BATCH_BYTES = 4_000_000
CHUNK_BYTES = 65_536
ATTEMPT_S = 60.0  # a disk that takes longer for a batch is as good as away

TAKES = Takes(
    types=frozenset(PIPELINE_TYPES),
    batch_events=BATCH_EVENTS,
    batch_bytes=BATCH_BYTES,
    same_key="in_order",
    concurrency=1,
    attempt_timeout_s=ATTEMPT_S,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``settings = {...}`` of a file."""

    path: str = setting(
        doc="The file, relative to the configuration's folder",
        example='"data/inbox.ndjson"',
    )
    rotate_size: int | None = setting(
        doc="A new file before it gets larger; without it: never",
        example='"100MB"',
        unit="size",
        default=None,
    )
    rotate_every: float | None = setting(
        doc="A new file every so often; without it: never",
        example='"1h"',
        unit="duration",
        default=None,
    )


def check(settings: Settings, place: str) -> None:
    """Raise ConfigError for a value that cannot work."""
    if not settings.path.strip() or "\0" in settings.path:
        raise ConfigError(f"{place}.path: {settings.path!r} is not a path")


@dataclass(slots=True, kw_only=True)
class Lines:
    """The file itself; used by one thread. It is open only while lines are written."""

    path: Path
    rotate_size: int | None
    rotate_every_s: float | None
    unsure: list[bytes] | None = field(default=None)
    """Lines a crashed process may have written but not settled: None before a look."""

    def append(
        self, lines: Sequence[bytes], at_s: float, *, alike: bool = False
    ) -> None:
        """Write and sync all lines; OSError leaves the file as it was.

        ``alike``: lines may be equal and yet be of different events.
        """
        if self.unsure is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.unsure = _tail(self.path)
        if not alike:
            lines = self._not_written_yet(lines)
        data = b"".join(lines)
        if data:
            self._rotate(len(data), at_s)
            _append(self.path, data)

    def _not_written_yet(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """What is to be written: after a restart, the last batch may come again.

        Lines come in the order of the log and one batch at a time, so that what comes
        again is the end of the file and comes first.
        """
        if not self.unsure:
            return lines
        known = set(self.unsure)
        new = [line for line in lines if line not in known]
        if new:
            self.unsure = []
        return new

    def _rotate(self, size: int, at_s: float) -> None:
        try:
            state = self.path.stat()
        except FileNotFoundError:
            return
        every = self.rotate_every_s
        full = self.rotate_size is not None and state.st_size + size > self.rotate_size
        over = every is not None and state.st_mtime // every != at_s // every
        if state.st_size and (full or over):
            self.path.rename(_free_name(self.path, at_s))


def _free_name(path: Path, at_s: float) -> Path:
    at_ms = int(at_s * 1_000)
    while True:
        at = datetime.fromtimestamp(at_ms / 1_000, UTC)
        name = f"{path.name}.{at:%Y%m%dT%H%M%S}.{at_ms % 1_000:03d}Z"
        if not path.with_name(name).exists():
            return path.with_name(name)
        at_ms += 1


def _append(path: Path, data: bytes) -> None:
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = _repair(descriptor)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    if is_new:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _repair(descriptor: int) -> int:
    """End the file with a whole line; its size then. A cut line is taken away."""
    size = os.fstat(descriptor).st_size
    if not size or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    start = _last_line(descriptor, size)
    try:
        orjson.loads(os.pread(descriptor, size - start, start))
    except orjson.JSONDecodeError:
        os.ftruncate(descriptor, start)
        return start
    return size + os.write(descriptor, b"\n")  # a whole line that only lacks its end


def _last_line(descriptor: int, end: int) -> int:
    """Where the line that ends at ``end`` starts."""
    while end > 0:
        start = max(0, end - CHUNK_BYTES)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _tail(path: Path) -> list[bytes]:
    """The last lines of the file: as many as one batch can have written."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - BATCH_BYTES))
            return file.read().splitlines(keepends=True)[-BATCH_EVENTS:]
    except FileNotFoundError:
        return []


class FileDestination:
    """One file and the one thread that writes it."""

    def __init__(self, lines: Lines, *, name: str) -> None:
        self._lines = lines
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"file-{name}")

    @property
    def takes(self) -> Takes:
        """The same for every file."""
        return TAKES

    async def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Verdict]:
        """All lines are on the disk, or none is."""
        lines = [whole(delivery) + b"\n" for delivery in deliveries]
        alike = any(delivery.fields is not None for delivery in deliveries)
        append = partial(self._lines.append, lines, time.time(), alike=alike)
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, append)
        except OSError as error:
            reason = f"{type(error).__name__}: {error.strerror or 'no reason given'}"
            return [Retry(reason)] * len(deliveries)
        return [Delivered()] * len(deliveries)

    async def close(self) -> None:
        """End the thread once it has written what it was given."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, _nothing)
        self._thread.shutdown()  # returns at once: nothing waits any more


def _nothing() -> None:
    """What the thread does last."""


def opened(settings: Settings, context: Context) -> FileDestination:
    """A file below the configuration's folder."""
    lines = Lines(
        path=context.folder / settings.path,
        rotate_size=settings.rotate_size,
        rotate_every_s=settings.rotate_every,
    )
    return FileDestination(lines, name=context.name)


def shown(delivery: Delivery, settings: Settings, context: Context) -> dict[str, Json]:
    """The line that one event becomes, and where."""
    path = context.folder / settings.path
    return {"path": str(path), "line": whole(delivery).decode()}


KIND = Kind(
    doc=__doc__,
    settings=Schema.of(Settings),
    takes=TAKES,
    check=check,
    mapped=Mapped(whole=True),
    opened=opened,
    file=lambda settings, folder: folder / settings.path,
    shown=shown,
)
