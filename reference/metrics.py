"""The page of the metrics, from their closed list."""

from gateway.metrics import METRICS
from reference.table import code, table

HEAD = """\
# Metrics

What `/metrics` at the admin port says, in the format of Prometheus. The list is closed.
Each process has its own; counters begin at 0 when it starts.
"""


def page() -> str:
    """Every metric."""
    rows = [
        (code(name), known.kind, ", ".join(map(code, known.labels)), known.text)
        for name, known in METRICS.items()
    ]
    return f"{HEAD}\n{table(('metric', 'kind', 'labels', 'what it tells'), rows)}"
