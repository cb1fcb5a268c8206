"""What is read of a destination that several processes may deliver to."""

from typing import Any

import pytest

from gateway.alerts.look import FAR_MS, Looker, _Told
from gateway.alerts.reading import Seen
from gateway.alerts.settings import Alerts
from gateway.config import parse
from gateway.ledger.names import HOUR_MS, Kind, Sent, Steady
from gateway.log.contract import GroupState, TopicState
from gateway.metrics import Metrics

CONFIG = """
[sources.web]
write_keys = ["dev"]
[log]
kind = "kafka"
[destinations.crm]
type = "webhook"
settings = { url = "https://crm.example/" }
"""
IDLE = {"breaker": None, "pending": 0, "last_failure": None}


class Desk:
    """What a process lends the alerts, as far as a look uses it."""

    def __init__(self, folder: Any) -> None:
        self.config = parse(CONFIG, folder=folder, environment={})
        self.log = self
        self.here: dict[str, Any] = {"crm": IDLE}
        self.waiting = 7
        self.metrics = Metrics()

    def states(self) -> dict[str, Any]:
        return self.here

    async def topics(self) -> list[TopicState]:
        group = GroupState(name="crm", committed=5, lag=self.waiting)
        crm = TopicState(
            name="to.crm", partitions=1, records=12, bytes=1, groups=(group,)
        )
        return [crm]

    async def ping(self) -> None: ...


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


async def looked(desk: Desk, times: int = 2) -> Seen:
    looker = Looker(desk, Alerts(), None)  # type: ignore[arg-type]  # what is used of it
    try:
        for number in range(times):
            reading = await looker.look(number * 1_000)
    finally:
        looker.close()
    return reading.destinations["crm"]


async def test_a_worker_without_a_partition_looks_whether_others_get_on(desk):
    """Its own breaker is closed for ever: nothing ever comes to it."""
    assert await looked(desk, 1) == Seen(lag=7, moves=True)
    assert await looked(desk) == Seen(lag=7, moves=False)
    desk.waiting = 0
    assert await looked(desk) == Seen(lag=0, moves=True)


async def test_a_worker_with_events_in_hand_says_how_its_own_breaker_is(desk):
    desk.here["crm"] = IDLE | {"pending": 3}
    assert await looked(desk) == Seen(open=False, lag=7, moves=False)
    desk.metrics.outcomes["crm", "delivered"] = 1
    assert await looked(desk, 1) == Seen(open=False, lag=7, moves=True)
    assert await looked(desk, 2) == Seen(open=False, lag=7, moves=False)
    failure = {"reason": "503", "host": "crm.example"}
    desk.here["crm"] = IDLE | {"breaker": "503", "last_failure": failure}
    seen = Seen(open=True, why="503 at crm.example", lag=7, moves=False)
    assert await looked(desk) == seen


async def test_a_process_that_does_not_deliver_looks_the_same(desk):
    desk.here.clear()
    assert await looked(desk) == Seen(lag=7, moves=False)


ORDER, LIFE = Kind("web", "track", "Order"), "a"
NOW = 100 * 24 * HOUR_MS
LAST = NOW - 6 * HOUR_MS


def silent_ms(looker: Looker, now_ms: int, *, lag: int, **latest: int) -> int | None:
    """How long the orders are silent by a ledger that has so much to read yet."""
    seen = {Kind(n, "track", ""): at for n, at in latest.items()}
    told = _Told(LIFE, {}, {}, {}, seen)
    group = GroupState(name=f"ledger.{LIFE}", committed=5, lag=lag)
    events = TopicState(
        name="events", partitions=1, records=9, bytes=1, groups=(group,)
    )
    found = looker._silences(told, [events], now_ms)
    return found[0].now_ms if found else None


@pytest.fixture
def looker(desk):
    looker = Looker(desk, Alerts(), None)
    sent = Sent(ORDER, 500, NOW - 50 * 24 * HOUR_MS, LAST)
    looker._steady = [Steady(sent, HOUR_MS)]
    yield looker
    looker.close()


def test_a_record_to_read_is_no_sign_that_what_was_silent_has_come_again(looker):
    assert silent_ms(looker, NOW, lag=0) == NOW - LAST
    assert silent_ms(looker, NOW + 9_000, lag=3) == NOW - LAST
    assert silent_ms(looker, NOW + 19_000, lag=0) == NOW + 19_000 - LAST


def test_what_another_source_sends_tells_how_far_the_ledger_is(looker):
    at = NOW - 2_000
    assert silent_ms(looker, NOW, lag=3, another=at) == at - LAST


def test_a_ledger_that_is_far_behind_says_nothing(looker):
    assert silent_ms(looker, NOW, lag=3) is None
    assert silent_ms(looker, NOW, lag=0) == NOW - LAST
    assert silent_ms(looker, NOW + FAR_MS + 1, lag=3) is None
