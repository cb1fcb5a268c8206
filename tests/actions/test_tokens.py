"""Access tokens: one refresh for all who wait, one that rotated kept before its use."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.actions.destination import Actions
from gateway.actions.kind import takes
from gateway.actions.runner import Fetch, Said, Unable
from gateway.actions.tokens import Refresh, Tokens
from gateway.event import Json
from gateway.outbound.contract import Delivered, Retry, Verdict
from gateway.outbound.http import Request, Response
from gateway.outbound.kind import unheard
from tests.actions.asked import FETCH, Asked
from tests.actions.events import action, delivery, settings

APP = {"refresh_token": "first", "client_id": "id", "client_secret": "secret"}
Make = Callable[..., Tokens]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Tokens] = []

    def new(given: Mapping[str, str] = APP, *, refreshes: bool = True) -> Tokens:
        file = tmp_path / "data" / "actions" / "crm.json"
        made.append(Tokens(given, refreshes=refreshes, file=file))
        return made[-1]

    yield new
    for each in made:
        await each.close()


def giving(
    *said: Mapping[str, Json] | str,
) -> tuple[Refresh, list[Mapping[str, Json]]]:
    """A refresh that says one after the other, and what it was asked with."""
    left, asked = list(said), []

    async def refresh(auth: Mapping[str, Json]) -> Mapping[str, Json] | str:
        asked.append(auth)
        await asyncio.sleep(0)
        return left.pop(0)

    return refresh, asked


NEW: Mapping[str, Json] = {"accessToken": "new", "refreshToken": "second"}


async def test_without_an_access_token_it_is_refreshed_first(make: Make) -> None:
    refresh, asked = giving(NEW)
    auth = await make().auth(refresh)
    assert auth == {"accessToken": "new", "refreshToken": "second"}
    ids = {"clientId": "id", "clientSecret": "secret"}
    assert asked == [{"accessToken": "", "refreshToken": "first", **ids}]


async def test_who_finds_it_expired_waits_for_the_one_refresh(make: Make) -> None:
    tokens = make({**APP, "access_token": "old"})
    refresh, asked = giving(NEW)
    found = await asyncio.gather(*(tokens.renew("old", refresh) for _ in range(32)))
    assert found == [None] * 32
    assert len(asked) == 1
    assert await tokens.auth(refresh) == NEW


async def test_the_first_32_wait_for_one_refresh(make: Make) -> None:
    tokens = make()
    refresh, asked = giving(NEW)
    found = await asyncio.gather(*(tokens.auth(refresh) for _ in range(32)))
    assert found == [NEW] * 32
    assert len(asked) == 1


async def test_a_rotated_token_is_on_disk_before_anything_uses_it(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = make()
    replaced: list[Any] = []
    real = Path.replace

    def replace(new: Path, file: Path) -> Path:
        # At the moment of the exchange the new file is whole, and nobody has the token.
        replaced.append((json.loads(new.read_text()), tokens.secrets[0]))
        return real(new, file)

    monkeypatch.setattr(Path, "replace", replace)
    await tokens.auth(giving(NEW)[0])
    kept = {"from": "first", "refresh_token": "second"}
    assert replaced == [(kept, "")]
    file = tmp_path / "data" / "actions" / "crm.json"
    assert json.loads(file.read_text()) == kept
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["crm.json"]


async def test_the_mode_does_not_depend_on_the_umask_or_a_leftover(
    make: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "actions"
    folder.mkdir(parents=True)
    left = folder / "crm.new"
    left.write_text("half of a ")
    left.chmod(0o644)
    before = os.umask(0)
    try:
        await make().auth(giving(NEW)[0])
    finally:
        os.umask(before)
    file = folder / "crm.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["refresh_token"] == "second"


async def test_the_next_process_begins_with_the_rotated_token(make: Make) -> None:
    await make().auth(giving(NEW)[0])
    refresh, asked = giving({"accessToken": "newer"})
    auth = await make().auth(refresh)
    assert asked[0]["refreshToken"] == "second"
    assert auth == {"accessToken": "newer", "refreshToken": "second"}


async def test_another_configured_token_wins_over_what_was_rotated(make: Make) -> None:
    await make().auth(giving(NEW)[0])
    refresh, asked = giving({"accessToken": "newer"})
    await make({**APP, "refresh_token": "by hand"}).auth(refresh)
    assert asked[0]["refreshToken"] == "by hand"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"from": "first"}', "\x00"])
async def test_a_broken_file_is_as_none(
    make: Make, tmp_path: Path, content: str
) -> None:
    folder = tmp_path / "data" / "actions"
    folder.mkdir(parents=True)
    (folder / "crm.json").write_text(content)
    refresh, asked = giving(NEW)
    assert await make().auth(refresh) == NEW
    assert asked[0]["refreshToken"] == "first"


async def test_a_rotated_token_that_cannot_be_kept_is_not_used(
    make: Make, tmp_path: Path
) -> None:
    """The old refresh token is worthless now: what was rotated must not be lost."""
    (tmp_path / "data").write_text("a file where the folder should be")
    tokens = make()
    refresh, asked = giving(NEW, NEW)
    why = await tokens.auth(refresh)
    assert why == "the rotated token cannot be kept: NotADirectoryError"
    assert tokens.secrets == ("", "second")
    (tmp_path / "data").unlink()
    assert await tokens.auth(refresh) == NEW
    assert asked[1]["refreshToken"] == "second"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("HTTPError 400", "HTTPError 400"),
        ({}, "the refresh gave no access token"),
        ({"accessToken": ""}, "the refresh gave no access token"),
        ({"accessToken": 7}, "the refresh gave no access token"),
    ],
)
async def test_a_refresh_that_fails_says_why_and_changes_nothing(
    make: Make, said: Mapping[str, Json] | str, why: str
) -> None:
    tokens = make({**APP, "access_token": "old"})
    assert await tokens.renew("old", giving(said)[0]) == why
    assert tokens.secrets == ("old", "first")


@pytest.mark.parametrize(
    ("given", "refreshes", "renewable"),
    [
        ({"access_token": "long-lived"}, True, False),
        ({"access_token": "a", "refresh_token": "b"}, True, True),
        ({"refresh_token": "b"}, True, True),
        ({}, True, True),
        ({"access_token": "a", "refresh_token": "b"}, False, False),
    ],
)
def test_only_what_can_be_renewed_is(
    make: Make, given: dict[str, str], refreshes: Any, renewable: Any
) -> None:
    assert make(given, refreshes=refreshes).renewable == renewable


async def delivered(
    tokens: Tokens,
    refreshed: Said,
    answers: Mapping[str, int],
    times: int = 1,
) -> tuple[list[Verdict], list[str]]:
    """Verdicts of a vendor who answers by the token, and what the sidecar was asked."""
    names: list[str] = []

    async def said(name: str, frame: Mapping[str, Any], fetch: Fetch) -> Any:
        names.append(name)
        if name == "refresh":
            return refreshed
        token = frame["auth"]["accessToken"]
        answer = await fetch({**FETCH, "url": f"https://a.test/{token}"})
        if answer["status"] < 300:
            return {"id": 1}
        return {"id": 1, "error": {"class": "HTTPError", "answered": answer["status"]}}

    async def send(request: Request) -> Response:
        return Response(status=answers[request.url.rpartition("/")[2]])

    given = settings("fake", Path(), action("act", {}), refreshes=True)
    made = Actions(given, takes(given), Asked(said), tokens, send, unheard)
    events = [delivery(number) for number in range(times)]
    found = await asyncio.gather(*(made.deliver([each]) for each in events))
    return [verdict for each in found for verdict in each], names


async def test_after_a_401_the_action_is_run_once_more_with_the_new_token(
    make: Make,
) -> None:
    tokens = make({**APP, "access_token": "old"})
    verdicts, names = await delivered(tokens, {"tokens": NEW}, {"old": 401, "new": 200})
    assert verdicts == [Delivered(200)]
    assert names == ["call", "refresh", "call"]


async def test_a_new_token_that_is_refused_too_is_not_renewed_again(
    make: Make,
) -> None:
    tokens = make({**APP, "access_token": "old"})
    verdicts, names = await delivered(tokens, {"tokens": NEW}, {"old": 401, "new": 401})
    (verdict,) = verdicts
    assert isinstance(verdict, Retry)
    assert (verdict.status, verdict.auth) == (401, True)
    assert names == ["call", "refresh", "call"]


async def test_32_events_with_an_expired_token_make_one_refresh(make: Make) -> None:
    tokens = make({**APP, "access_token": "old"})
    answers = {"old": 401, "new": 200}
    verdicts, names = await delivered(tokens, {"tokens": NEW}, answers, times=32)
    assert verdicts == [Delivered(200)] * 32
    assert names.count("refresh") == 1


FAILED: list[Said] = [
    {"error": {"class": "HTTPError", "name": "Error", "answered": 400}},
    {"error": {"class": "IntegrationError", "code": "invalid_grant", "status": 400}},
    {"tokens": {}},
    "died",
]


@pytest.mark.parametrize("failed", FAILED, ids=str)
@pytest.mark.parametrize("had", [{"access_token": "old"}, {}], ids=["expired", "none"])
async def test_a_refresh_that_fails_condemns_no_event(
    make: Make, failed: Said, had: dict[str, str]
) -> None:
    verdicts, _ = await delivered(make({**APP, **had}), failed, {"old": 401})
    (verdict,) = verdicts
    assert isinstance(verdict, Retry)
    assert verdict.auth
    assert verdict.reason.startswith("refresh: ")


async def test_without_a_process_to_refresh_with_nobody_is_locked_out(
    make: Make,
) -> None:
    verdicts, _ = await delivered(make(), Unable("not ready within 30 s"), {})
    assert verdicts == [Retry("sidecar: not ready within 30 s", away=True)]


async def test_a_refresh_goes_on_when_who_waits_for_it_is_stopped(
    make: Make, tmp_path: Path
) -> None:
    """An attempt may run out of time; the vendor has rotated the token all the same."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def refresh(auth: Mapping[str, Json]) -> Mapping[str, Json]:
        asked.set()
        await answer.wait()
        return NEW

    tokens = make()
    waiting = asyncio.create_task(tokens.auth(refresh))
    await asked.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    answer.set()
    await tokens.close()
    assert tokens.secrets == ("new", "second")
    assert (tmp_path / "data" / "actions" / "crm.json").exists()


async def test_a_configured_token_without_a_refresh_is_not_renewed(make: Make) -> None:
    tokens = make({"access_token": "old"})
    verdicts, names = await delivered(tokens, {"tokens": NEW}, {"old": 401})
    (verdict,) = verdicts
    assert isinstance(verdict, Retry)
    assert (verdict.reason, verdict.auth) == ("401", True)
    assert names == ["call"]


async def test_the_first_token_of_all_is_masked_in_what_is_kept(make: Make) -> None:
    """It was not in the configuration: it came by the first refresh."""
    said = {"tokens": {"accessToken": "secret-token", "refreshToken": "secret-two"}}
    verdicts, _ = await delivered(make(), said, {"secret-token": 503})
    (verdict,) = verdicts
    assert isinstance(verdict, Retry)
    assert verdict.exchange is not None
    assert "secret-token" not in str(verdict.exchange)
