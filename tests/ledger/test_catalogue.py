"""The catalogue of a running gateway, what plans know of it, and a plan made of it."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gateway import cli
from gateway.config import Config, load
from gateway.ledger import catalogue as catalogues
from gateway.ledger.contract import VERSION
from tests.ledger.kit import CONFIG, asked
from tests.whole import PATIENCE_S, Whole, running

PLAN: dict[str, Any] = {
    "traits": {"properties": {"plan": {"type": "string"}}},
    "events": {"Order": {"properties": {"total": {"type": "number"}}}},
}


def written(
    folder: Path, of_source: str = "", plan: Any = None, ledger: str = ""
) -> Config:
    """A gateway's file, with more for its source ``web``, and where its ledger is."""
    if plan is not None:
        (folder / "plan.json").write_text(json.dumps(plan))
    before, mark, after = CONFIG.partition('write_keys = ["dev"]\n')
    (folder / "gateway.toml").write_text(before + mark + of_source + after + ledger)
    return load(folder / "gateway.toml")


def track(message_id: str, name: str = "Order", **properties: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "userId": "u1",
        "messageId": message_id,
        "event": name,
        "properties": properties,
    }


async def sent(gateway: Whole, *messages: dict[str, Any]) -> int:
    return await gateway.post({"batch": [*messages]}, "/v1/batch")


async def kinds(gateway: Whole, events: int, **query: str) -> list[dict[str, Any]]:
    """The catalogue's kinds, once the ledger has read so many events."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            status, told = await asked(gateway, "/v1/catalogue", params=query)
            if status == 200 and sum(e["events"] for e in told["kinds"]) == events:
                assert told["whole"]
                return [*told["kinds"]]
            await asyncio.sleep(0.05)


async def test_it_tells_fields_and_what_the_plan_knows(
    tmp_path: Path, ledger: str
) -> None:
    config = written(tmp_path, 'schema = "plan.json"\n', PLAN, ledger)
    async with running(config) as gateway:
        person = {"type": "identify", "userId": "u1", "traits": {"plan": "pro"}}
        status = await sent(
            gateway,
            track("m1", total=5, note="for Ann"),
            track("m2", total=5.5),
            track("m3", "Ordr", total=1),
            {"type": "page", "userId": "u1", "name": "Home"},
            {**person, "messageId": "m4"},
        )
        assert status == 200
        told = {(e["type"], e["name"]): e for e in await kinds(gateway, 5)}
    known = {which: each["known"] for which, each in told.items()}
    assert known == {
        ("track", "Order"): True,
        ("track", "Ordr"): False,
        ("page", "Home"): None,
        ("identify", None): True,
    }
    order = told["track", "Order"]
    assert (order["events"], order["looked"]) == (2, 2)
    total, note = order["fields"]
    assert total["path"] == "properties.total"
    assert (total["events"], total["types"]) == (2, {"integer": 1, "number": 1})
    assert order["first"] <= total["first"] <= total["last"] <= order["last"]
    assert (note["events"], note["example"]) == (1, "xxx xxx")
    assert [total["known"], note["known"]] == [True, False]
    (of_typo,) = told["track", "Ordr"]["fields"]
    assert of_typo["known"] is False
    (of_person,) = told["identify", None]["fields"]
    assert (of_person["path"], of_person["known"]) == ("traits.plan", True)


async def test_without_a_plan_nothing_is_said_of_it(tmp_path: Path) -> None:
    async with running(written(tmp_path)) as gateway:
        await sent(gateway, track("m1", total=5))
        (order,) = await kinds(gateway, 1)
    assert order["known"] is None
    assert [each["known"] for each in order["fields"]] == [None]


async def test_it_can_be_asked_for_less(tmp_path: Path, ledger: str) -> None:
    async with running(written(tmp_path, ledger=ledger)) as gateway:
        await sent(gateway, track("m1", total=5), track("m2", "Paid"))
        await kinds(gateway, 2)
        (paid,) = await kinds(gateway, 1, name="Paid")
        assert (paid["name"], paid["fields"]) == ("Paid", [])
        assert "fields" not in (await kinds(gateway, 2, fields="false"))[0]
        assert await kinds(gateway, 0, source="app") == []
        assert await kinds(gateway, 0, until="2020-01-01T00:00:00Z") == []
        assert len(await kinds(gateway, 2, until="2100-01-01T00:00:00Z")) == 2


async def test_an_answer_that_is_cut_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(written(tmp_path)) as gateway:
        await sent(gateway, track("m1"), track("m2", "Paid"))
        await kinds(gateway, 2)
        monkeypatch.setattr(catalogues, "KINDS_MAX", 2)
        assert not (await asked(gateway, "/v1/catalogue"))[1]["whole"]


async def test_a_ledger_of_the_version_before_is_made_anew_with_fields(
    tmp_path: Path,
) -> None:
    config = written(tmp_path)
    async with running(config) as gateway:
        await sent(gateway, track("m1", total=5), track("m2", total=6))
        before = await kinds(gateway, 2)
    file = tmp_path / "data" / "ledger.db"
    old = sqlite3.connect(file)
    old.executescript(
        "DROP TABLE looks; DROP TABLE fields;"
        f"PRAGMA user_version = {VERSION - 1}; UPDATE names SET events = 77;"
    )
    old.close()
    async with running(config) as gateway:
        assert await kinds(gateway, 2) == before
        assert not gateway.notices("ledger_failed")


async def test_events_outside_the_plan_are_told_and_counted(tmp_path: Path) -> None:
    of_source = 'schema = "plan.json"\non_unplanned = "flag"\n'
    async with running(written(tmp_path, of_source, PLAN)) as gateway:
        assert await sent(gateway, track("m1", total=5), track("m2", "Ordr")) == 200
        await kinds(gateway, 2)
        async with gateway.session.get(gateway.admin + "/metrics") as response:
            counted = await response.text()
    assert 'notices_total{code="unplanned_event"} 1' in counted
    (told,) = gateway.notices("unplanned_event")
    assert (told["where"], told["name"], told["count"]) == ("web", "Ordr", 1)


async def test_an_event_outside_the_plan_is_refused_until_the_plan_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_source = 'schema = "plan.json"\non_unplanned = "reject"\n'
    async with running(written(tmp_path, of_source, PLAN)) as gateway:
        headers = {"Authorization": "Bearer dev"}
        body = track("m1", "Ordr")
        async with gateway.session.post(
            gateway.url + "/v1/track", json=body, headers=headers
        ) as response:
            assert response.status == 400
            (error,) = (await response.json())["errors"]
        assert (error["pointer"], error["code"]) == ("/event", "unplanned_event")
        assert error["message"].startswith('"Ordr" is not in the source\'s tracking')
        assert await sent(gateway, track("m2", total=5), track("m3", "Ordr")) == 200
        assert (await kinds(gateway, 1))[0]["name"] == "Order"
    file = str(tmp_path / "gateway.toml")
    replay = ("--config", file, "replay", "--topic", "refused")
    assert await asyncio.to_thread(cli.main, replay) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "sent 0, skipped 2 refused"
    events = {**PLAN["events"], "Ordr": {}}
    later = written(tmp_path, of_source, {**PLAN, "events": events})
    assert await asyncio.to_thread(cli.main, replay) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "sent 2, skipped none"
    async with running(later) as gateway:
        told = {each["name"]: each["events"] for each in await kinds(gateway, 3)}
    assert told == {"Order": 1, "Ordr": 2}


async def test_a_plan_is_detected_and_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a running gateway and of its file alike; what it was made of is admitted."""
    config = written(tmp_path)
    detecting = ("--config", str(tmp_path / "gateway.toml"), "plan", "detect")

    async def detected(*more: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(cli.main, (*detecting, *more))
        told = capsys.readouterr()
        return code, told.out, told.err

    messages = [track(f"m{n}", total=n, gift=True) for n in range(120)]
    messages.append({"type": "page", "userId": "u1", "name": "Home"})
    async with running(config) as gateway:
        assert await sent(gateway, *messages) == 200
        await kinds(gateway, 121)
        code, text, said = await detected("--source", "web")
        nobody = await detected("--until", "2020-01-01")
        assert (await detected("--source", "x"))[0] == 2
    assert (nobody[0], nobody[1]) == (2, "")
    assert "--source web: the ledger has no identify and no track" in nobody[2]
    assert code == 0
    assert json.loads(text)["events"]["Order"] == {
        "type": "object",
        "properties": {"gift": {"type": "boolean"}, "total": {"type": "integer"}},
        "required": ["gift", "total"],
    }
    left_out, to_use = said.splitlines()
    assert left_out.startswith("left out: page Home: a plan has")
    assert "name it in [sources.web] as schema" in to_use
    assert (await detected())[:2] == (0, text)
    plan = json.loads(text)
    of_source = 'schema = "plan.json"\non_unplanned = "reject"\n'
    planned = written(tmp_path, of_source, plan)
    assert cli.main(("check", str(tmp_path / "gateway.toml"))) == 0
    async with running(planned) as gateway:
        assert await sent(gateway, *messages) == 200
        assert len(await kinds(gateway, 242)) == 2
        assert await sent(gateway, track("late", total="5", gift=True)) == 400
