"""Segment's own evaluators, unmodified, in a Node process that answers by lines."""

import json
import subprocess
from typing import Any

from tests.path.sdks import kits


class Oracle:
    """Says what the packages make of triggers and mappings."""

    def __init__(self) -> None:
        folder = kits.modules(
            "oracle", kits.HERE.parents[1] / "outbound/mapping/oracle"
        )
        self._process = subprocess.Popen(
            [kits.program("node"), folder / "judge.js"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, events: list[Any], **what: Any) -> list[dict[str, Any]]:
        """For each event ``{"value": ...}`` or ``{"error": ...}``."""
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        pipe_in.write(json.dumps({**what, "events": events}) + "\n")
        pipe_in.flush()
        found: list[dict[str, Any]] = json.loads(pipe_out.readline())
        return found

    def close(self) -> None:
        """End the process: its input is at its end."""
        self._process.communicate()
