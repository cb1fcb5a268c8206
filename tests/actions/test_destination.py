"""Several actions at one event: in order, none twice, and what each of them tells."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.actions import destination
from gateway.actions.destination import Actions
from gateway.actions.kind import takes
from gateway.actions.runner import Fetch, Unable
from gateway.actions.tokens import Tokens
from gateway.notices import unheard
from gateway.outbound.contract import Delivered, Delivery, Rejected, Retry, Skipped
from gateway.outbound.http import Request, Response
from tests.actions.asked import FETCH, Asked
from tests.actions.events import action, delivery, settings
from tests.outbound.but import but

BAD = {"error": {"class": "PayloadValidationError", "status": 400, "message": "of Ada"}}


class Vendor:
    """Three actions, ``a``, ``b``, ``c``: each does one request, or what it is told."""

    def __init__(self, **more: Any) -> None:
        self.run: list[str] = []
        self.told: list[Mapping[str, Any]] = []
        self.answers: dict[str, Callable[[], Any]] = {}
        self.names = ("a", "b", "c")
        actions = [action(name, {}, **more) for name in self.names]
        given = settings("fake", Path(), *actions)
        tokens = Tokens({"access_token": "t"}, refreshes=False, file=Path("none"))
        runner = Asked(self._said)
        self.made = Actions(given, takes(given), runner, tokens, self._send, unheard)

    async def _said(self, name: str, frame: Mapping[str, Any], fetch: Fetch) -> Any:
        name = self.names[frame["action"]]
        self.run.append(name)
        self.told.append(frame["transaction"])
        said = self.answers.get(name, lambda: 200)()
        if asyncio.iscoroutine(said):
            said = await said
        if not isinstance(said, int):
            return said
        answer = await fetch({**FETCH, "url": f"https://a.test/{said}"})
        error = {"class": "HTTPError", "answered": answer["status"]}
        return {"transaction": {"by": name}} if said < 300 else {"error": error}

    async def _send(self, request: Request) -> Response:
        return Response(status=int(request.url.rpartition("/")[2]))

    async def deliver(self, event: Delivery | None = None) -> Any:
        (verdict,) = await self.made.deliver([event or delivery()])
        return verdict


async def test_actions_run_one_after_the_other_and_each_tells_the_next() -> None:
    vendor = Vendor()
    assert await vendor.deliver() == Delivered(200)
    assert vendor.run == ["a", "b", "c"]
    assert vendor.told == [{}, {"by": "a"}, {"by": "b"}]


async def test_after_a_retry_the_finished_actions_are_not_done_again() -> None:
    vendor = Vendor()
    answers = iter([500, 500, 200])
    vendor.answers["b"] = lambda: next(answers)
    assert (await vendor.deliver()).reason == "500"
    assert (await vendor.deliver()).reason == "500"
    assert await vendor.deliver() == Delivered(200)
    assert vendor.run == ["a", "b", "b", "b", "c"]
    assert vendor.told == [{}, *[{"by": "a"}] * 3, {"by": "b"}]


async def test_after_a_deadline_the_finished_actions_are_not_done_again() -> None:
    vendor = Vendor()
    vendor.answers["b"] = lambda: asyncio.Event().wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await vendor.deliver()
    del vendor.answers["b"]
    assert await vendor.deliver() == Delivered(200)
    assert vendor.run == ["a", "b", "b", "c"]


async def test_a_replay_and_another_event_begin_anew() -> None:
    vendor = Vendor()
    vendor.answers["b"] = lambda: 500
    await vendor.deliver()
    vendor.answers.clear()
    for other in (but(delivery(), replay="r1"), delivery(2)):
        vendor.run.clear()
        assert await vendor.deliver(other) == Delivered(200)
        assert vendor.run == ["a", "b", "c"]


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination, "FINISHED_MAX", 3)
    vendor = Vendor()
    vendor.answers["b"] = lambda: 500
    for number in range(9):
        await vendor.deliver(delivery(number))
    assert len(vendor.made._finished) == 3


async def test_a_refusal_stops_no_other_action_and_is_named() -> None:
    vendor = Vendor()
    vendor.answers["a"] = lambda: {**BAD, "payload": {"x": 1}}
    verdict = await vendor.deliver()
    assert vendor.run == ["a", "b", "c"]
    more = {"error": "of Ada", "payload": {"x": 1}, "actions": ["a"]}
    more["delivered"] = ["b", "c"]
    detail = "a: PayloadValidationError"
    assert verdict == Rejected("rejected", detail, unsent=True, more=more)


async def test_what_an_action_cannot_take_is_left_out_if_so_configured() -> None:
    vendor = Vendor(on_invalid="skip")
    for name in vendor.names:
        vendor.answers[name] = lambda: BAD
    assert await vendor.deliver() == Skipped("a: PayloadValidationError")
    vendor.answers["a"] = lambda: 400
    assert isinstance(await vendor.deliver(), Rejected)  # it was sent


async def test_an_event_that_no_action_wants_is_skipped() -> None:
    vendor = Vendor()
    none = tuple(replace(each, wants=Never()) for each in vendor.made._settings.actions)
    vendor.made._settings = replace(vendor.made._settings, actions=none)
    assert await vendor.deliver() == Skipped("trigger")
    assert vendor.run == []


class Never:
    """Wants nothing."""

    def __call__(self, event: dict[str, Any]) -> bool:
        return False

    def because(self, event: dict[str, Any]) -> str | None:
        return "never"


async def test_without_a_process_it_is_away_and_no_secret_is_told() -> None:
    vendor = Vendor()
    vendor.made._secrets = ("s3cret",)
    vendor.answers["a"] = lambda: Unable("ValidationError: s3cret is bad")
    assert await vendor.deliver() == Retry(
        "sidecar: ValidationError: *** is bad", away=True
    )


async def test_what_would_be_sent_names_its_action_and_why_others_send_nothing() -> (
    None
):
    vendor = Vendor()
    vendor.answers["b"] = lambda: BAD
    vendor.answers["c"] = dict
    shown = await vendor.made.show(delivery())
    assert [(each["action"], each["url"]) for each in shown.requests] == [
        ("a", "https://a.test/200")
    ]
    assert shown.reason == (
        "b: PayloadValidationError: of Ada; c: the action made no request"
    )


async def test_a_refusal_names_those_that_have_it_already() -> None:
    vendor = Vendor()
    vendor.answers["b"] = lambda: 400
    more = (await vendor.deliver()).more
    assert (more["actions"], more["delivered"]) == (["b"], ["a", "c"])
    for name in vendor.names:
        vendor.answers[name] = lambda: 400
    more = (await vendor.deliver(delivery(2))).more
    assert more["actions"] == ["a", "b", "c"]
    assert "delivered" not in more


async def test_what_is_given_up_after_retries_names_those_that_lack_it() -> None:
    vendor = Vendor()
    vendor.answers["a"] = lambda: 400
    vendor.answers["c"] = lambda: 500
    more = (await vendor.deliver()).more
    assert more == {"actions": ["a", "c"], "delivered": ["b"]}
    vendor.answers["a"] = lambda: 500
    assert (await vendor.deliver(delivery(2))).more is None


async def test_a_refusal_that_is_doubted_repeats_no_action_that_delivered() -> None:
    vendor = Vendor()
    vendor.answers["b"] = lambda: 400
    assert isinstance(await vendor.deliver(), Rejected)
    vendor.answers.clear()
    assert await vendor.deliver() == Delivered(200)
    assert vendor.run == ["a", "b", "c", "b"]


async def test_a_replay_repeats_the_actions_that_it_is_for_and_no_other() -> None:
    vendor = Vendor()
    event = but(delivery(), replay="r1", only=frozenset({"b"}))
    vendor.answers["b"] = lambda: 500
    assert (await vendor.deliver(event)).more["actions"] == ["b"]
    vendor.answers["b"] = lambda: 400
    more = (await vendor.deliver(event)).more
    assert (more["actions"], more["delivered"]) == (["b"], ["a", "c"])
    vendor.answers.clear()
    assert await vendor.deliver(event) == Delivered(200)
    assert vendor.run == ["b", "b", "b"]


async def test_a_replay_for_an_action_that_is_gone_says_so() -> None:
    vendor = Vendor()
    gone = but(delivery(), replay="r1", only=frozenset({"x", "d"}))
    assert await vendor.deliver(gone) == Skipped("no longer configured: d, x")
    assert vendor.run == []
    some = but(delivery(), replay="r2", only=frozenset({"c", "x"}))
    assert await vendor.deliver(some) == Delivered(200, "no longer configured: x")
    assert vendor.run == ["c"]


async def test_what_a_replay_would_send_is_of_its_actions_alone() -> None:
    vendor = Vendor()
    shown = await vendor.made.show(but(delivery(), only=frozenset({"b"})))
    assert [each["action"] for each in shown.requests] == ["b"]
    repeats = "a replay does not repeat it"
    assert shown.reason == f"a: {repeats}; c: {repeats}"
