"""The list of metrics is closed, and each is told with its labels."""

from prometheus_client import CollectorRegistry, exposition

from gateway.metrics import METRICS, Histogram, Metrics


def told() -> Metrics:
    """Metrics with one value each."""
    metrics = Metrics()
    metrics.messages["web", "identify", "accepted"] += 1
    metrics.requests["identify", 200] += 1
    metrics.outcomes["crm", "delivered"] += 1
    metrics.attempts["crm", "retry"] += 1
    metrics.notices = {"bug": 1}
    metrics.append_seconds.observe(0.2, times=2)
    metrics.delivery_seconds["crm"] = Histogram()
    for name, readings in metrics.gauges.items():
        readings[name] = lambda: 7
    return metrics


def test_what_is_told_is_the_list_with_its_kinds_and_labels() -> None:
    families = list(told().collect())
    shown = {each.name + "_total" * (each.type == "counter"): each for each in families}
    assert shown.keys() == METRICS.keys()
    for name, known in METRICS.items():
        assert shown[name].type == known.kind, name
        assert shown[name].documentation == known.text, name
        (labels,) = {tuple(s.labels.keys() - {"le"}) for s in shown[name].samples}
        assert sorted(labels) == sorted(known.labels), name


def test_prometheus_can_read_it() -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(told())
    text = exposition.generate_latest(registry).decode()
    assert (
        'gateway_messages_total{result="accepted",source="web",type="identify"} 1'
        in text
    )
    assert 'gateway_append_seconds_bucket{le="0.25"} 2.0' in text
    assert 'gateway_lag{destination="gateway_lag"} 7.0' in text
