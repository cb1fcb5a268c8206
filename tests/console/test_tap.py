"""The live page: nothing is read when nobody looks, little kept when somebody does."""

import asyncio
import io

import orjson
import pytest

from gateway.config import Limits, LogConfig
from gateway.console.tap import (
    KEPT,
    SHOWN,
    VIEWERS_MAX,
    Tap,
    Viewer,
    row_of,
)
from gateway.log import open_log
from gateway.log.contract import Entry, Record
from gateway.notices import Notices
from gateway.outbound.when import Filter
from tests.whole import until


def record(number: int, topic: str = "events", value: bytes | None = None) -> Record:
    headers = (
        ("messageId", b"m%d" % number),
        ("source", b"web"),
        ("type", b"track"),
        ("route", b'{"to": ["crm"], "no": {"old": "disabled"}}'),
    )
    body = value or orjson.dumps({"event": "Paid", "userId": "u", "n": number})
    return Record(topic, 0, number, b"", body, headers, 1_800_000_000_000 + number)


def test_a_viewer_gets_the_newest_and_how_many_more_there_were():
    viewer = Viewer(None)
    for number in range(KEPT + 50):
        viewer.hear(record(number))
    rows, more = viewer.take()
    assert [row["id"] for row in rows] == [
        f"m{n}" for n in range(KEPT + 50 - SHOWN, KEPT + 50)
    ]
    assert more == KEPT + 50 - SHOWN
    assert viewer.take() == ([], 0)


def test_what_is_not_shown_is_not_even_parsed():
    viewer = Viewer(None)
    for number in range(KEPT):
        viewer.hear(record(number, value=b"{" if number < KEPT - SHOWN else None))
    rows, more = viewer.take()
    assert [row["name"] for row in rows] == ["Paid"] * SHOWN
    assert more == KEPT - SHOWN


def test_a_filter_passes_over_what_does_not_fit_without_counting_it():
    viewer = Viewer(Filter("n > `490`", place="where"))
    for number in range(KEPT):
        viewer.hear(record(number))
    rows, more = viewer.take()
    assert [row["id"] for row in rows] == [f"m{n}" for n in range(491, 500)]
    assert more == 0


def test_a_filter_reads_only_what_has_the_texts_it_compares_with():
    viewer = Viewer(Filter("userId == 'u' && starts_with(event, 'Pa')", place="where"))
    for number in range(20):
        viewer.hear(record(number, value=b"{" if number % 2 else None))
    viewer.hear(record(20, value=b'{"userId": "u", "name": "Pa"}'))  # of no event
    rows, more = viewer.take()
    assert [row["id"] for row in rows] == [f"m{n}" for n in range(0, 20, 2)]
    assert more == 0


def test_a_line_says_what_was_decided():
    row = row_of(record(1))
    assert (row["name"], row["who"], row["to"]) == ("Paid", "u", ["crm"])
    assert row["no"] == {"old": "disabled"}


def test_a_refused_message_says_why():
    value = {
        "endpoint": "batch",
        "errors": [{"pointer": "/event", "message": "missing"}],
    }
    row = row_of(record(1, "refused", orjson.dumps(value)))
    assert row["type"] == "refused"
    assert row["refused"] == "/event: missing"


@pytest.mark.parametrize(
    "value", [b"", b"[]", b'{"event": {}, "userId": []}', b'{"errors": [], "name": 1}']
)
@pytest.mark.parametrize("topic", ["events", "refused"])
def test_strange_records_are_lines_too(topic, value):
    assert row_of(record(1, topic, value))["id"] == "m1"


@pytest.fixture
async def log(tmp_path):
    log = await open_log(
        LogConfig(path=tmp_path / "log.db"),
        Limits(),
        topics=["events", "refused"],
        notices=Notices(io.StringIO()),
    )
    yield log
    await log.close()


class Counting:
    """A log that counts who follows it now."""

    def __init__(self, log) -> None:
        self._log = log
        self.following = 0

    async def scan(self, topic, span, *, follow=False, late_s=0.0):
        self.following += 1
        try:
            async for each in self._log.scan(topic, span, follow=follow, late_s=late_s):
                yield each
        finally:
            self.following -= 1


async def test_the_log_is_followed_only_while_somebody_looks(log):
    counting = Counting(log)
    tap = Tap(counting)  # type: ignore[arg-type]  # what is used of it
    running = asyncio.create_task(tap.run())
    try:
        await log.append([Entry("events", b"k", b'{"n": 0}')])
        await asyncio.sleep(0.05)
        assert counting.following == 0
        for round_ in range(2):  # again and again
            with tap.viewing(None) as one, tap.viewing(None) as two:
                await until(lambda: counting.following == 2)  # its two topics, once
                await log.append([Entry("events", b"k", b'{"n": %d}' % round_)])
                await until(lambda: one.waiting and two.waiting)
                assert len(one.waiting) == 1  # nothing of before
            await until(lambda: counting.following == 0)
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_what_comes_right_after_one_looks_is_seen(log):
    tap = Tap(log)
    with tap.viewing(None) as viewer:
        await log.append([Entry("events", b"k", b"{}")])  # before anybody follows
        running = asyncio.create_task(tap.run())
        await until(lambda: viewer.waiting)
        running.cancel()
        await asyncio.wait([running])


async def test_there_is_a_bound_on_viewers(log):
    tap = Tap(log)
    viewing = [tap.viewing(None) for _ in range(VIEWERS_MAX)]
    for each in viewing:
        assert not tap.is_crowded
        each.__enter__()
    assert tap.is_crowded
    for each in viewing:
        each.__exit__(None, None, None)
    assert not tap.is_crowded
