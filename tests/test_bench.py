"""The bench measures what it says: its configurations work, what it sent arrives."""

import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from bench import load, report, targets
from bench.bridge import MEASURED
from bench.delivery import Run
from bench.growth import Grown
from bench.light import Light
from bench.scale import Scaled
from bench.sink import Sink
from bench.stores import Kafka, Sqlite
from gateway.parts import examine
from tests.actions.kit import package
from tests.log.broker.kafka import Node
from tests.path.running import PATIENCE_S

ROOT = Path(__file__).parents[1]
SINK = "http://127.0.0.1:9"


def test_a_bench_configuration_of_every_native_type_is_one(tmp_path: Path) -> None:
    every = targets.chosen(actions=True, kafka=False)
    native = [each for each in every if not each.in_node]
    assert {each.name for each in native} >= {"intercom", "slack", "amplitude"}
    assert len(every) - len(native) == len(targets.NATIVE) + 1  # and one in batches
    run = Run(tmp_path, Sqlite(tmp_path), SINK, native)
    config, _ = examine(run.configure(native[0]))
    assert [each.paused for each in config.destinations.values()] == [
        False,
        *[True] * len(native),  # the last one is idle
    ]


def test_the_kafka_destination_is_of_the_bench_s_own_broker(tmp_path: Path) -> None:
    store = Kafka("127.0.0.1:9", "bench-x.")
    run = Run(tmp_path, store, SINK, targets.chosen(actions=False, kafka=True))
    config, _ = examine(run.configure(targets.KAFKA))
    (mine,) = [each for each in config.destinations.values() if not each.paused]
    assert mine.settings == {
        "bootstrap_servers": "127.0.0.1:9",
        "topic": "bench-x.out",
    }


def test_a_plain_body_has_no_trait_that_is_respelt(tmp_path: Path) -> None:
    sent = {
        plain: orjson.loads(load.prepared(load.BODY, tmp_path, plain=plain).read_text())
        for plain in (False, True)
    }
    assert "employee_count" in sent[False]["traits"]["company"]
    assert "employee_count" not in sent[True]["traits"]["company"]
    assert len(orjson.dumps(sent[True])) == len(orjson.dumps(sent[False]))
    assert "Mixpanel" not in sent[True]["integrations"]


def test_the_sink_answers_intercom_and_counts_all_but_its_own_count() -> None:
    sink = Sink()
    found = orjson.loads(sink.answer(b"POST /contacts/search"))
    assert found["data"] == []
    assert orjson.loads(sink.answer(b"POST /contacts"))["id"]
    assert sink.answer(b"POST /hook") == b""
    assert sink.answer(b"GET /") == b"3"


def test_the_tables_have_a_column_for_each_number() -> None:
    light = Light(
        log="sqlite",
        per_s=200,
        events=9,
        problem="",
        server_us=1_234.4,
        store_us=None,
        answered_ms=(0.51, 4.1),
        delivered_ms=(1.3, 5.6),
    )
    *_, row = report.light([light]).splitlines()
    assert " ".join(row.split()) == "sqlite, 200 a second 1234 - 0.5 4.1 1.3 5.6 9"
    grown = Grown(
        log="kafka",
        events=1_000_000,
        keys=1_000,
        single_us=70,
        batch_us=30,
        intake_store_us=6,
        delivery_us=150,
        delivery_store_us=13,
        begun_s=0.123,
        problem="",
    )
    *_, row = report.growth([grown]).splitlines()
    assert " ".join(row.split()) == "kafka 1,000,000 1,000 70 30 6 150 13 0.12"
    runs = [
        Scaled(
            role="worker",
            processes=count,
            events=9,
            problem="",
            server_us=70,
            store_us=None,
            events_per_s=rate,
        )
        for count, rate in ((1, 8_000), (2, 12_000))
    ]
    *_, row = report.scale(runs).splitlines()
    assert " ".join(row.split()) == "2 x worker 70 - 12,000 1.50"


@pytest.mark.service
def test_scale_counts_what_several_processes_did_together(
    tmp_path: Path, node: Node
) -> None:
    words = ["scale", "--bootstrap", node.address, "--backlog-seconds", "1"]
    words += ["--rounds", "1", "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.splitlines()
    assert [line.split()[:3] for line in table[2:6]] == [
        [count, "x", role] for role in ("intake", "worker") for count in ("1", "2")
    ]


@pytest.mark.service
def test_light_and_growth_measure_a_gateway_and_prove_that_all_arrived(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "kept.json"
    words = ["light", "growth", "--log", "sqlite", "--seconds", "1", "--rounds", "1"]
    words += ["--events", "500,1500", "--keys", "", "--json", str(kept)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words, "--folder", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(kept.read_text())
    (light,) = found["light"]
    assert (light["events"], light["problem"]) == (200, "")
    assert 0 < light["answered_ms"][0] <= light["answered_ms"][1]
    assert 0 < light["delivered_ms"][0] <= light["delivered_ms"][1]
    first, second = found["growth"]
    assert first["events"] == 500
    assert second["events"] > 1_500  # what was measured at the first is in it
    assert all(
        each["delivery_us"] > 0 and not each["problem"] for each in (first, second)
    )


@pytest.mark.service
def test_bridge_hands_over_every_event_and_counts_both_processes(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "kept.json"
    words = ["bridge", "--rounds", "1", "--handed", "200", "--json", str(kept)]
    words += ["--actions", str(package().folder), "--folder", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(kept.read_text())["bridge"]
    assert [each["problem"] for each in found] == [""] * len(MEASURED)
    in_node = [each for each in found if each["destination"].startswith("actions:")]
    assert len(in_node) == 3
    assert all(each["node_us"] > 0 for each in in_node)
