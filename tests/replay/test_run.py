"""Replay: what cannot be read is passed over, what hits our bug is tried again."""

import io
import json
from dataclasses import replace

import orjson
import pytest

from gateway.config import Limits, LogConfig
from gateway.errors import ConfigError
from gateway.log import open_log
from gateway.log.contract import Entry, Span
from gateway.notices import Notices
from gateway.replay.run import Request, Rules, dry_run, new_id, replay, survey


@pytest.fixture
async def log(tmp_path):
    log = await open_log(
        LogConfig(path=tmp_path / "log.db"),
        Limits(),
        topics=["events", "refused", "to.crm", "dead.crm"],
        notices=Notices(io.StringIO()),
    )
    yield log
    await log.close()


def refused(name: str, value: object | bytes) -> Entry:
    data = value if isinstance(value, bytes) else orjson.dumps(value)
    headers = (("messageId", name.encode()), ("source", b"web"))
    return Entry("refused", name.encode(), data, headers)


class Readmission:
    """Reads ``name``; fails as a bug would on those in ``broken``."""

    def __init__(self, *broken: str) -> None:
        self.broken = set(broken)
        self.judged: list[str] = []

    def read(self, value):
        return str(value["name"])

    def judge(self, kept):
        self.judged.append(kept)
        if kept in self.broken:
            raise TypeError(f"a bug that must not show cool.person@example.com {kept}")
        return [Entry("events", b"k", orjson.dumps({"name": kept}), ())]


async def value_of(entries):
    return {"value": entries[0].value.decode()}


def rules(readmission) -> Rules:
    return Rules(
        passes=lambda value: True,
        routed=lambda event: True,
        readmission=readmission,
        show=value_of,
    )


async def last(steps):
    return [step async for step in steps][-1]


async def names(log) -> list[str]:
    return [json.loads(r.value)["name"] async for r in log.scan("events", Span())]


async def test_a_bug_of_ours_is_told_and_a_resume_tries_its_record_again(log):
    await log.append([refused(n, {"name": n}) for n in ("a", "broken", "b")])
    said = io.StringIO()
    request = Request(id=new_id(), topic="refused")
    readmission = Readmission("broken")
    progress = await last(replay(log, request, rules(readmission), Notices(said)))
    assert progress.done
    assert progress.sent == 2
    assert progress.skipped == {"bug": 1}
    assert await names(log) == ["a", "b"]
    (line,) = map(json.loads, said.getvalue().splitlines())
    assert (line["notice"], line["error"]) == ("bug", "TypeError")
    assert "Readmission.judge" in line["place"]
    assert "cool.person" not in said.getvalue()

    readmission.broken.clear()
    readmission.judged.clear()
    progress = await last(replay(log, request, rules(readmission), Notices(said)))
    assert readmission.judged == ["broken"]  # the others were settled
    assert (progress.sent, progress.skipped) == (1, {})
    assert await names(log) == ["a", "b", "broken"]


@pytest.mark.parametrize("value", [b"{", b"[]", b"7", b"{}", b'"text"', b"\xff"])
async def test_a_record_of_another_make_is_passed_over_for_good(log, value):
    await log.append([refused("odd", value), refused("a", {"name": "a"})])
    said = io.StringIO()
    request = Request(id=new_id(), topic="refused")
    progress = await last(replay(log, request, rules(Readmission()), Notices(said)))
    assert (progress.sent, progress.skipped) == (1, {"unreadable": 1})
    assert said.getvalue() == ""
    progress = await last(replay(log, request, rules(Readmission()), Notices(said)))
    assert (progress.sent, progress.skipped) == (0, {})


async def test_a_dry_run_tells_of_a_bug_and_shows_the_others(log):
    await log.append([refused(n, {"name": n}) for n in ("a", "broken", "b")])
    said = io.StringIO()
    request = Request(id=new_id(), topic="refused")
    shown = [
        each["value"]
        async for each in dry_run(
            log, request, rules(Readmission("broken")), Notices(said)
        )
    ]
    assert [json.loads(each)["name"] for each in shown] == ["a", "b"]
    assert said.getvalue().count('"notice": "bug"') == 1


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"id": "r", "rat": 5}, "rat"),
        ({"id": "r", "rate": "fast"}, "rate"),
        ({"id": "r", "rate": True}, "rate"),
        ({"id": "r", "to": 7}, "to"),
        ({"id": "r", "topic": "outcomes"}, "topic"),
        ({}, "id"),
    ],
)
def test_what_nobody_can_ask_for_is_named(asked, named):
    with pytest.raises(ConfigError, match=named):
        Request.of(asked)


async def test_a_survey_counts_what_would_be_sent_and_sends_nothing(log):
    names = [*"abc", "refused", "broken"]
    await log.append([refused(n, {"name": n}) for n in names])
    await log.append([refused("a", {"name": "a"}), refused("d", b"no JSON")])

    class Judge(Readmission):
        def judge(self, kept):
            made = super().judge(kept)
            return "missing_identifier" if kept == "refused" else made

    request = Request(id=new_id(), topic="refused")
    judge = rules(Judge("broken"))
    told = await last(survey(log, request, judge, Notices(io.StringIO())))
    assert told.done
    assert (told.total, told.read, told.sent, told.shown) == (7, 7, 3, 3)
    assert told.skipped == {
        "missing_identifier": 1,
        "bug": 1,
        "duplicate": 1,
        "unreadable": 1,
    }
    assert [json.loads(shown["value"])["name"] for shown, _ in told.examples] == [
        *"abc"
    ]
    assert [value["name"] for _, value in told.examples] == [*"abc"]
    assert [each async for each in log.scan("events", Span())] == []
    assert {state.groups for state in await log.topics()} == {()}


async def test_a_survey_says_what_the_destination_would_stop(log):
    await log.append([refused(n, {"name": n}) for n in "abcd"])
    shown = iter([{"sent": True}, *[{"sent": False, "reason": "when"}] * 2])

    async def show(entries):
        return next(shown, {"sent": False, "reason": "when", "because": "plan"})

    request = Request(id=new_id(), topic="refused")
    asked = replace(rules(Readmission()), show=show)
    told = await last(survey(log, request, asked, Notices(io.StringIO())))
    assert (told.sent, told.shown) == (4, 4)
    assert told.becoming == {"when": 2, "plan": 1}


def dead(name: str, **more: object) -> Entry:
    event = {"type": "track", "messageId": name, "userId": "u1", "event": "Did"}
    event |= {"source": "web", "receivedAt": "2026-01-01T00:00:00.000Z"}
    value = {"event": event, "reason": "rejected", **more}
    old = (("replay", b"before"), ("actions", b'["old"]'))
    headers = (("messageId", name.encode()), ("source", b"web"), *old)
    return Entry("dead.crm", b"u1", orjson.dumps(value), headers)


async def test_of_a_dead_letter_what_has_not_delivered_it_is_fed_again(log):
    await log.append(
        [
            dead("some", actions=["a", "b"], delivered=["c"]),
            dead("all", actions=["a"]),
            dead("none"),
        ]
    )
    request = Request(id=new_id(), topic="dead", to="crm")
    await last(replay(log, request, rules(Readmission()), Notices(io.StringIO())))
    fed = {
        headers["messageId"]: headers.get("actions")
        async for record in log.scan("to.crm", Span())
        if (headers := dict(record.headers))["replay"] == request.id.encode()
    }
    assert fed == {b"some": b'["a","b"]', b"all": None, b"none": None}


async def test_of_a_message_that_died_again_the_last_letter_is_believed(log):
    first = dead("m", actions=["a", "b"], delivered=["c"])
    first = first._replace(headers=first.headers[:2])  # it was no replay
    odd = Entry("dead.crm", b"u1", b"no JSON", (*first.headers, ("replay", b"r")))
    again = dead("m", actions=["b"], delivered=["a", "c"])
    await log.append([first, odd, again])
    request = Request(id=new_id(), topic="dead", to="crm")
    steps = replay(log, request, rules(Readmission()), Notices(io.StringIO()))
    assert (await last(steps)).sent == 1
    (fed,) = [dict(each.headers) async for each in log.scan("to.crm", Span())]
    assert fed["actions"] == b'["b"]'
