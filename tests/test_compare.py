"""``gateway explain --diff``: what a change would send differently of the past."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.compare import newest
from gateway.config import load
from tests.whole import running

HEAD = """
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
[sources.web]
write_keys = ["dev"]
"""
CRM = """
[destinations.crm]
type = "file"
settings = { path = "crm.ndjson" }
[[destinations.crm.actions]]
"""
OTHER = """
[destinations.other]
type = "file"
settings = { path = "other.ndjson" }
"""
OLD = f"""{HEAD}{OTHER}{CRM}
types = ["identify"]
mapping.id = {{ "@path" = "$.userId" }}
mapping.plan = {{ "@path" = "$.traits.plan" }}
mapping.kind = "person"
"""
NEW = f"""{HEAD}{CRM}
email_as_user_id = false
mapping.id = {{ "@path" = "$.userId" }}
mapping.plan = {{ "@path" = "$.traits.seats" }}
[destinations.more]
type = "file"
settings = {{ path = "more.ndjson" }}
"""
PEOPLE = [
    {"messageId": "m1", "userId": "u1", "traits": {"plan": "pro", "seats": 5}},
    {"messageId": "m2", "userId": "u2", "traits": {"plan": "free"}},
    {"messageId": "m3", "userId": "a@b.example", "traits": {"plan": "secret"}},
]


async def filled(folder: Path) -> None:
    """A log with three people and a track."""
    (folder / "old.toml").write_text(OLD)
    (folder / "new.toml").write_text(NEW)
    async with running(load(folder / "new.toml")) as gateway:
        for each in PEOPLE:
            assert await gateway.post(each) == 200
        track = {"messageId": "m4", "userId": "u1", "event": "Paid"}
        assert await gateway.post(track, "/v1/track") == 200


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    await filled(tmp_path)
    return tmp_path


async def diff(capsys: Any, *more: str) -> str:
    """What the command says; it runs a loop of its own."""
    capsys.readouterr()
    arguments = ["explain", "--diff", "old.toml", "new.toml", *more]
    code = await asyncio.to_thread(main, arguments)
    out, err = capsys.readouterr()
    assert code == 0, err
    return str(out)


async def test_what_is_sent_differently_anew_and_no_longer_is_counted(
    here: Path, capsys: Any
) -> None:
    assert (await diff(capsys)).splitlines() == [
        "4 events",
        "other: 4 no longer sent",
        "  no longer sent, no such destination: 4",
        "crm: 2 sent differently, 1 newly sent, 1 no longer sent",
        "  no longer sent, email_as_user_id: 1",
        "  line.plan: a text -> a number (2)",
        "  line.kind: a text -> missing (2)",
        "more: 4 newly sent",
    ]


async def test_values_are_shown_only_when_they_are_asked_for(
    here: Path, capsys: Any
) -> None:
    told = json.loads(await diff(capsys, "--json", "--values"))
    (crm,) = [each for each in told["destinations"] if each["name"] == "crm"]
    assert crm["fields"] == [
        {"path": "line.plan", "events": 2, "from": "pro", "to": 5},
        {"path": "line.kind", "events": 2, "from": "person"},
    ]
    assert "pro" not in await diff(capsys, "--json")


async def test_only_the_newest_events_are_asked(here: Path, capsys: Any) -> None:
    assert (await diff(capsys, "--last", "1")).splitlines() == [
        "1 events",
        "other: 1 no longer sent",
        "  no longer sent, no such destination: 1",
        "crm: 1 newly sent",
        "more: 1 newly sent",
    ]


async def test_events_older_than_the_first_look_back_are_found_too(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(here / "new.toml")
    for back_s in [(), (-3_600,), (-3_600, 86_400)]:  # the first looks see nothing
        monkeypatch.setattr("gateway.compare.BACK_S", back_s)
        values = await asyncio.to_thread(newest, config, 2)
        assert [json.loads(each)["messageId"] for each in values] == ["m3", "m4"]


async def test_beside_a_running_gateway_the_same_is_said(
    here: Path, capsys: Any
) -> None:
    alone = await diff(capsys, "--json", "--values")
    async with running(load(here / "new.toml")):
        assert await diff(capsys, "--json", "--values") == alone


async def test_nothing_differs_from_itself(here: Path, capsys: Any) -> None:
    (here / "old.toml").write_text(NEW)
    assert (await diff(capsys)).splitlines() == [
        "4 events",
        "crm: 3 the same, 1 not sent by either",
        "more: 4 the same",
    ]


async def test_a_dead_letter_is_no_longer_sent_and_names_the_field(
    here: Path, capsys: Any
) -> None:
    text = NEW.replace('"$.traits.seats"', '{ "@path" = "$.traits.seats" }')
    (here / "old.toml").write_text(NEW)
    (here / "new.toml").write_text(text)
    why = "mapping.plan: @path: a number where a text is needed: 1"
    assert f"  no longer sent, {why}" in (await diff(capsys)).splitlines()


@pytest.mark.parametrize("arguments", [[], ["m.json", "--diff", "a.toml", "b.toml"]])
def test_either_a_file_is_explained_or_two_configurations(
    arguments: list[str], capsys: Any
) -> None:
    assert main(["explain", *arguments]) == 2
    assert "give a FILE, or --diff OLD.toml NEW.toml" in capsys.readouterr().err
