"""The newest records, and how little is read for them."""

import io
import time

import pytest

from gateway.config import Limits, LogConfig
from gateway.console.newest import MANY, newest
from gateway.log import open_log
from gateway.log.contract import Entry, Record, Span
from gateway.notices import Notices


class Log:
    """A topic whose records have chosen times; counts what is read of it."""

    def __init__(self, ages_s: list[float]) -> None:
        now_ms = time.time_ns() // 1_000_000
        self.records = [
            Record("events", 0, number, b"", b"{}", (), now_ms - int(age * 1_000))
            for number, age in enumerate(sorted(ages_s, reverse=True))
        ]
        self.read = 0

    async def scan(self, topic, span: Span, *, follow: bool = False, late_s=0.0):
        for record in self.records:
            if span.from_ms is None or record.appended_at_ms >= span.from_ms:
                self.read += 1
                yield record


def offsets(found: list[Record]) -> list[int]:
    return [record.offset for record in found]


@pytest.mark.parametrize(
    "ages_s",
    [
        [],
        [900_000.0] * 5,
        [float(age) for age in range(1, 500)],
        [0.001 * n for n in range(5_000)],
        [3_000 + 0.001 * n for n in range(30_000)],  # a burst, an hour ago
        [5_000_000 + 0.001 * n for n in range(30_000)],  # and long ago
        [40_000.0] * 4_000,  # in one moment
        [*[10.0] * 3, *[50_000 + 0.01 * n for n in range(5_000)]],
    ],
)
async def test_they_are_the_newest_whenever_they_came(ages_s):
    log = Log(ages_s)
    found = await newest(log, "events", 100)  # type: ignore[arg-type]  # what is used of it
    assert offsets(found) == offsets(log.records)[::-1][:100]


async def test_partitions_that_come_one_after_the_other_are_merged():
    """On Kafka what is read last is of the partition that was read last."""
    log = Log([float(age) for age in range(1, 500)])
    log.records.sort(key=lambda record: (record.offset % 3, record.offset))
    found = await newest(log, "events", 100)  # type: ignore[arg-type]  # see above
    assert offsets(found) == list(range(498, 398, -1))


async def test_a_long_log_costs_a_few_times_what_is_shown():
    log = Log([0.01 * n for n in range(200_000)])
    found = await newest(log, "events", 100)  # type: ignore[arg-type]  # see above
    assert len(found) == 100
    assert log.read < 100 * MANY * 3


async def test_on_a_real_log_the_last_comes_first(tmp_path):
    log = await open_log(
        LogConfig(path=tmp_path / "log.db"),
        Limits(),
        topics=["events"],
        notices=Notices(io.StringIO()),
    )
    try:
        await log.append([Entry("events", b"k", b"%d" % n) for n in range(250)])
        found = await newest(log, "events", 10)
        assert [record.value for record in found] == [
            b"%d" % n for n in range(249, 239, -1)
        ]
        assert await newest(log, "dead.nobody", 10) == []
    finally:
        await log.close()
