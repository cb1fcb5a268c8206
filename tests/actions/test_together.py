"""Several events in one call of an action: grouped, judged one by one, halved."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.actions.destination import Actions
from gateway.actions.passing import Finished, Passing, grouped
from gateway.actions.settings import Chosen, Settings
from gateway.actions.tokens import Tokens
from gateway.event import Event, Json
from gateway.notices import Notice
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Retry,
    Skipped,
    Takes,
    Verdict,
)
from gateway.outbound.http import NoResponse, Request, Response
from gateway.outbound.mapping import Unmappable, build

HOST = "api.example.com"


class Everything:
    def __call__(self, event: dict[str, Any]) -> bool:
        return self.because(event) is None

    def because(self, event: dict[str, Json]) -> str | None:
        return None


class Only:
    """Wants the events of one person."""

    def __init__(self, user: str) -> None:
        self.user = user

    def __call__(self, event: dict[str, Any]) -> bool:
        return self.because(event) is None

    def because(self, event: dict[str, Json]) -> str | None:
        return None if event["userId"] == self.user else "userId"


class Vendor:
    """A sidecar that asks the vendor once a call, and gives what it is told to give."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.statuses: dict[str, int] = {}
        self.whole: dict[int, Mapping[str, Any]] = {}
        """Number of a call -> its ``done`` frame."""
        self.answer: Response | NoResponse = Response(status=200, body=b"{}")

    async def run(self, name: str, frame: Mapping[str, Any], fetch: Any) -> Any:
        events = frame.get("events", [frame.get("event")])
        users = [each["userId"] for each in events]
        self.calls.append(users)
        await fetch({"url": f"https://{HOST}/", "method": "POST", "headers": {}})
        if (said := self.whole.get(len(self.calls) - 1)) is not None:
            return said
        if "event" in frame:
            return {"transaction": {"seen": users}}
        return {"nodes": [{"status": self.statuses.get(user, 200)} for user in users]}

    async def close(self) -> None:
        pass


def chosen(name: str = "identify", **fields: Any) -> Chosen:
    given = {"wants": Everything(), "types": frozenset({"identify"}), "mapping": {}}
    return Chosen(name=name, slug=name, **{**given, **fields})


def delivery(user: str, **body: Any) -> Delivery:
    whole = {
        "type": "identify",
        "messageId": f"m-{user}",
        "userId": user,
        "source": "web",
        "receivedAt": "2026-01-15T10:12:14.100Z",
        **body,
    }
    value = orjson.dumps(whole)
    return Delivery(Event.from_bytes(value), value)


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def notices() -> list[Notice]:
    return []


@pytest.fixture
def destination(vendor: Vendor, notices: list[Notice], tmp_path: Path) -> Any:
    def made(*actions: Chosen) -> Actions:
        async def send(request: Request) -> Response | NoResponse:
            return vendor.answer

        settings = Settings(
            directory="acme",
            installation=tmp_path,
            names=("Acme",),
            settings={},
            actions=actions,
            hosts=frozenset({HOST}),
        )
        tokens = Tokens({}, refreshes=False, file=tmp_path / "tokens.json")
        takes = Takes(types=frozenset({"identify"}), batch_events=10)
        runner: Any = vendor
        return Actions(settings, takes, runner, tokens, send, notices.append)

    return made


async def deliver(made: Actions, *users: str) -> Sequence[Verdict]:
    return await made.deliver([delivery(user) for user in users])


async def test_each_event_gets_its_own_verdict(
    destination: Any, vendor: Vendor
) -> None:
    vendor.statuses = {"b": 400, "c": 429, "d": 401}
    found = await deliver(destination(chosen(batch=10)), "a", "b", "c", "d")
    assert vendor.calls == [["a", "b", "c", "d"]]
    assert found[0] == Delivered(200)
    assert isinstance(found[1], Rejected)
    assert isinstance(found[2], Retry)
    assert (isinstance(found[3], Retry), getattr(found[3], "auth", None)) == (
        True,
        True,
    )


async def test_no_dead_letter_of_a_batch_shows_its_neighbours(
    destination: Any, vendor: Vendor
) -> None:
    vendor.statuses = {"b": 400}
    found = await deliver(destination(chosen(batch=10)), "a", "b")
    assert isinstance(found[1], Rejected)
    assert found[1].exchange is None


async def test_a_batch_refused_as_a_whole_is_halved_to_the_one_bad_event(
    destination: Any, vendor: Vendor
) -> None:
    refused = {"error": {"class": "HTTPError", "answered": 400, "message": "c is bad"}}
    vendor.answer = Response(status=200)
    vendor.whole = {0: refused, 2: refused, 3: refused}
    found = await deliver(destination(chosen(batch=10)), "a", "b", "c", "d")
    assert vendor.calls == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"], ["c"], ["d"]]
    kinds = [type(each) for each in found]
    assert kinds == [Delivered, Delivered, Rejected, Delivered]


async def test_a_group_is_no_larger_than_the_actions_batch(
    destination: Any, vendor: Vendor
) -> None:
    await deliver(destination(chosen(batch=2)), "a", "b", "c", "d", "e")
    assert vendor.calls == [["a", "b"], ["c", "d"], ["e"]]


def test_only_what_is_read_of_the_first_event_alone_keeps_events_apart() -> None:
    alike = build({"list_id": {"@path": "$.traits.list"}})
    action = chosen(batch=10, alike=alike)
    passing = [
        Passing(
            (name, name, None), {"userId": name, "traits": {"list": which}}, Finished()
        )
        for name, which in [("a", 1), ("b", 2), ("c", 1), ("d", "1")]
    ]
    groups = [
        [each.seen["userId"] for each in group] for group in grouped(passing, action)
    ]
    assert groups == [["a", "c"], ["b"], ["d"]]


def test_whom_the_mapping_does_not_fit_goes_alone() -> None:
    odd: dict[str, Any] = {"userId": "b"}

    def alike(event: Any) -> Any:
        if event is odd:
            raise Unmappable
        return None

    action = chosen(batch=10, alike=alike)
    passing = [
        Passing((str(n), "m", None), seen, Finished())
        for n, seen in enumerate([{"userId": "a"}, odd, {"userId": "c"}])
    ]
    groups = [
        [each.seen["userId"] for each in group] for group in grouped(passing, action)
    ]
    assert groups == [["a", "c"], ["b"]]


async def test_a_batch_that_reports_success_where_the_wire_says_no_is_tried_again(
    destination: Any, vendor: Vendor
) -> None:
    vendor.answer = Response(status=503)
    found = await deliver(destination(chosen(batch=10)), "a", "b")
    assert [getattr(each, "status", None) for each in found] == [503, 503]
    assert all(isinstance(each, Retry) for each in found)


async def test_nodes_that_are_missing_are_no_success(
    destination: Any, vendor: Vendor
) -> None:
    vendor.whole = {0: {"nodes": [{"status": 200}]}}
    found = await deliver(destination(chosen(batch=10)), "a", "b")
    assert all(isinstance(each, Retry) for each in found)


@pytest.mark.parametrize(("per_item", "told"), [(False, 1), (True, 0)])
async def test_a_207_for_all_is_told_where_the_action_does_not_look_inside(
    destination: Any,
    vendor: Vendor,
    notices: list[Notice],
    per_item: bool,  # noqa: FBT001 -- a parameter of the test
    told: int,
) -> None:
    vendor.statuses = {"a": 207, "b": 207}
    action = chosen(batch=10, per_item=per_item)
    found = await deliver(destination(action), "a", "b")
    assert found == [Delivered(207), Delivered(207)]
    assert [each.code for each in notices] == ["batch_unknown"] * told


async def test_an_action_that_is_done_is_not_repeated_with_the_others(
    destination: Any, vendor: Vendor
) -> None:
    """The batch is delivered; the second action of one of its events is not."""
    made = destination(chosen("all", batch=10), chosen("b only", wants=Only("b")))
    vendor.whole = {1: {"error": {"class": "APIError", "status": 503, "code": "503"}}}
    found = await deliver(made, "a", "b")
    assert found[0] == Delivered(200)
    assert isinstance(found[1], Retry)
    assert await deliver(made, "b") == [Delivered(200)]
    assert vendor.calls == [["a", "b"], ["b"], ["b"]]


async def test_an_event_that_no_action_wants_is_skipped(
    destination: Any, vendor: Vendor
) -> None:
    found = await deliver(destination(chosen(batch=10, wants=Only("a"))), "a", "b")
    assert found == [Delivered(200), Skipped("trigger")]
    assert vendor.calls == [["a"]]
