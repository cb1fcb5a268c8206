"""A house for each test that asks for one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from gateway.config import Limits
from tests.inbound.house import House, running


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(tmp_path, Limits()) as each:
        yield each


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops for a module that says ``BOTH_LOOPS``: their transports differ."""
    factories = {"asyncio": asyncio.new_event_loop}
    if hasattr(item, "module") and getattr(item.module, "BOTH_LOOPS", False):
        factories["uvloop"] = uvloop.new_event_loop
    return factories
