"""Notices: what happened that nobody must act on at once.

A stage returns notices beside its value and knows neither clock nor log; the edges
post them here, where repeats are counted by (code, where, name) and written to the
log once a minute. A name is a trait, a destination, an exception type: never a value
of a payload.
"""

import json
import sys
import time
from collections import Counter
from typing import IO, Any, NamedTuple


class Notice(NamedTuple):
    """``code`` says what happened, ``name`` to which trait, integration or part."""

    code: str
    name: str = ""


NAMES_MAX = 10_000  # senders choose integration names: bounded, the rest counts as one


class Notices:
    """Counts notices and writes them to stderr, one JSON object a line."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._stream = stream or sys.stderr
        self._unwritten: Counter[tuple[str, str, str]] = Counter()

    def post(self, where: str, notice: Notice, times: int = 1) -> None:
        """Count a notice of a source or destination; the next flush writes it."""
        self.counts[notice.code] += times
        unwritten, key = self._unwritten, (notice[0], where, notice[1])
        count = unwritten.get(key, 0)
        if not count and len(unwritten) >= NAMES_MAX:
            key = (notice.code, where, "(others)")
            count = unwritten[key]
        unwritten[key] = count + times

    def say(self, code: str, **fields: Any) -> None:
        """Count and write one line now: for what an operator wants to see at once."""
        self.counts[code] += 1
        self._write(code, fields)

    def flush(self) -> None:
        """Write a line for each kind of notice since the last flush."""
        unwritten, self._unwritten = self._unwritten, Counter()
        for (code, where, name), count in unwritten.items():
            self._write(code, {"where": where, "name": name, "count": count})

    def _write(self, code: str, fields: dict[str, Any]) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"at": at, "notice": code, **fields}, default=str)
        print(line, file=self._stream, flush=True)
