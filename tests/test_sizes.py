"""/metrics tells how many bytes each topic holds."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.errors import LogError
from gateway.metrics import Metrics
from gateway.sizes import Sizes


class Log:
    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes
        self.away = False

    async def topics(self) -> list[Any]:
        if self.away:
            raise LogError("away")
        return [SimpleNamespace(name=n, bytes=size) for n, size in self.sizes.items()]


async def test_each_topic_has_its_size_and_keeps_it_while_the_log_is_away() -> None:
    metrics, log = Metrics(), Log(events=7, refused=0)
    sizes = Sizes(log, metrics)  # type: ignore[arg-type]  # what is asked of a log
    gauges = metrics.gauges["gateway_log_bytes"]
    assert gauges == {}
    await sizes.look()
    assert {name: read() for name, read in gauges.items()} == {
        "events": 7,
        "refused": 0,
    }
    log.sizes = {"events": 9, "to.crm": 3}
    await sizes.look()
    assert [gauges[name]() for name in ("events", "to.crm")] == [9, 3]
    log.away = True
    with pytest.raises(LogError):
        await sizes.look()
    assert gauges["events"]() == 9
