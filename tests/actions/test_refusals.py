"""Every destination that loads, when its vendor says no: the wire decides, no code.

Whatever the package's code makes of an answer, a 429, a 500 and a 401 are tried again,
a 400 is a dead letter, and after an answer that puts off nothing more is sent.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace

import orjson
import pytest

from gateway.actions import node
from gateway.actions.definitions import Definition
from gateway.actions.destination import Actions
from gateway.actions.kind import opened
from gateway.config import DestinationConfig
from gateway.outbound.contract import Delivery, Rejected, Retry, Verdict
from gateway.outbound.gate import Gate
from gateway.outbound.http import Request, Response
from gateway.outbound.kind import Context, unheard
from gateway.outbound.suppressed import Suppressed
from tests.actions import kit
from tests.actions.dry import configured
from tests.actions.shapes import SHAPES

pytestmark = pytest.mark.service
EVENTS = ("identify, all traits", "track", "track, an order", "group", "page")
PUTS_OFF, REFUSES = (429, 500, 401), 400
AT_ONCE = 3
Answered = Mapping[tuple[str, str, int], tuple[Verdict, int]]


class Vendor:
    """It answers with one status first, then 200; and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200

    async def send(self, request: Request) -> Response:
        del request
        self.asked += 1
        status = 200 if self.status in PUTS_OFF and self.asked > 1 else self.status
        headers = {"content-type": "application/json", "retry-after": "7"}
        return Response(status=status, headers=headers, body=b"{}")


@pytest.fixture(scope="module")
def answered() -> Answered:
    """(directory, event, status) -> the verdict, and how often the vendor was asked."""
    package, program = kit.package(), node.find()
    found: dict[tuple[str, str, int], tuple[Verdict, int]] = {}
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(definition: Definition) -> None:
        made, _ = configured(definition, package, program)
        if made is None:
            return
        vendor, name = Vendor(), definition.directory
        oauth = {"access_token": "token"} if made.settings.oauth else {}
        settings = replace(made.settings, refreshes=False, oauth=oauth)
        context = Context(name, made.folder, vendor.send, unheard)
        config = DestinationConfig(name=name, type=f"actions:{name}")
        gate = Gate(config, made.takes, source_kinds={}, suppressed=Suppressed())
        async with turn:
            actions = opened(program, settings, context)
            for event, status, delivery in deliveries(gate):
                vendor.asked, vendor.status = 0, status
                verdict = await delivered(actions, delivery)
                if vendor.asked:
                    found[name, event, status] = verdict, vendor.asked
            await actions.close()

    async def every() -> None:
        await asyncio.gather(*[one(each) for each in package if each.fails is None])

    asyncio.run(every())
    return found


def deliveries(gate: Gate) -> Iterator[tuple[str, int, Delivery]]:
    for event in EVENTS:
        for status in (*PUTS_OFF, REFUSES):
            body = {**SHAPES[event], "messageId": f"{event} {status}"}
            delivery = gate.prepare(orjson.dumps(body))
            assert isinstance(delivery, Delivery), delivery
            yield event, status, delivery


async def delivered(actions: Actions, delivery: Delivery) -> Verdict:
    if delivery.event.type not in actions.takes.types:
        return Retry("not asked")
    (verdict,) = await actions.deliver([delivery])
    return verdict


def test_many_were_asked(answered: Answered) -> None:
    assert len({directory for directory, _, _ in answered}) > 100


def test_what_puts_off_is_tried_again_and_nothing_more_is_sent(
    answered: Answered,
) -> None:
    for asked, (verdict, count) in answered.items():
        if asked[-1] in PUTS_OFF:
            assert isinstance(verdict, Retry), (asked, verdict)
            assert verdict.auth == (asked[-1] == 401), (asked, verdict)
            assert count == 1, asked


def test_a_429_waits_as_long_as_it_says(answered: Answered) -> None:
    for asked, (verdict, _) in answered.items():
        if asked[-1] == 429:
            assert isinstance(verdict, Retry)
            assert verdict.after_s == 7.0, asked


def test_what_is_refused_is_a_dead_letter_with_its_request(answered: Answered) -> None:
    for asked, (verdict, _) in answered.items():
        if asked[-1] == REFUSES:
            assert isinstance(verdict, Rejected), (asked, verdict)
            assert verdict.reason == "rejected", (asked, verdict)
            if verdict.exchange is not None:  # the first that refused had a request
                assert verdict.exchange.response is not None
                assert verdict.exchange.response["status"] == REFUSES
