"""Whether the WAL was read whole at a start.

After a kill the newest transactions are in the WAL alone. SQLite reads it up to the
first frame that does not fit, takes that for its end, and tells nobody what came after.
So what should be there is counted before (in the frames' heads, and in the index beside
it, which outlives a process) and compared with what SQLite has read.
"""

import os
import struct
from pathlib import Path
from typing import NamedTuple

HEAD = struct.Struct(">8I")  # magic, version, page, checkpoint, salts, checksums
FRAME = struct.Struct(">2I8s8x")  # page, pages after a commit, salts
MAGIC, MAGIC_BIG = 0x377F0682, 0x377F0683  # checksums of little- or big-endian words
INDEX = struct.Struct("=12x2xH2I8x8s8x")  # page size, frames, pages, salts
COPIED = struct.Struct("=I")  # frames that are in the log file already
COPIED_AT = 2 * INDEX.size
PAGE_SIZE_AT = 16  # in the log file, of two bytes
PAGE_SIZE_MAX = 65_536  # is written as 1


class Wal(NamedTuple):
    """What should be read: frames up to the last commit, and bytes of each."""

    committed: int
    copied: int
    frame: int


def look(path: Path) -> Wal:
    """Count what is there, before SQLite opens it."""
    index = _index(path)
    size, salts, page = _head(path)
    page = page or index.page or _page_of(path)
    frame = page + FRAME.size
    if index.frames and salts in (b"", index.salts):  # as much was there, if not now
        seen = _seen(path, size, frame, index.salts)
        return Wal(max(seen, index.frames), index.copied, frame)
    return Wal(_seen(path, size, frame, salts), 0, frame)


def lost_bytes(path: Path, before: Wal) -> int:
    """What was there before SQLite opened it, and is not read now."""
    if before.copied >= before.committed:
        return 0
    read = max(_index(path).frames, before.copied)
    return max(before.committed - read, 0) * before.frame


class _Index(NamedTuple):
    frames: int = 0
    copied: int = 0
    page: int = 0
    salts: bytes = b""


def _index(path: Path) -> _Index:
    """SQLite's own count, in shared memory that is a file; zeros if in doubt."""
    text = _bytes(path.with_name(f"{path.name}-shm"), 0, COPIED_AT + COPIED.size)
    one, other = text[: INDEX.size], text[INDEX.size : COPIED_AT]
    if len(text) < COPIED_AT + COPIED.size or one != other:
        return _Index()
    page, frames, _, salts = INDEX.unpack(one)
    (copied,) = COPIED.unpack_from(text, COPIED_AT)
    return _Index(frames, copied, PAGE_SIZE_MAX if page == 1 else page, salts)


def _head(path: Path) -> tuple[int, bytes, int]:
    """Bytes of the file, salts and page size; of a head that is damaged none."""
    wal = path.with_name(f"{path.name}-wal")
    try:
        size = wal.stat().st_size
    except OSError:
        return 0, b"", 0
    text = _bytes(wal, 0, HEAD.size)
    if len(text) < HEAD.size:
        return size, b"", 0
    magic, _, page, _, _, _, *sums = HEAD.unpack(text)
    if magic not in (MAGIC, MAGIC_BIG) or _sums(text, big=magic & 1) != sums:
        return size, b"", 0
    return size, text[16:24], page


def _sums(text: bytes, *, big: int) -> list[int]:
    one = other = 0
    words = struct.unpack_from(">6I" if big else "<6I", text)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + other) & 0xFFFFFFFF
        other = (other + second + one) & 0xFFFFFFFF
    return [one, other]


def _seen(path: Path, size: int, frame: int, salts: bytes) -> int:
    """Frames up to the last commit of this generation; older ones have other salts."""
    last = 0
    wal = path.with_name(f"{path.name}-wal")
    try:
        file = os.open(wal, os.O_RDONLY)
    except OSError:
        return 0
    try:
        for number in range((size - HEAD.size) // frame):
            head = os.pread(file, FRAME.size, HEAD.size + number * frame)
            _, pages, theirs = FRAME.unpack(head)
            salts = salts or theirs  # its head is damaged: as the first frame says
            if pages and theirs == salts:
                last = number + 1
    finally:
        os.close(file)
    return last


def _page_of(path: Path) -> int:
    text = _bytes(path, PAGE_SIZE_AT, 2)
    page = int.from_bytes(text) if len(text) == 2 else 0  # noqa: PLR2004 -- two bytes
    return PAGE_SIZE_MAX if page == 1 else page or 4096


def _bytes(path: Path, start: int, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(count)
    except OSError:
        return b""
