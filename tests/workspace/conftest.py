"""Stores of both kinds, empty, and what puts people into them."""

import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.workspace.apply import Placed, apply
from gateway.workspace.request import Request
from gateway.workspace.settings import Workspace
from gateway.workspace.store import Store, url_of
from tests.workspace.postgres.server import Server

numbers = itertools.count(1)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store may be: of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/workspace.db"
    server: Server = request.getfixturevalue("postgres")
    return server.make_database(f"test{next(numbers)}")


@pytest.fixture
async def store(url: str, tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(url_of(url, tmp_path))
    yield opened
    await opened.close()


async def apply_all(
    store: Store,
    requests: Sequence[Request],
    settings: Workspace,
    *,
    first: int = 0,
    batch: int = 100,
) -> None:
    """Apply requests as events of one partition, from an offset on."""
    placed = [
        Placed(request, 0, first + number, 1_700_000_000_000)
        for number, request in enumerate(requests)
    ]
    for start in range(0, len(placed), batch):
        async with store.writing() as connection:
            await apply(connection, placed[start : start + batch], settings)


def settings_of(given: dict[str, Any], **more: Any) -> Workspace:
    return Workspace(**{**given, "identifiers": tuple(given["identifiers"])}, **more)
