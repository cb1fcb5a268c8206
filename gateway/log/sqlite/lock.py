"""One process per log file: a lock file beside it, which says who holds it.

The lock is the kernel's (flock), so a killed process lets go of it; the text in the
file tells the commands where the running gateway can be reached.
"""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from gateway.errors import LogError

PATIENCE_S = 0.5  # read_owner holds the lock for a moment too


def lock_path(path: Path) -> Path:
    """The lock file of the log file ``path``."""
    return path.with_name(f"{path.name}.lock")


class Lock:
    """The right to open one log file, held until ``release`` or the process's end."""

    def __init__(self, path: Path) -> None:
        """Take it; LogError that names the holder when another process has it."""
        self._path = lock_path(path)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(self._path, flags, mode=0o600)
        except OSError as error:
            message = f"{self._path}: cannot be opened: {error.strerror}"
            raise LogError(message) from error
        try:
            self._take(path)
            self._length = len(_read(self._file))
            self._write({"pid": os.getpid()})
        except BaseException:
            os.close(self._file)
            raise

    def announce(self, admin: str, token: str) -> None:
        """Say where the holder can be reached."""
        self._write({"pid": os.getpid(), "admin": admin, "token": token})

    def _write(self, owner: dict[str, Any]) -> None:
        """One write, padded, so that no reader sees half of it."""
        try:
            text = json.dumps(owner).encode().ljust(self._length)
            self._length = os.pwrite(self._file, text, 0)
        except OSError as error:
            message = f"{self._path}: cannot be written: {error.strerror}"
            raise LogError(message) from error

    def release(self) -> None:
        """Let go. The file stays: removing it could remove the next holder's."""
        os.close(self._file)

    def _take(self, path: Path) -> None:
        until = time.monotonic() + PATIENCE_S
        while not _try(self._file, fcntl.LOCK_EX):
            if time.monotonic() > until:
                pid = _parse(_read(self._file)).get("pid", "unknown")
                message = f"{path}: already open in process {pid}"
                raise LogError(message)
            time.sleep(0.01)


def read_owner(path: Path) -> dict[str, Any] | None:
    """What the process that has the log file open says of itself; None if none has.

    ``{"pid", "admin", "token"}``; the last two are there once its admin port is bound.
    """
    try:
        file = os.open(lock_path(path.resolve()), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"{lock_path(path)}: cannot be read: {error.strerror}"
        raise LogError(message) from error
    try:
        return None if _try(file, fcntl.LOCK_SH) else _parse(_read(file))
    finally:
        os.close(file)


def _try(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: int) -> bytes:
    return os.pread(file, 65_536, 0)


def _parse(text: bytes) -> dict[str, Any]:
    try:
        owner = json.loads(text)
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}
