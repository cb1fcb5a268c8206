"""The import contracts hold what they are named for: each planted import breaks one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BACKENDS = "Only log/ knows its backends"
AIOKAFKA = "aiokafka only in log/kafka"
SQLITE = "sqlite3 only in log/sqlite"
AIOHTTP = "aiohttp only at the ports"
INBOUND = "Inbound is pure but at its edges: no clock, no waiting, no I/O"
OUTBOUND = "Outbound is pure but at its edges: no clock, no waiting, no I/O"
RULES = "The people's rules are pure: no table, no clock, no waiting"
ALERTS = "The rules of alerts are pure: no clock, no waiting, no I/O"
ROOMS = "The rooms, top to bottom"
LAYERS = "Inbound: the port, the doors, what they share"
PORT = "The public port: a connection"
DOORS = "The doors stand side by side"
TRACK = "The Track API: answers, paths, entities"
WORDS = "What the Track API's words mean"
PLANTED = [
    ("workspace/room.py", "gateway.log.kafka.append", BACKENDS),
    ("workspace/store.py", "aiokafka", AIOKAFKA),
    ("log/sqlite/append.py", "aiokafka", AIOKAFKA),
    ("inbound/route.py", "aiohttp", AIOHTTP),
    ("inbound/route.py", "asyncio", INBOUND),
    ("inbound/route.py", "sqlite3", SQLITE),
    ("inbound/normalize.py", "time", INBOUND),
    ("inbound/intake.py", "time", INBOUND),
    ("inbound/doors/track/entity.py", "asyncio", INBOUND),
    ("inbound/doors/track/entity.py", "aiohttp", AIOHTTP),
    ("inbound/doors/track/entity.py", "gateway.inbound.accept", WORDS),
    ("inbound/doors/track/translate.py", "gateway.inbound.doors.track.calls", TRACK),
    ("inbound/doors/pipelines.py", "gateway.inbound.doors.track.api", DOORS),
    ("inbound/doors/file.py", "gateway.inbound.serve.listen", LAYERS),
    ("inbound/intake.py", "gateway.inbound.receipt", LAYERS),
    ("inbound/serve/parse.py", "gateway.inbound.serve.listen", PORT),
    ("outbound/lanes.py", "aiohttp", AIOHTTP),
    ("outbound/destinations/webhook.py", "requests", OUTBOUND),
    ("outbound/destinations/webhook.py", "socket", OUTBOUND),
    ("outbound/destinations/webhook.py", "sqlite3", SQLITE),
    ("workspace/identify.py", "sqlalchemy", RULES),
    ("outbound/breaker.py", "time", OUTBOUND),
    ("outbound/mapping/trigger.py", "time", OUTBOUND),
    ("outbound/mapping/trigger.py", "gateway.config", "Triggers and mappings know"),
    ("ledger/rows.py", "sqlite3", SQLITE),
    ("workspace/store.py", "asyncpg", "asyncpg only in the ledger's PostgreSQL"),
    ("alerts/judge.py", "time", ALERTS),
    ("alerts/rules.py", "gateway.alerts.tell", "Alerts: edges that look and tell"),
    ("telemetry/settings.py", "gateway.telemetry.export", "Telemetry: its section"),
    ("outbound/deliver.py", "opentelemetry", "OpenTelemetry only in telemetry"),
    ("mcp/tools.py", "gateway.mcp.protocol", "For agents: the edge, then"),
    ("ledger/names.py", "gateway.alerts.reading", ROOMS),
    ("inbound/admit.py", "gateway.outbound.retry", ROOMS),
    ("outbound/seen.py", "gateway.inbound.cut", ROOMS),
    ("admin/client.py", "gateway.log.sqlite.lock", BACKENDS),
    ("log/kafka/lanes.py", "gateway.log.sqlite.rows", "The log's backends stand"),
]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Contract -> what the linter says of it, with all of them planted."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(ROOT / "gateway", folder / "gateway")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for number, (file, module, _) in enumerate(PLANTED):
        planted = folder / "gateway" / file
        text = planted.read_text()
        planted.write_text(f"{text}\nimport {module} as planted_{number}\n")
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-cache", "--config", folder / "pyproject.toml"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    told = done.stdout.partition("Broken contracts\n")[2]
    sections = re.split(r"\n(?=[^\n]+\n-{10,}\n)", told)
    return {name: text for name, _, text in (s.partition("\n") for s in sections)}


@pytest.mark.parametrize(("file", "module", "contract"), PLANTED)
def test_an_import_that_must_not_be_breaks_its_contract(
    broken: dict[str, str], file: str, module: str, contract: str
) -> None:
    (said,) = [text for name, text in broken.items() if name.startswith(contract)]
    importer = "gateway." + file.removesuffix(".py").replace("/", ".")
    assert f"{importer} -> {module} " in said


def test_every_other_contract_is_kept(broken: dict[str, str]) -> None:
    """So that none of them breaks whatever is planted."""
    config = (ROOT / "pyproject.toml").read_text()
    names = re.findall(r'^name = "(.*)"$', config, re.MULTILINE)
    assert set(names) - broken.keys()
