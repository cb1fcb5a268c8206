"""The image, as far as it goes without Docker: its steps, its user, its commands."""

import base64
import json
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.image import DOCKERFILE, ROOT, Image, interpreter, stages
from tests.log.broker.kafka import Node

pytestmark = pytest.mark.service

PATIENCE_S = 20.0
FINAL = stages(DOCKERFILE.read_text())[-1]
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
GOOD = {"userId": "u", "traits": {"first_name": "Ann", "email": "ann@example.com"}}


@pytest.fixture(scope="module")
def image():
    """Outside of pytest's folder, which only its owner may enter."""
    with tempfile.TemporaryDirectory(prefix="gateway-image-") as name:
        root = Path(name).resolve()
        root.chmod(0o755)
        made = Image(root, interpreter())
        made.build()
        yield made


def run(image: Image, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    process = image.start(command, image.environment(**more))
    out, err = process.communicate(timeout=PATIENCE_S)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def test_the_last_stage_is_small_and_is_nobody_special():
    assert FINAL.last("USER") == "10001:10001"
    assert not any("apt" in step or "pip" in step for step in FINAL.all("RUN"))
    assert FINAL.command() == ["gateway", "serve"]  # exec form: SIGTERM arrives
    assert "/data" in FINAL.all("VOLUME")
    assert all("curl" not in word for word in FINAL.health())


def test_every_file_that_is_copied_passes_dockerignore():
    allowed = (ROOT / "deploy/Dockerfile.dockerignore").read_text()
    for stage in stages(DOCKERFILE.read_text()):
        for step in stage.all("COPY"):
            if not step.startswith("--from"):
                for name in step.split()[:-1]:
                    assert f"!{name}\n" in allowed, name


def test_what_is_installed_is_the_wheel_without_build_tools(image):
    assert len(image.ran) == 3
    assert not (image.root / "opt/gateway/actions").exists()  # they were not asked for
    code = "import gateway, sys; print(gateway.__file__); print(sys.path)"
    done = run(image, "python", "-c", code)
    place, paths = done.stdout.splitlines()
    assert place.startswith(f"{image.root}/opt/gateway/lib/"), done.stderr
    assert str(ROOT) not in paths
    for module in ("pip", "hatchling", "editables"):
        assert run(image, "python", "-c", f"import {module}").returncode == 1


def test_the_schemas_that_decide_are_inside_the_wheel(image):
    code = "from gateway.inbound.check import SCHEMAS; print(*sorted(SCHEMAS))"
    names = run(image, "python", "-c", code).stdout.split()
    assert names == sorted(each.stem for each in (ROOT / "schemas").glob("*.json"))
    (packaged,) = (image.root / "opt/gateway").glob(
        "lib/*/site-packages/gateway/schemas"
    )
    for file in (ROOT / "schemas").glob("*.json"):
        assert (packaged / file.name).read_bytes() == file.read_bytes()


def test_without_a_write_key_it_says_which_variable_is_missing(image):
    done = run(image, *FINAL.command())
    assert done.returncode == 2
    assert "GATEWAY_WRITE_KEY is not set" in done.stderr


def test_it_runs_is_healthy_delivers_and_stops(image):
    environment = image.environment(
        GATEWAY_WRITE_KEY="k",
        GATEWAY_LISTEN="127.0.0.1:0",
        GATEWAY_ADMIN="127.0.0.1:0",
    )
    process = image.start(FINAL.command(), environment)
    try:
        assert process.stdout
        ready = process.stdout.readline().split()
        assert ready[:1] == ["ready"], process.stderr and process.stderr.read()
        url, admin = ready[1], ready[3]
        for probe in (f"{url}/healthz", f"{admin}/metrics", f"{admin}/readyz"):
            done = run(image, *FINAL.health(), HEALTH_URL=probe)
            assert done.returncode == 0, done.stderr
        assert post(f"{url}/v1/identify", GOOD) == {"success": True}
        (event,) = delivered(image.root / "data" / "inbox.ndjson")
        assert event["traits"]["firstName"] == "Ann"
        read = run(image, "gateway", "read", "events", GATEWAY_WRITE_KEY="k")
        assert json.loads(read.stdout)["value"]["userId"] == "u"
    finally:
        end(process)
    assert run(image, *FINAL.health(), HEALTH_URL=f"{url}/healthz").returncode == 1


@pytest.fixture
def broker(tmp_path):
    """Kafka as compose.yaml sets it, at addresses and in a folder of the test's own."""
    given = COMPOSE["services"]["kafka"]["environment"]
    settings = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in given.items()
        if name.startswith("KAFKA_")
    }
    own = ("listener", "advertised", "inter.broker", "controller.", "log.dirs")
    kept = {name: v for name, v in settings.items() if not name.startswith(own)}
    node = Node(tmp_path / "kafka", changes=kept)
    node.format()
    node.start()
    yield node
    node.kill()


def test_the_processes_of_compose_share_a_kafka(image, broker):
    """Two intakes and a worker by compose's words: what is sent to each arrives."""
    shutil.copy(ROOT / "deploy/gateway.kafka.toml", image.root / "etc/gateway")
    inbox = image.root / "data/inbox.ndjson"
    inbox.unlink(missing_ok=True)
    with ExitStack() as stack:
        for name in ("worker", "intake-a", "intake-b"):
            service = COMPOSE["services"][name]
            more = service["environment"] | {
                "GATEWAY_WRITE_KEY": "k",
                "GATEWAY_LISTEN": "127.0.0.1:0",
                "GATEWAY_ADMIN": "127.0.0.1:0",
                "KAFKA_BOOTSTRAP_SERVERS": broker.address,
            }
            words = ["gateway", "--config", "gateway.kafka.toml", *service["command"]]
            process = image.start(words, image.environment(**more))
            stack.callback(end, process)
            assert process.stdout
            ready = process.stdout.readline().split()
            assert ready[:1] == ["ready"], process.stderr and process.stderr.read()
            admin = ready[-1]
            probe = f"{admin}/metrics" if name == "worker" else f"{ready[1]}/healthz"
            for url in (probe, f"{admin}/readyz"):
                assert run(image, *FINAL.health(), HEALTH_URL=url).returncode == 0
            if name != "worker":
                sent: dict[str, Any] = {"userId": name, "traits": {}}
                assert post(f"{ready[1]}/v1/identify", sent) == {"success": True}
        assert {each["userId"] for each in delivered(inbox, 2)} == {
            "intake-a",
            "intake-b",
        }


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate()


def post(url: str, body: object) -> object:
    request = urllib.request.Request(url, json.dumps(body).encode())
    key = base64.b64encode(b"k:").decode()
    request.add_header("Authorization", f"Basic {key}")
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        return json.load(response)


def delivered(file: Path, count: int = 1) -> list[dict[str, Any]]:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if file.exists() and (text := file.read_text()).count("\n") >= count:
            return [json.loads(line) for line in text.splitlines()]
        time.sleep(0.02)
    raise AssertionError(f"fewer than {count} in {file}")
