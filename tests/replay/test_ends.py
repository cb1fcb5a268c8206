"""What a replay's events came to is counted at the destination, not where it is fed."""

import io

import orjson
import pytest

from gateway.config import Limits, LogConfig
from gateway.log import open_log
from gateway.log.contract import Entry
from gateway.notices import Notices
from gateway.replay.ends import kind_of, with_ends
from gateway.replay.run import Progress
from gateway.replay_cli import told


@pytest.fixture
async def log(tmp_path):
    log = await open_log(
        LogConfig(path=tmp_path / "log.db"),
        Limits(),
        topics=["outcomes"],
        notices=Notices(io.StringIO()),
    )
    yield log
    await log.close()


def end(name: str, kind: str, replay: str = "r1") -> Entry:
    headers = (
        ("source", b"web"),
        ("messageId", name.encode()),
        ("replay", replay.encode()),
    )
    return Entry("outcomes", b"k", orjson.dumps({"kind": kind}), headers)


async def fed(sent: int):
    yield Progress(id="r1", total=sent)
    yield Progress(id="r1", total=sent, sent=sent, done=True)


async def test_each_event_of_the_replay_is_counted_once_by_how_it_ended(log):
    ends = [end("a", "dead"), end("b", "delivered"), end("a", "delivered")]
    await log.append([*ends, end("c", "dead", replay="r2"), end("d", "dead")])
    steps = [step async for step in with_ends(log, "r1", fed(3))]
    assert steps[-1]["done"]
    assert steps[-1]["outcomes"] == {"dead": 2, "delivered": 1}


async def test_ends_that_do_not_come_are_not_waited_for_for_ever(log, monkeypatch):
    monkeypatch.setattr("gateway.replay.ends.QUIET_S", 0.05)
    await log.append([end("a", "dead")])
    steps = [step async for step in with_ends(log, "r1", fed(3))]
    assert steps[-1]["outcomes"] == {"dead": 1}
    assert told(steps[-1], "crm") == "at crm: 1 dead, 2 under way"


async def test_a_replay_that_nobody_listens_to_any_more_is_let_go(log):
    steps = with_ends(log, "r1", fed(3))
    assert (await anext(steps))["outcomes"] == {}
    await steps.aclose()
    assert [each async for each in steps] == []


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b'{"messageId":"kind","kind":"delivered","reason":null}', "delivered"),
        (b"{}", ""),
        (b"no JSON", ""),
    ],
)
def test_a_kind_is_read_without_the_rest(value, kind):
    assert kind_of(value) == kind
