"""What compose, systemd and Kubernetes are told: published schemas, real parsers."""

import configparser
import json
import os
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from gateway.cli import _parser
from gateway.config import Config, load, parse
from tests.deploy.image import DOCKERFILE, ROOT, stages

pytestmark = pytest.mark.service

DEPLOY = ROOT / "deploy"
FINAL = stages(DOCKERFILE.read_text())[-1]
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
GATEWAYS = [name for name in COMPOSE["services"] if name != "kafka"]
MANIFESTS = {
    f"{document['kind']} {document['metadata']['name']}": document
    for file in sorted((DEPLOY / "kubernetes").iterdir())
    for document in yaml.safe_load_all(file.read_text())
}
DEPLOYMENTS = [name for name in MANIFESTS if name.startswith("Deployment ")]
UNIT = DEPLOY / "gateway.service"
EXPOSURE_MAX = 20  # of 100, as `systemd-analyze security` counts
DIRECTIVES = """
Description Wants After StartLimitIntervalSec Type User Group Environment WantedBy
EnvironmentFile ExecStart Restart RestartSec KillSignal TimeoutStopSec LimitNOFILE UMask
StateDirectory StateDirectoryMode WorkingDirectory NoNewPrivileges AmbientCapabilities
CapabilityBoundingSet ProtectSystem ProtectHome ProtectClock ProtectControlGroups
ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectProc
ProcSubset PrivateDevices PrivateTmp PrivateUsers RemoveIPC LockPersonality
MemoryDenyWriteExecute RestrictAddressFamilies RestrictNamespaces RestrictRealtime
RestrictSUIDSGID SystemCallArchitectures SystemCallFilter SystemCallErrorNumber
"""
KUBERNETES = ("1.27", "1.30", "1.33", "1.35", "1.37")


def roles(words: list[str]) -> str:
    """The role that the real command line reads from these words."""
    role: str = _parser().parse_args(words).role
    return role


# compose


def test_compose_fits_the_published_schema():
    folder = files("check_jsonschema.builtin_schemas.vendor")
    schema = json.loads(folder.joinpath("compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)


def test_compose_is_two_intakes_a_worker_and_kafka():
    commands = [COMPOSE["services"][name]["command"] for name in GATEWAYS]
    assert [roles(words) for words in commands] == ["intake", "intake", "worker"]
    assert COMPOSE["services"]["kafka"]["image"] == "apache/kafka:4.1.0"
    assert set(COMPOSE["volumes"]) == {"worker", "kafka"}


@pytest.mark.parametrize("name", GATEWAYS)
def test_each_service_of_compose_has_all_that_its_configuration_names(name):
    service = COMPOSE["services"][name]
    mounts = {each.split(":")[1]: each.split(":")[0] for each in service["volumes"]}
    file = DEPLOY / mounts["/etc/gateway/gateway.toml"]
    config = load(file, FINAL.environment() | service["environment"])
    assert config.log.kind == "kafka"
    host, port = config.log.bootstrap_servers.split(":")
    assert name in config.server.admin_hosts  # what Prometheus beside it says
    advertised = COMPOSE["services"][host]["environment"]
    assert f"//{host}:{port}" in advertised["KAFKA_ADVERTISED_LISTENERS"]
    assert_files_are_on_volumes(config, list(mounts) if name == "worker" else ["/data"])


@pytest.mark.parametrize("name", ["gateway.toml", "gateway.kafka.toml"])
def test_action_destinations_are_where_the_image_has_them_and_tokens_on_its_volume(
    name,
):
    given = FINAL.environment() | {"GATEWAY_WRITE_KEY": "k"}
    given |= COMPOSE["services"]["worker"]["environment"]
    table = load(DEPLOY / name, given).sections["actions"]
    build, _ = stages(DOCKERFILE.read_text())
    (step,) = [each for each in build.all("RUN") if "actions" in each]
    place = step.split()[-1]
    assert table["path"] == f"{place}/actions"
    assert f"--from=build {place} {place}" in FINAL.all("COPY")
    assert table["tokens"].startswith(f"{FINAL.last('VOLUME')}/")
    assert "ACTIONS" in COMPOSE["services"]["worker"]["build"]["args"]


def test_the_image_has_no_node_unless_it_is_asked_for():
    build, _ = stages(DOCKERFILE.read_text())
    assert build.all("ARG") == ["ACTIONS="]
    steps = build.all("RUN")
    assert [each for each in steps if "actions" in each] == [steps[-1]]
    for given, code in (("", 0), ("1", 1)):
        words = steps[-1].replace("sh deploy/install.sh", "false")
        done = subprocess.run(["sh", "-ec", words], env={"ACTIONS": given}, check=False)
        assert done.returncode == code


def assert_files_are_on_volumes(config: Config, folders: list[str]) -> None:
    for destination in config.destinations.values():
        if destination.type == "file":
            assert str(Path(destination.settings["path"]).parent) in folders


def test_the_worker_of_compose_is_asked_where_it_answers():
    environment = COMPOSE["services"]["worker"]["environment"]
    port = environment["GATEWAY_ADMIN"].rpartition(":")[2]
    assert environment["HEALTH_URL"] == f"http://127.0.0.1:{port}/metrics"


# Kubernetes


@pytest.mark.parametrize("name", MANIFESTS)
@pytest.mark.parametrize("version", KUBERNETES)
def test_manifests_fit_the_published_schemas(name, version):
    kubernetes_validate.validate(MANIFESTS[name], version, strict=True)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_deployment_has_all_that_its_configuration_names(name):
    pod = MANIFESTS[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (secret,) = (each["secretRef"]["name"] for each in container["envFrom"])
    environment = FINAL.environment() | MANIFESTS[f"Secret {secret}"]["stringData"]
    volume = MANIFESTS[f"ConfigMap {pod['volumes'][0]['configMap']['name']}"]
    config = parse(
        volume["data"]["gateway.toml"],
        folder=Path(container["volumeMounts"][0]["mountPath"]),
        environment=environment,
    )
    assert FINAL.last("WORKDIR") == str(config.folder)  # where the command line looks
    assert not any(each.type == "file" for each in config.destinations.values())
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports["admin"] == int(config.server.admin_listen.rpartition(":")[2])
    assert f"Deployment gateway-{roles(container['args'])}" == name
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_pod_is_nobody_special(name):
    pod = MANIFESTS[name]["spec"]["template"]["spec"]
    assert FINAL.last("USER") == "{runAsUser}:{runAsGroup}".format_map(
        pod["securityContext"]
    )
    assert pod["securityContext"]["runAsNonRoot"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_what_refers_to_a_deployment_finds_it():
    for name, manifest in MANIFESTS.items():
        spec = manifest.get("spec", {})
        if "scaleTargetRef" in spec:
            assert f"Deployment {spec['scaleTargetRef']['name']}" in MANIFESTS
        if "selector" in spec:
            wanted = spec["selector"].get("matchLabels", spec["selector"])
            pods = [MANIFESTS[each]["spec"]["template"] for each in DEPLOYMENTS]
            assert [each["metadata"]["labels"] for each in pods].count(wanted) == 1, (
                name
            )


def test_no_more_workers_than_partitions():
    text = MANIFESTS["ConfigMap gateway"]["data"]["gateway.toml"]
    partitions = int(re.findall(r"^partitions = (\d+)", text, re.MULTILINE)[0])
    scaler = MANIFESTS["HorizontalPodAutoscaler gateway-worker"]["spec"]
    assert scaler["maxReplicas"] == partitions


# systemd


def unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    # As written, not in small letters; it is a method that may be replaced.
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    return parser


def test_the_unit_has_only_directives_that_are_known():
    found = unit()
    for section in found.sections():
        assert set(found[section]) <= set(DIRECTIVES.split())


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_reads_the_unit(tmp_path):
    program = tmp_path / "gateway"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = UNIT.read_text().replace("/opt/gateway/bin/gateway", str(program))
    file = tmp_path / "gateway.service"
    file.write_text(text)
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    limit = f"--threshold={EXPOSURE_MAX}"
    done = analyze("security", "--offline=true", "--no-pager", limit, str(file))
    assert done.returncode == 0, done.stdout


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words],
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("role", ["all", "intake", "worker"])
def test_the_unit_s_command_is_one_that_the_command_line_knows(role):
    line = unit()["Service"]["ExecStart"].replace("${GATEWAY_ROLE}", role)
    assert roles(line.split()[1:]) == role


@pytest.mark.parametrize("name", ["gateway.toml", "gateway.kafka.toml"])
def test_the_unit_s_environment_is_enough_for_both_configurations(name):
    text = UNIT.read_text().replace("%S", "/var/lib")
    pairs = re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE)
    secrets = {"GATEWAY_WRITE_KEY": "k", "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}
    config = load(DEPLOY / name, dict(pairs) | secrets)
    if name == "gateway.toml":
        assert config.log.path == Path("/var/lib/gateway/log.db")
    assert_files_are_on_volumes(config, ["/var/lib/gateway"])
