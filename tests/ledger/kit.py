"""A gateway with a ledger, and what is asked of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.config import Config, parse
from tests.whole import PATIENCE_S, Whole, running

TOKEN = "console-token"
CONFIG = f"""
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
private_destinations = ["127.0.0.0/8"]
[console]
enabled = false
token = "{TOKEN}"
[sources.web]
write_keys = ["dev"]
[destinations.inbox]
type = "file"
settings = {{ path = "data/inbox.ndjson" }}
"""


def read(folder: Path, more: str = "") -> Config:
    return parse(CONFIG + more, folder=folder, environment={})


async def asked(
    gateway: Whole,
    path: str,
    *,
    token: str = TOKEN,
    params: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    """The status and the answer of the admin port."""
    async with gateway.session.get(
        gateway.admin + path,
        headers={"Authorization": f"Bearer {token}"},
        params=params,
    ) as response:
        return response.status, await response.json()


async def told(
    gateway: Whole, message_id: str, *, ends: int = 1, token: str = TOKEN
) -> dict[str, Any]:
    """A message's story, once that many destinations have ended with it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            status, story = await asked(
                gateway, f"/v1/events/{message_id}", token=token
            )
            if status == 200:
                open_ = ("pending", "unconfirmed")
                ended = [
                    each
                    for found in story["found"]
                    for each in found["destinations"]
                    if each["kind"] not in open_
                ]
                if len(ended) >= ends:
                    return dict(story)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def gateway_in(folder: Path, more: str = "") -> AsyncIterator[Whole]:
    async with running(read(folder, more)) as gateway:
        yield gateway
