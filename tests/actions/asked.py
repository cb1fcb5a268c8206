"""A runner without a process: it says what the test says."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.actions.runner import Fetch, Runner, Said
from gateway.event import Json


class Asked(Runner):
    """``said(name, frame, fetch)`` is awaited for each call."""

    def __init__(self, said: Callable[[str, Mapping[str, Any], Fetch], Any]) -> None:
        self._said = said

    async def run(self, name: str, frame: Mapping[str, Json], fetch: Fetch) -> Said:
        said: Said = await self._said(name, frame, fetch)
        return said

    async def close(self) -> None:
        pass


FETCH = {"id": 1, "method": "POST", "url": "https://a.test/", "headers": {}}
