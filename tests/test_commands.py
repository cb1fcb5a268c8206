"""The commands in this process: the same is said beside a gateway and without one."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway import commands
from gateway.admin.client import Client
from gateway.cli import main
from gateway.config import load
from gateway.errors import ConfigError, LogError
from gateway.event import Json, iso
from gateway.replay_cli import Bar
from gateway.terminal import plain
from tests.outbound.fake import Answer, Fake
from tests.whole import Whole, running, until

CONFIG = """
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
private_destinations = ["127.0.0.0/8"]
[sources.web]
write_keys = ["dev"]
[destinations.crm]
type = "webhook"
settings = {{ url = "{url}", secret = "hush-hush" }}
"""
PEOPLE = ["ann", "bob", "cid"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configure(folder: Path, url: str) -> None:
    (folder / "gateway.toml").write_text(CONFIG.format(url=url))


async def told(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command, which may run a loop of its own."""
    capsys.readouterr()
    code = await asyncio.to_thread(main, arguments)
    out, err = capsys.readouterr()
    return code, out, err


async def lines_of(capsys: Any, *arguments: str) -> list[dict[str, Json]]:
    code, out, err = await told(capsys, "read", *arguments)
    assert (code, err) == (0, "")
    return [json.loads(each) for each in out.splitlines()]


async def filled(gateway: Whole, crm: Fake) -> None:
    for name in PEOPLE:
        message = {"userId": name, "messageId": name, "traits": {"n": len(name)}}
        assert await gateway.post(message) == 200
    await until(lambda: len(crm.asked) == 3)
    while (await gateway.get("/readyz"))["destinations"]["crm"]["lag"]:
        await asyncio.sleep(0.01)


ASKED: Mapping[str, tuple[str, ...]] = {
    "all": ("read", "events"),
    "some": ("read", "events", "--where", "userId == 'bob'"),
    "senseless": ("read", "events", "--where", "starts_with(traits.tag, 'b')"),
    "until": ("read", "events", "--until", "2020-01-01"),
    "refused": ("read", "refused"),
    "topics": ("topics",),
    "json": ("topics", "--json"),
    "dry": ("replay", "--to", "crm", "--dry-run"),
}


async def test_beside_a_running_gateway_and_without_one_the_same_is_said(
    here: Path, capsys: Any
) -> None:
    async with Fake() as crm:
        configure(here, url := crm.url)
        async with running(load(Path("gateway.toml"))) as gateway:
            await filled(gateway, crm)
            assert await gateway.post({"userId": []}) == 400
            beside = {what: await told(capsys, *ASKED[what]) for what in ASKED}
        alone = {what: await told(capsys, *ASKED[what]) for what in ASKED}
        assert {asked.json()["userId"] for asked in crm.asked} == set(PEOPLE)
        assert len(crm.asked) == 3  # a dry run sends nothing
    assert beside == alone
    assert all((code, err) == (0, "") for code, _, err in beside.values())
    lines = {name: out.splitlines() for name, (_, out, _) in beside.items()}
    users = [json.loads(line)["value"]["userId"] for line in lines["all"]]
    assert users == PEOPLE
    assert lines["some"] == [lines["all"][1]]
    assert lines["senseless"] == lines["until"] == []
    assert len(lines["refused"]) == 1
    (table,) = (line.split() for line in lines["topics"] if line.startswith("to.crm "))
    assert (table[1], table[3], table[5]) == ("3", "crm", "0")
    topics = {each["name"]: each for each in json.loads(beside["json"][1])}
    assert topics["events"]["records"] == 3
    shown = [json.loads(line) for line in lines["dry"]]
    assert [each["request"]["url"] for each in shown] == [url] * 3
    assert "hush" not in beside["dry"][1]


async def test_the_times_of_a_read_are_judged_on_when_it_was_received(
    here: Path, capsys: Any
) -> None:
    async with Fake() as crm:
        configure(here, crm.url)
        async with running(load(Path("gateway.toml"))) as gateway:
            await filled(gateway, crm)
            (last,) = (await lines_of(capsys, "events"))[-1:]
            past = last["headers"]["receivedAt"]
            await until(lambda: iso(time.time_ns() // 1_000_000) > past)
            now = iso(time.time_ns() // 1_000_000)
            await told(capsys, "replay", "--to", "crm")
            await until(lambda: len(crm.asked) == 6)
            await gateway.post({"userId": "dora"})
            for topic in ("events", "to.crm"):
                newer = await lines_of(capsys, topic, "--from", now)
                assert [each["value"]["userId"] for each in newer] == ["dora"]
            older = await lines_of(capsys, "to.crm", "--until", now)
        replayed = ["replay" in each["headers"] for each in older]
        assert replayed == [False] * 3 + [True] * 3
        alone = await lines_of(capsys, "to.crm", "--until", now)
        assert alone == older


async def test_a_replay_sends_the_past_beside_a_gateway_and_feeds_it_without_one(
    here: Path, capsys: Any
) -> None:
    async with Fake() as crm:
        configure(here, crm.url)
        config = load(Path("gateway.toml"))
        async with running(config) as gateway:
            await filled(gateway, crm)
            code, out, err = await told(capsys, "replay", "--to", "crm")
            assert code == 0
            ends = ["at crm: 3 delivered", "sent 3, skipped none"]
            assert out.splitlines()[1:] == ends
            assert err == "older values will overwrite newer ones at crm\n"
            await until(lambda: len(crm.asked) == 6)
        code, out, _ = await told(
            capsys, "replay", "--to", "crm", "--where", "userId == 'bob'"
        )
        assert (code, out.splitlines()[-1]) == (0, "sent 1, skipped 2 where")
        senseless = ("--where", "contains(traits.tags, 'b')")  # nobody has tags
        code, out, _ = await told(capsys, "replay", "--to", "crm", *senseless)
        assert (code, out.splitlines()[-1]) == (0, "sent 0, skipped 3 where")
        assert len(crm.asked) == 6
        async with running(config):
            await until(lambda: len(crm.asked) == 7)
        assert crm.asked[-1].json()["userId"] == "bob"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("read", "nothing"), 2, "no topic 'nothing'; known are: "),
        (
            ("replay", "--id", "r", "--to", "nope"),
            2,
            "--to nope: unknown; known are: crm",
        ),
        (("replay", "--id", "r"), 2, "--to: missing; known are: crm"),
        (
            ("replay", "--id", "r", "--topic", "refused", "--to", "crm"),
            2,
            "takes no --to",
        ),
        (("replay", "--to", "crm", "--id", "a b"), 2, "--id: letters, digits"),
        (("read", "events", "--where", "a =="), 2, "--where"),
        (("read", "events", "--where", "(" * 2_000), 2, "--where: nests deeper"),
        (("read", ""), 2, "no topic ''; known are: "),
        (("read", "{x}"), 2, "no topic '{x}'; known are: "),
        (("read", "\udcff"), 2, "topic: '\\udcff' is not UTF-8"),
        (("replay", "--to", "crm", "--where", "\udcff"), 2, "where: '\\udcff' is not"),
        (("explain", "\udcff"), 2, "explain: '\\udcff' is not UTF-8"),
        *(
            (
                (*command, "--from", "2026-02-01", "--until", "2026-01-01"),
                2,
                "--until: is before --from",
            )
            for command in (
                ("read", "events"),
                ("account",),
                ("plan", "detect"),
                ("replay", "--to", "crm"),
            )
        ),
    ],
)
async def test_what_cannot_be_done_is_said_alike_beside_and_without(
    here: Path, capsys: Any, arguments: tuple[str, ...], code: int, words: str
) -> None:
    async with Fake() as crm:
        configure(here, crm.url)
        async with running(load(Path("gateway.toml"))):
            beside = await told(capsys, *arguments)
        alone = await told(capsys, *arguments)
    assert beside == alone
    assert beside[0] == code
    assert words in beside[2]


@pytest.mark.parametrize("number", ["0", "-1", "", "1e3", "9" * 10, "9" * 5_000])
def test_a_number_that_nobody_can_mean_is_a_mistake(number: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["replay", "--to", "crm", "--rate", number])
    assert ended.value.code == 2
    assert "is not a whole number from 1 to 999999999" in capsys.readouterr().err


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "12:00", ""]
)
def test_a_time_in_no_year_is_a_mistake(moment: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["account", "--from", moment])
    assert ended.value.code == 2
    assert "is not an ISO 8601 time" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["folder", "x" * 1_000])
def test_what_no_file_is_called_is_looked_up_as_an_id(
    here: Path, capsys: Any, given: str
) -> None:
    configure(here, "http://127.0.0.1:9/")
    (here / "folder").mkdir()
    assert main(["explain", given]) == 2
    assert "is no file, and cannot be looked up" in capsys.readouterr().err


async def test_a_replay_may_have_a_name_that_looks_like_a_time_and_is_none(
    here: Path, capsys: Any
) -> None:
    async with Fake() as crm:
        configure(here, crm.url)
        async with running(load(Path("gateway.toml"))) as gateway:
            await filled(gateway, crm)
            named = "--id", "20261399T999999-abcdef"
            code, out, _ = await told(capsys, "replay", "--to", "crm", *named)
    assert (code, out.splitlines()[-1]) == (0, "sent 3, skipped none")


async def test_without_a_log_there_is_nothing_to_read(here: Path, capsys: Any) -> None:
    configure(here, "http://127.0.0.1:9/")
    for command in (("read", "events"), ("topics",), ("replay", "--to", "crm")):
        code, _, err = await told(capsys, *command)
        assert code == 1
        assert "no log here; start the gateway first" in err


async def test_read_follow_ends_with_the_gateway(here: Path, capsys: Any) -> None:
    async with Fake() as crm:
        configure(here, crm.url)
        config = load(Path("gateway.toml"))
        got: list[str] = []

        def follow() -> None:
            lines = commands.lines(
                config, "events", from_ms=None, until_ms=None, follow=True, where=None
            )
            got.extend(json.loads(line)["key"] for line in lines)

        async with running(config) as gateway:
            following = asyncio.create_task(asyncio.to_thread(follow))
            await filled(gateway, crm)
            await until(lambda: got == PEOPLE)
        with pytest.raises(LogError, match="went away: ask again"):
            await following


def test_an_owner_that_cannot_be_asked_is_named() -> None:
    with pytest.raises(LogError, match="process 7 holds the log and has no admin port"):
        Client({"pid": 7}).topics()
    with pytest.raises(LogError, match=r"the gateway at http://127.0.0.1:9: "):
        Client({"pid": 7, "admin": "http://127.0.0.1:9", "token": "t"}).topics()


async def test_a_gateway_that_refuses_is_named_with_its_status() -> None:
    async with Fake(Answer(401)) as gateway:
        owner = {"admin": gateway.url.rstrip("/"), "token": "wrong"}
        with pytest.raises(LogError, match="answers 401"):
            await asyncio.to_thread(Client(owner).topics)


def test_what_senders_wrote_is_shown_and_not_obeyed() -> None:
    assert plain("a\x1b[2J\r\x9b\x7f\tb\nd") == r"a\x1b[2J\x0d\x9b\x7f" + "\tb\nd"


def test_a_name_that_a_terminal_tells_is_told_whatever_its_encoding(
    here: Path,
) -> None:
    configure(here, "http://127.0.0.1:9/")
    message = {"type": "track", "userId": "日", "event": "\x1b[2J"}
    (here / "message.json").write_text(json.dumps(message))
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", "explain", "message.json"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"\\u65e5" in ended.stdout
    assert b"\x1b" not in ended.stdout


async def test_an_answer_without_words_is_named_by_its_status() -> None:
    for status in (400, 404):
        async with Fake(Answer(status, b"Bad Request")) as gateway:
            owner = {"admin": gateway.url.rstrip("/"), "token": "t"}
            with pytest.raises(ConfigError, match=f"answers {status}"):
                await asyncio.to_thread(Client(owner).topics)


def test_an_interrupted_replay_says_how_to_go_on(
    here: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(here, "http://127.0.0.1:9/")

    def interrupted(*_: object) -> Any:
        yield {"read": 1, "total": 9, "sent": 1, "done": False, "waiting": True}
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "replaying", interrupted)
    since = ("--from", "2026-01-02T03:04:05Z", "--until", "2026-01-03")
    more = ("--where", "a == 'b'", "--rate", "5", "--id", "r1", "--topic", "dead")
    assert main(["replay", "--to", "crm", *since, *more]) == 1
    _, err = capsys.readouterr()
    assert err.splitlines()[-1] == (
        "interrupted; resume with: gateway replay --id r1 --to crm "
        """--where 'a == '"'"'b'"'"'' --rate 5 --from 2026-01-02T03:04:05.000Z """
        "--until 2026-01-03T00:00:00.000Z --topic dead"
    )


def test_the_bar_is_drawn_on_a_terminal_and_full_at_the_end(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar()
    half = {"read": 5, "total": 10, "sent": 4, "done": False, "waiting": True}
    bar.draw(half)
    assert capsys.readouterr().err == ""  # nobody looks
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    bar.draw(half)
    assert "50%  4 sent  waits for the destination" in capsys.readouterr().err
    bar.draw(half)
    assert capsys.readouterr().err == ""  # ten times a second at most
    bar.draw({**half, "total": 0, "done": True, "waiting": False})
    assert "100%  4 sent" in capsys.readouterr().err
    bar.draw({**half, "done": True})
    assert capsys.readouterr().err == ""  # it only waits for the ends
