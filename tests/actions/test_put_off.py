"""An action that goes on after an answer that puts off: it sends nothing more."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.actions.conversation import Conversation
from gateway.outbound.http import NoResponse, Request, Response
from gateway.outbound.kind import unheard

FETCH: Mapping[str, Any] = {
    "method": "POST",
    "url": "https://api.a.test/people",
    "headers": {},
    "body": "{}",
}


async def two(first: Response | NoResponse) -> tuple[Conversation, Any]:
    """Two requests: the conversation, and the second answer with how many were sent."""
    answers = [first, Response(status=201)]
    sent: list[Request] = []

    async def send(request: Request) -> Response | NoResponse:
        sent.append(request)
        return answers[len(sent) - 1]

    talk = Conversation(send, ["api.a.test"], unheard)
    await talk.fetch(FETCH)
    second = await talk.fetch(FETCH)
    return talk, {**second, "sent": len(sent)}


@pytest.mark.parametrize(
    "first",
    [Response(status=each) for each in (302, 401, 403, 408, 429, 500, 503)]
    + [NoResponse("TimeoutError")],
)
async def test_after_what_puts_off_nothing_more_is_sent(
    first: Response | NoResponse,
) -> None:
    talk, second = await two(first)
    assert second == {"error": "PutOffError", "sent": 1}
    assert talk.last is not None
    assert talk.last[1] is first  # what the attempt is judged by


@pytest.mark.parametrize("status", [200, 204, 400, 404, 409])
async def test_after_any_other_answer_it_goes_on(status: int) -> None:
    _, second = await two(Response(status=status))
    assert (second["status"], second["sent"]) == (201, 2)
