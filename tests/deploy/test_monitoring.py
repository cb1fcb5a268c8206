"""What Prometheus and Grafana are given asks for what the gateway tells."""

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from gateway.alerts.settings import RULES, Alerts
from gateway.config import parse
from gateway.metrics import METRICS
from gateway.notices import CODES
from gateway.parts import check
from tests.deploy.image import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULE_FILE = yaml.safe_load((PROMETHEUS / "gateway.rules.yaml").read_text())
ALERTS = {
    rule["alert"]: rule for group in RULE_FILE["groups"] for rule in group["rules"]
}
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "gateway.json").read_text())
PANELS = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
THEIRS = {"job", "instance"}  # Prometheus adds these
UP = "up"
PARTS = ("_bucket", "_sum", "_count")
DURATION = re.compile(r"\d+[smhd]")
COLUMNS = 24


def expressions() -> Iterator[Any]:
    for name, rule in ALERTS.items():
        yield pytest.param(rule["expr"], id=name)
    for panel in PANELS:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "5m")
            yield pytest.param(text, id=f"{panel['title']} {target['refId']}")


def selectors(expression: Any) -> Iterator[Any]:
    """Every selector of a metric in it."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        inner = getattr(expression, name, None)
        if inner is not None and not isinstance(inner, str):
            yield from selectors(inner)
    for inner in getattr(expression, "args", ()):
        yield from selectors(inner)


def known(name: str) -> set[str]:
    """The labels of a metric of the closed list."""
    if name in METRICS:
        assert METRICS[name].kind != "histogram", f"{name} has parts"
        return set(METRICS[name].labels)
    family = next(name.removesuffix(each) for each in PARTS if name.endswith(each))
    assert METRICS[family].kind == "histogram"
    return {*METRICS[family].labels, "le"}


@pytest.mark.parametrize("text", list(expressions()))
def test_an_expression_asks_for_metrics_and_labels_that_there_are(text: str) -> None:
    found = list(selectors(promql_parser.parse(text)))
    assert found
    labels = set(THEIRS)
    for each in found:
        asked = {matcher.name for matcher in each.matchers.matchers}
        if each.name != UP:
            own = known(each.name)
            assert asked <= own | THEIRS, each.name
            labels |= own
    for grouped in re.findall(r"by \(([^)]*)\)", text):
        assert {each.strip() for each in grouped.split(",")} <= labels


def test_a_misspelt_metric_or_label_would_be_found() -> None:
    for text in ("gateway_lags > 1", "sum by (person) (gateway_lag)", "sum(("):
        with pytest.raises((StopIteration, AssertionError, ValueError)):
            test_an_expression_asks_for_metrics_and_labels_that_there_are(text)


def test_notices_that_rules_name_are_notices() -> None:
    texts = " ".join(rule["expr"] for rule in ALERTS.values())
    named = re.findall(r'code=~"([^"]*)"', texts)
    asked = {code for each in named for code in each.split("|")}
    assert asked
    assert asked <= CODES.keys()


# Prometheus


def test_rules_have_what_prometheus_reads_and_a_person_needs() -> None:
    assert RULE_FILE.keys() == {"groups"}
    for name, rule in ALERTS.items():
        assert name.startswith("Gateway")
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert DURATION.fullmatch(rule.get("for", "1m"))
        labels = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        grouped = " ".join(re.findall(r"by \(([^)]*)\)", rule["expr"]))
        for label in labels:
            assert label in grouped or label == "code", name


def test_thresholds_are_those_of_the_gateways_own_rules() -> None:
    """``event_stopped`` needs the ledger; the others are told by both."""
    own = Alerts()
    stands_for = {
        "destination_down": ("GatewayDestinationDown", own.destination_down.for_s, "1"),
        "dead_letters": ("GatewayDeadLetters", None, f">= {own.dead_letters.events}"),
        "lag": ("GatewayLag", own.lag.for_s, f">= {own.lag.events}"),
        "refused_rate": (
            "GatewayRefusals",
            None,
            f">= 0.{own.refused_rate.percent}",
        ),
        "log_filling": ("GatewayLogFilling", None, "log_full"),
        "event_stopped": ("GatewaySourceSilent", own.event_stopped.silence_s, "== 0"),
    }
    assert stands_for.keys() == RULES.keys()
    for name, for_s, threshold in stands_for.values():
        rule = ALERTS[name]
        assert threshold in rule["expr"]
        if for_s is not None:
            assert rule["for"] == f"{for_s / 60:g}m"
    for name, within_s in (
        ("GatewayDeadLetters", own.dead_letters.within_s),
        ("GatewayRefusals", own.refused_rate.within_s),
    ):
        assert f"[{within_s / 60:g}m]" in ALERTS[name]["expr"]
    assert f">= {own.refused_rate.messages}" in ALERTS["GatewayRefusals"]["expr"]


def test_what_is_scraped_is_where_the_admin_port_is(tmp_path) -> None:
    scrape = yaml.safe_load((PROMETHEUS / "scrape.yaml").read_text())
    (job,) = scrape["scrape_configs"]
    text = "[sources.web]\nwrite_keys = ['dev']"
    config = parse(text, folder=tmp_path, environment={})
    check(config)
    assert job["static_configs"] == [{"targets": [config.server.admin_listen]}]
    assert job["job_name"] in ALERTS["GatewayAbsent"]["expr"]
    assert [(PROMETHEUS / each).exists() for each in scrape["rule_files"]] == [True]


# Grafana


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    assert DASHBOARD["schemaVersion"] >= 36  # data sources by uid
    names = [each["name"] for each in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "job"]
    ids = [each["id"] for each in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert 'job=~"$job"' in panel["targets"][0]["expr"]


def test_no_panel_covers_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                assert other == panel["title"]


def test_every_metric_of_the_closed_list_is_on_the_dashboard() -> None:
    asked = json.dumps(PANELS)
    assert [name for name in METRICS if name not in asked] == []
