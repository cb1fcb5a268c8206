"""The fake server that authors of destinations have does what it says."""

from typing import Any

from gateway.outbound.contract import Delivered, Rejected
from tests.outbound.fake import Answer, Fake


async def test_it_answers_in_turn_and_remembers_what_was_asked(delivery: Any) -> None:
    async with Fake(Answer(400, b"no", {"X-Why": "because"})) as crm:
        settings = {"url": crm.url + "hook?a=1", "headers": {"X-Api": "k"}}
        (refused,) = await crm.deliver("webhook", settings, [delivery(1)])
        (taken,) = await crm.deliver("webhook", settings, [delivery(1)])
    assert isinstance(refused, Rejected)
    assert refused.exchange is not None
    assert refused.exchange.response is not None
    assert refused.exchange.response["body"] == "no"
    assert refused.exchange.response["headers"]["x-why"] == "because"
    assert taken == Delivered(200)
    first, _ = crm.asked
    assert (first.method, first.path) == ("POST", "/hook?a=1")
    assert first.headers["X-Api"] == "k"
    assert first.json()["messageId"] == "m1"
