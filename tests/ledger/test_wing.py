"""The ledger in a running gateway: on, off, made anew, in trouble."""

import asyncio
import os
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gateway.errors import ConfigError
from gateway.ledger import follow, measure, wing
from gateway.ledger.file import File
from gateway.ledger.settings import ledger_of
from gateway.ledger.store import Store, life_of
from gateway.parts import check
from tests.ledger.kit import asked, gateway_in, read, told
from tests.ledger.records import AT_MS, Made
from tests.whole import PATIENCE_S, Whole, until


def person(message_id: str) -> dict[str, Any]:
    return {"userId": "u1", "messageId": message_id}


async def balanced(gateway: Whole, events: int) -> dict[str, Any]:
    """The account, once so many events have been delivered."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            status, account = await asked(gateway, "/v1/account")
            lines = account["account"] if status == 200 else []
            if lines and lines[0]["delivered"] == events:
                return dict(account)
            await asyncio.sleep(0.05)


async def test_one_key_switches_it_off(tmp_path: Path):
    off = "[ledger]\nenabled = false\n"
    async with gateway_in(tmp_path, off) as gateway:
        assert await gateway.post(person("m1")) == 200
        assert (await asked(gateway, "/v1/events/m1"))[0] == 404
        await until((tmp_path / "data" / "inbox.ndjson").exists)
    assert not (tmp_path / "data" / "ledger.db").exists()


def test_a_file_that_the_log_has_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"ledger\.path: log\.path writes this file"):
        check(read(tmp_path, '[ledger]\npath = "data/log.db"\n'))


def test_it_stands_beside_the_log_unless_it_is_said_where(tmp_path: Path):
    log = '[log]\npath = "elsewhere/log.db"\n'
    assert ledger_of(read(tmp_path, log)).file == tmp_path / "elsewhere" / "ledger.db"
    own = log + '[ledger]\npath = "own.db"\n'
    assert ledger_of(read(tmp_path, own)).file == tmp_path / "own.db"


async def test_a_message_is_found_whatever_its_id_is(tmp_path: Path):
    async with gateway_in(tmp_path, "") as gateway:
        for strange in ("a/../b", "{order} 1", "100%2F", "?#é"):
            assert await gateway.post(person(strange)) == 200
            story = await told(gateway, quote(strange, safe=""))
            assert story["messageId"] == strange


async def test_it_is_made_anew_while_the_gateway_runs(tmp_path: Path, ledger: str):
    async with gateway_in(tmp_path, ledger) as gateway:
        for number in range(5):
            assert await gateway.post(person(f"m{number}")) == 200
        before = await balanced(gateway, 5)
        story = await told(gateway, "m3")
        url = f"{gateway.admin}/v1/ledger/rebuild"
        headers = {"Authorization": "Bearer console-token"}
        async with gateway.session.post(url) as response:
            assert response.status == 401
        async with gateway.session.post(url, headers=headers) as response:
            assert response.status == 202
        assert await gateway.post(person("m5")) == 200
        after = await balanced(gateway, 6)
        assert await told(gateway, "m3") == story
    assert before["account"][0]["admitted"] == 5
    assert after["account"][0]["difference"] == 0
    assert not gateway.notices("wing_failed")


async def test_a_ledger_that_cannot_be_written_stops_nobody_and_catches_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway.ledger.file.BUSY_S", 0.01)
    monkeypatch.setattr(follow, "pause_s", lambda *_, **__: 0.02)
    async with gateway_in(tmp_path) as gateway:
        assert await gateway.post(person("m0")) == 200
        await told(gateway, "m0")
        held = sqlite3.connect(tmp_path / "data" / "ledger.db", isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        for number in range(1, 4):
            assert await gateway.post(person(f"m{number}")) == 200
        inbox = tmp_path / "data" / "inbox.ndjson"
        await until(lambda: inbox.read_text().count("\n") == 4)
        await until(lambda: gateway.notices("ledger_failed"))
        held.execute("ROLLBACK")
        held.close()
        await balanced(gateway, 4)
    assert not gateway.notices("wing_failed")


async def test_what_follows_rests_in_proportion_to_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A fifth of a core; where the process is busy with events, much less."""
    monkeypatch.setattr(follow, "GROUP_RECORDS", 2)
    slept: list[float] = []

    class Reading:
        def __init__(self) -> None:
            self.left = 3

        async def poll(self, *, limit: int, timeout_s: float) -> list[Any]:
            self.left -= 1
            if self.left < 0:
                raise asyncio.CancelledError
            return [made.event("a"), made.event("b")][: 2 if self.left else 1]

        async def settle(self, records: list[Any]) -> None: ...

    made, reading = Made(), Reading()

    async def take(topic: str, records: Any) -> None:
        clock[0] += 0.5

    clock = [0.0]
    monkeypatch.setattr("gateway.ledger.follow.time.monotonic", lambda: clock[0])

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("gateway.ledger.follow.asyncio.sleep", sleep)
    notices: Any = None
    used = [0.0]
    pace = follow.Pace(lambda: used[0], lambda: clock[0])
    behind = [0.0]
    monkeypatch.setattr("gateway.ledger.follow.time.time", lambda: behind[0])
    follower = follow.Follower(Any, "events", take, notices, pace=pace)  # type: ignore[arg-type]  # no log is asked
    subscription: Any = reading
    for share, behind_s in ((0.6, 1.0), (0.8, 1.0), (0.8, 601.0)):
        used[0] += share * 0.5  # of the half second that a group takes
        behind[0] = AT_MS / 1_000 + behind_s
        await follower._next(subscription)
    assert slept == [2.0, 50.0, 2.0]


async def test_outcomes_that_waited_for_their_events_wait_no_second_time(
    monkeypatch: pytest.MonkeyPatch,
):
    """Else an end would be told two rests late, on a log that answers slowly."""
    clock, slept, made = [0.0], list[float](), Made()
    monkeypatch.setattr("gateway.ledger.follow.time.monotonic", lambda: clock[0])

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("gateway.ledger.follow.asyncio.sleep", sleep)

    class Reading:
        async def poll(self, *, limit: int, timeout_s: float) -> list[Any]:
            return [made.end("a")]

        async def settle(self, records: list[Any]) -> None: ...

    class Events:
        waits_s = 0.0

        async def passed(self, at_ms: int) -> None:
            clock[0] += self.waits_s

    async def take(topic: str, records: Any) -> None: ...

    events, reading, nothing = Events(), Reading(), object()
    follower = follow.Follower(nothing, "outcomes", take, nothing, after=events)  # type: ignore[arg-type]  # what is used of them
    for events.waits_s in (0.0, 0.75, 3.0):
        await follower._next(reading)  # type: ignore[arg-type]  # see above
    assert slept == [1.0, 0.25, 0.0]


async def test_metrics_tell_what_is_open_and_how_far_behind_it_is(
    tmp_path: Path, ledger: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(measure, "EVERY_S", 0.05)
    paused = (
        '[destinations.later]\ntype = "file"\npaused = true\n'
        'settings = { path = "data/later.ndjson" }\n'
    )
    async with gateway_in(tmp_path, paused + ledger) as gateway:
        assert await gateway.post(person("m1")) == 200
        await told(gateway, "m1")
        wanted = [
            'gateway_account_open{destination="inbox"} 0.0',
            'gateway_account_open{destination="later"} 1.0',
            'gateway_ledger_behind{topic="events"} 0.0',
        ]
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with gateway.session.get(f"{gateway.admin}/metrics") as response:
                    lines = (await response.text()).splitlines()
                if set(wanted) <= set(lines):
                    break
                await asyncio.sleep(0.05)
        story = await told(gateway, "m1")
        kinds = {e["destination"]: e["kind"] for e in story["found"][0]["destinations"]}
        assert kinds == {"inbox": "delivered", "later": "pending"}


async def test_what_is_too_old_goes_while_it_runs(
    tmp_path: Path, ledger: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(wing, "TIDY_S", 0.05)
    now_ns = time.time_ns
    async with gateway_in(tmp_path, ledger) as gateway:
        assert await gateway.post(person("m1")) == 200
        await told(gateway, "m1")
        later = 31 * 86_400 * 10**9
        monkeypatch.setattr(
            "gateway.ledger.wing.time.time_ns", lambda: now_ns() + later
        )
        async with asyncio.timeout(PATIENCE_S):
            while (await asked(gateway, "/v1/events/m1"))[0] != 404:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/events?limit=0", "limit"),
        ("/v1/events?limit=many", "limit"),
        ("/v1/events?kind=lost", "kind"),
        ("/v1/events?before=x", "before"),
        ("/v1/account?from=yesterday", "from"),
        ("/v1/dead?until=x", "until"),
        ("/v1/account?from=0001-01-01T00:00:00%2B14:00", "from"),
        ("/v1/account?until=9999-12-31T23:59:59-12:00", "until"),
        *(
            (f"{path}?from=2026-02-01&until=2026-01-01", "until: is before from")
            for path in (
                *("/v1/events", "/v1/account", "/v1/minutes", "/v1/dead"),
                *("/v1/refused", "/v1/catalogue"),
            )
        ),
    ],
)
async def test_what_cannot_be_asked_is_a_400_that_names_it(tmp_path, path, said):
    async with gateway_in(tmp_path) as gateway:
        status, told = await asked(gateway, path)
    assert status == 400
    assert told["message"].startswith(said)


async def test_a_time_with_an_offset_is_understood_with_its_plus_as_it_is(tmp_path):
    async with gateway_in(tmp_path) as gateway, asyncio.timeout(PATIENCE_S):
        while (await asked(gateway, "/v1/account"))[0] != 200:
            await asyncio.sleep(0.05)  # its file is being made
        for written in ("2026-01-02T03:04:05+01:00", "2026-01-02T03:04:05%2B01:00"):
            status, told = await asked(gateway, f"/v1/account?from={written}")
            assert (status, told["from"]) == (200, "2026-01-02T02:04:05.000Z")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/events",
        "/v1/events/x",
        "/v1/account",
        "/v1/dead",
        "/v1/refused",
        "/v1/minutes",
    ],
)
async def test_every_path_wants_the_token(tmp_path, path):
    async with gateway_in(tmp_path) as gateway:
        assert (await asked(gateway, path, token="other"))[0] == 401
        assert (await asked(gateway, path, token=""))[0] == 401


async def test_the_first_and_the_last_moment_can_be_asked_for(tmp_path):
    first, last = "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"
    path = f"/v1/account?from={first}&until={last}"
    async with gateway_in(tmp_path) as gateway:
        async with asyncio.timeout(PATIENCE_S):
            while (found := await asked(gateway, path))[0] == 503:
                await asyncio.sleep(0.05)
    assert found[0] == 200
    assert (found[1]["from"], found[1]["until"]) == (first, last)


@pytest.mark.parametrize("message_id", ["a/b", "50%", "%2F", "{x}", "日" * 1_000])
async def test_a_message_is_found_whatever_its_id(tmp_path, message_id):
    async with gateway_in(tmp_path) as gateway:
        assert await gateway.post(person(message_id)) == 200
        path = f"/v1/events/{quote(message_id, safe='')}"
        async with asyncio.timeout(PATIENCE_S):
            while (found := await asked(gateway, path))[0] in (404, 503):
                await asyncio.sleep(0.05)
    assert (found[0], found[1]["messageId"]) == (200, message_id)


async def test_lists_over_http(tmp_path, ledger):
    async with gateway_in(tmp_path, ledger) as gateway:
        for number in range(3):
            assert await gateway.post(person(f"m{number}")) == 200
        wrong = {"userId": "u1", "traits": {"email": 7}, "messageId": "w"}
        assert await gateway.post(wrong) == 400
        await balanced(gateway, 3)
        await told(gateway, "w", ends=0)
        _, page = await asked(gateway, "/v1/events", params={"limit": "2"})
        _, more = await asked(
            gateway, "/v1/events", params={"limit": "2", "before": page["next"]}
        )
        found = [each["messageId"] for each in page["events"] + more["events"]]
        assert sorted(found) == ["m0", "m1", "m2", "w"]
        assert {each["destinations"].get("inbox") for each in page["events"]} <= {
            "delivered",
            None,
        }
        _, groups = await asked(gateway, "/v1/refused")
        assert groups["groups"][0]["pointer"] == "/traits/email"
        _, minutes = await asked(gateway, "/v1/minutes")
        assert {each["kind"] for each in minutes["minutes"]} >= {"admitted", "refused"}
        assert (await asked(gateway, "/v1/dead"))[1] == {"groups": []}


async def test_a_process_that_finds_it_kept_stands_by(
    tmp_path: Path, ledger: str, monkeypatch: pytest.MonkeyPatch
):
    """On Kafka several work: the first keeps the ledger, the next one takes over."""
    monkeypatch.setattr(wing, "TIDY_S", 0.05)
    first = Store.of(ledger_of(read(tmp_path, ledger)), writes=True)
    first.answer(lambda _: None)
    async with gateway_in(tmp_path, ledger) as gateway:
        assert await gateway.post(person("m1")) == 200
        inbox = tmp_path / "data" / "inbox.ndjson"
        await until(lambda: inbox.exists() and inbox.read_text())
        assert (await asked(gateway, "/v1/events/m1"))[0] == 404
        assert not gateway.notices("ledger_failed")
        await first.close()
        await told(gateway, "m1")


async def test_where_another_process_keeps_it_a_rebuild_is_refused_and_says_so(
    tmp_path: Path,
):
    """Another one has the file's lock: on Kafka the first of several has it."""
    keeper = Store(File(tmp_path / "data" / "ledger.db"), writes=True)
    kept = await keeper.ask(life_of)
    async with gateway_in(tmp_path) as gateway:
        url = f"{gateway.admin}/v1/ledger/rebuild"
        headers = {"Authorization": "Bearer console-token"}
        async with gateway.session.post(url, headers=headers) as response:
            assert response.status == 409
            said = (await response.json())["message"]
        who = f"another process keeps this ledger, process {os.getpid()}"
        assert f"{who}: ask the admin port" in said
        assert await keeper.ask(life_of) == kept
        await keeper.close()  # it ends: this one stands by, and takes it over
        async with gateway.session.post(url, headers=headers) as response:
            assert response.status == 202
        anew = Store(keeper.backend, writes=False)
        assert await anew.ask(life_of) != kept  # by the answer, not some time later
        await anew.close()
        assert await gateway.post(person("m1")) == 200
        await told(gateway, "m1")
    after = Store(File(tmp_path / "data" / "ledger.db"), writes=False)
    assert await after.ask(life_of) != kept
    await after.close()
