"""Whether the log's files are still those that were opened.

A file that is removed or replaced stays what it is for who has it open: the gateway
would go on writing, and all of it would be gone at its end.
"""

import os
from collections.abc import Sequence
from pathlib import Path


class Files:
    """The log file and the WAL beside it, by what the file system calls them."""

    def __init__(self, path: Path) -> None:
        self._paths: Sequence[Path] = (path, path.with_name(f"{path.name}-wal"))
        self._opened: dict[Path, tuple[int, int]] = {}

    def note(self) -> None:
        """They have just been opened."""
        found = {path: _place(path) for path in self._paths}
        self._opened = {path: place for path, place in found.items() if place}

    def closed(self) -> None:
        """The connection is: SQLite may take the WAL away then, and make it anew."""
        self._opened.pop(self._paths[1], None)

    def lost(self) -> str:
        """Which is no longer there, and what helps; empty while all are."""
        for path, place in self._opened.items():
            if (found := _place(path)) == place:
                continue
            what = "was removed" if found is None else "is another file now"
            if path == self._paths[0]:
                return (
                    f"{path} {what} while the gateway has it open: nothing is written "
                    "any more; move it back, or stop the gateway, restore a backup and "
                    "start it again"
                )
            return (
                f"{path} {what} while the gateway has it open: stop the gateway, it "
                "saves what it can, and start it again"
            )
        return ""


def _place(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def sync_folder(folder: Path) -> None:
    """Make the file's name durable too: SQLite syncs only what is in it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
