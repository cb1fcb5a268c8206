"""The protocol's own client asks a gateway, in both manners of the protocol."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.config import load
from gateway.mcp.tools import TOOLS
from tests.ledger.kit import told
from tests.mcp.test_stdio import CONFIG
from tests.path.sdks import kits
from tests.whole import running

pytestmark = pytest.mark.service

HERE = Path(__file__).parent / "agents"
ANN = {"userId": "ann", "messageId": "m-1", "traits": {"email": "ann@shop.example"}}
VERSIONS = {"auto": "2026-07-28", "legacy": "2025-11-25"}


async def drive(mode: str, words: Sequence[str]) -> Any:
    client = kits.environment("agents", HERE / "requirements.txt")
    process = await asyncio.create_subprocess_exec(
        client,
        *(str(HERE / "drive.py"), mode, *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-2_000:]
    return json.loads(out)


@pytest.mark.parametrize("door", ["stdio", "http"])
@pytest.mark.parametrize("mode", VERSIONS)
async def test_a_real_client_asks_all_six_questions(
    tmp_path: Path, mode: str, door: str
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(f"{CONFIG}[mcp]\nenabled = true\n")
    command = [sys.executable, "-m", "gateway", "--config", str(file), "mcp"]
    async with running(load(file)) as gateway:
        auth = {"Authorization": "Bearer s3cret-write-key"}
        url = f"{gateway.url}/v1/identify"
        async with gateway.session.post(url, json=ANN, headers=auth) as response:
            assert response.status == 200
        await told(gateway, "m-1", token="s3cret-token")
        http = ["http", f"{gateway.admin}/mcp", "s3cret-token"]
        said = await drive(mode, command if door == "stdio" else http)
    assert said["version"] == VERSIONS[mode]
    assert said["server"] == "gateway"
    assert said["tools"] == [each.name for each in TOOLS]
    *answers, unknown = said["told"]
    assert [failed for failed, _ in answers] == [False] * 6
    assert '"kind":"delivered"' in answers[0][1]
    assert unknown == [True, "nothing is known of it"]
