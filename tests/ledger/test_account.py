"""The account, with a log: what waits, what never came, and what sends it."""

import io
import shlex
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.config import Limits, LogConfig
from gateway.event import iso
from gateway.ledger.account import Accountant, as_text, replay_command
from gateway.ledger.rows import Rows
from gateway.ledger.store import life_of
from gateway.ledger.waiting import SETTLED_S, group_of, waits
from gateway.ledger.write import missed_among, missed_of
from gateway.log import open_log
from gateway.log.contract import Entry, EventLog, Record, Span
from gateway.notices import Notices
from gateway.outbound.when import Filter
from tests.ledger.conftest import Desk
from tests.ledger.records import AT_MS


@dataclass
class House:
    """A ledger, and the log that it followed."""

    desk: Desk
    log: EventLog

    @property
    def accountant(self) -> Accountant:
        return Accountant(self.desk.store, self.log)

    async def append(self, *records: Record) -> None:
        await self.log.append([Entry(*_entry(each)) for each in records])

    async def deliver(self, count: int) -> None:
        """The destination's group settles that many."""
        async with self.log.subscribe("to.crm", group="crm") as subscription:
            if count:
                records = await subscription.poll(limit=count, timeout_s=5)
                await subscription.settle(records)

    async def follow(self) -> None:
        """The ledger has read every outcome."""
        group = group_of(self.desk.store.answer(life_of))
        async with self.log.subscribe("outcomes", group=group) as subscription:
            records = await subscription.poll(limit=1_000, timeout_s=0.1)
            if records:
                await subscription.settle(records)


def _entry(record: Record) -> tuple[str, bytes, bytes, tuple[tuple[str, bytes], ...]]:
    return record.topic, record.key, record.value, record.headers


def at_crm(record: Record) -> Entry:
    headers = tuple(each for each in record.headers if each[0] != "route")
    return Entry("to.crm", record.key, record.value, headers)


@pytest.fixture
async def house(desk: Desk, tmp_path: Path) -> AsyncIterator[House]:
    log = await open_log(
        LogConfig(path=tmp_path / "log.db"),
        Limits(),
        topics=["events", "to.crm", "outcomes", "refused"],
        notices=Notices(io.StringIO()),
    )
    yield House(desk, log)
    await log.close()


async def test_an_event_that_waits_is_pending_and_one_that_never_came_is_not(
    house, made, monkeypatch
):
    there, lost, ended = made.event("there"), made.event("lost"), made.event("ended")
    await house.append(there, lost, ended)
    await house.log.append([at_crm(ended), at_crm(there)])
    house.desk.take(*[record async for record in house.log.scan("events", Span())])
    house.desk.take(made.end("ended"))
    await house.deliver(1)
    await house.follow()
    later_s = time.time() + SETTLED_S + 1
    monkeypatch.setattr("gateway.ledger.waiting.time.time", lambda: later_s)
    (line,) = (await house.accountant.account(None, None))["account"]
    kinds = ("admitted", "delivered", "pending", "unconfirmed", "difference")
    assert [line[kind] for kind in kinds] == [3, 1, 1, 1, 0]
    assert "lost" in line["replay"][0]
    assert "there" not in line["replay"][0]


async def test_nothing_is_unconfirmed_while_the_ledger_has_outcomes_to_read(
    house, made
):
    house.desk.take(made.event("lost"))
    await house.append(made.end("other"))
    await house.deliver(0)
    (line,) = (await house.accountant.account(None, None))["account"]
    assert (line["pending"], line["unconfirmed"], line["difference"]) == (1, 0, 0)
    await house.follow()
    (line,) = (await house.accountant.account(None, None))["account"]
    assert (line["pending"], line["unconfirmed"], line["difference"]) == (0, 1, 0)


async def test_whose_outcome_was_deleted_unread_may_have_ended(house, made):
    """It is not sent again as if nobody had it."""
    house.desk.take(made.event("ended"), made.event("told"))
    made.end("ended")  # the log had to delete it
    house.desk.take(made.end("told"))
    await house.deliver(0)
    await house.follow()
    told = await house.accountant.account(None, None)
    (line,) = told["account"]
    kinds = ("delivered", "pending", "unconfirmed", "unknown", "difference")
    assert [line[kind] for kind in kinds] == [1, 0, 0, 1, 0]
    assert "replay" not in line
    assert "log.outcomes_size" in as_text(told)
    house.desk.take(made.event("lost", at=AT_MS + 1_000))
    (line,) = (await house.accountant.account(None, None))["account"]
    assert [line[kind] for kind in kinds] == [1, 0, 1, 1, 0]  # nothing is missing there


async def test_a_ledger_made_anew_knows_that_it_missed_outcomes(house, made, new):
    one, two = made.event("one"), made.event("two")
    made.end("one")
    end = made.end("two")
    house.desk.take(one, two, end)
    assert house.desk.store.answer(missed_of) == end.appended_at_ms
    whole = Desk(new())
    whole.take(one, two)
    assert whole.store.answer(missed_of) == 0
    whole.store.end()


@pytest.mark.parametrize(
    ("read", "offsets", "missed"),
    [
        ({}, [0, 1, 2], 0),
        ({0: 4}, [5, 6], 0),
        ({0: 4}, [6, 7], 6),
        ({0: 4}, [5, 8, 9, 12], 12),
        ({}, [3], 3),
        ({0: 7}, [8, 3, 4], 0),  # a topic that was made anew
    ],
)
def test_what_the_log_has_deleted_unread_is_noticed_by_its_offsets(
    read, offsets, missed
):
    records = [Record("outcomes", 0, each, b"", b"", (), each) for each in offsets]
    assert missed_among(records, read) == missed


async def test_a_replay_stands_in_for_what_was_unconfirmed(house, made):
    house.desk.take(
        made.event("lost"), made.end("lost", replay="r1"), made.end("x", replay="r1")
    )
    await house.deliver(0)
    await house.follow()
    (line,) = (await house.accountant.account(None, None))["account"]
    assert (line["admitted"], line["delivered"], line["replayed"]) == (1, 1, 1)
    assert (line["unconfirmed"], line["difference"]) == (0, 0)


async def test_the_command_that_sends_it_again_means_it_and_no_other(house, made):
    odd = 'it\'s `odd` \\ "one"'
    house.desk.take(made.event(odd), made.event("other", to=()))
    await house.deliver(0)
    await house.follow()
    told = await house.accountant.account(None, None)
    (command,) = told["account"][0]["replay"]
    words = shlex.split(command)
    assert words[:4] == ["gateway", "replay", "--to", "crm"]
    assert words[4:8] == ["--from", iso(AT_MS), "--until", iso(AT_MS + 1)]
    where = Filter(words[-1], place="--where")
    assert where.passes({"messageId": odd})
    assert not where.passes({"messageId": "other"})
    assert command in as_text(told)


async def test_a_young_event_may_be_on_its_way(house, made, monkeypatch):
    now_s = AT_MS / 1000
    monkeypatch.setattr("gateway.ledger.waiting.time.time", lambda: now_s + 1)
    house.desk.take(made.event("young"))
    await house.deliver(0)
    await house.follow()
    (line,) = (await house.accountant.account(None, None))["account"]
    assert (line["pending"], line["unconfirmed"]) == (1, 0)
    monkeypatch.setattr(
        "gateway.ledger.waiting.time.time", lambda: now_s + SETTLED_S + 1
    )
    (line,) = (await house.accountant.account(None, None))["account"]
    assert (line["pending"], line["unconfirmed"]) == (0, 1)


async def test_one_event_is_looked_for_at_the_time_of_its_append(house, made):
    lost, there = made.event("lost"), made.event("there")
    await house.log.append([at_crm(there)])
    records = [record async for record in house.log.scan("to.crm", Span())]
    house.desk.take(lost, there)
    rows = Rows(house.desk.connection)
    (story,), (other,) = rows.story("there"), rows.story("lost")
    appended = records[0].appended_at_ms
    assert await waits(house.log, "crm", story.row._replace(appended_at=appended))
    assert not await waits(house.log, "crm", other.row)


def test_many_ids_become_several_commands(made, desk):
    desk.take(*[made.event(f"m{n}") for n in range(3)])
    rows = [story.row for n in range(3) for story in desk.ask.story(f"m{n}")]
    assert replay_command("crm", rows).count('"m') == 3
