"""A house for each test that asks for one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config import Limits
from tests.inbound.house import House, running


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(tmp_path, Limits()) as each:
        yield each
