from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound import http
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Retry,
    Skipped,
    Traits,
    Verdict,
)
from gateway.outbound.destinations.webhook import Settings
from gateway.outbound.http import NoResponse, Request, Response, by_status

TRAITS = Traits(types=frozenset({"identify"}), batch_events=10)


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (200, Delivered(200)),
        (204, Delivered(204)),
        (301, Retry("301", status=301)),
        (307, Retry("307", status=307)),
        (400, Rejected("rejected", "400", 400)),
        (401, Retry("401", status=401, auth=True)),
        (403, Retry("403", status=403, auth=True)),
        (404, Rejected("rejected", "404", 404)),
        (407, Retry("407", status=407, auth=True)),
        (408, Retry("408", status=408)),
        (409, Rejected("rejected", "409", 409)),
        (413, Rejected("rejected", "413", 413)),
        (422, Rejected("rejected", "422", 422)),
        (423, Retry("423", status=423)),
        (425, Retry("425", status=425)),
        (429, Retry("429", status=429)),
        (460, Retry("460", status=460)),
        (499, Retry("499", status=499)),
        (500, Retry("500", status=500)),
        (503, Retry("503", status=503)),
        (599, Retry("599", status=599)),
    ],
)
def test_what_a_status_means(status: int, wanted: Verdict) -> None:
    assert by_status(Response(status=status)) == wanted


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "9" * 4_000}, 999_999_999.0),
        (
            {
                "retry-after": "Thu, 15 Jan 2026 10:12:44 GMT",
                "date": "Thu, 15 Jan 2026 10:12:14 GMT",
            },
            30.0,
        ),
        (
            {
                "retry-after": "Thu, 15 Jan 2026 10:12:14 GMT",
                "date": "Thu, 15 Jan 2026 10:12:44 GMT",
            },
            0.0,
        ),
        ({"retry-after": "Thu, 15 Jan 2026 10:13:14 GMT"}, 60.0),  # by our own clock
        ({"retry-after": "Thu, 15 Jan 2026 10:13:14 GMT", "date": "today"}, 60.0),
        ({"retry-after": "Thursday, 15-Jan-26 10:13:14 GMT"}, 60.0),
        ({"retry-after": "Thu Jan 15 10:13:14 2026"}, 60.0),
        ({"retry-after": "Thu, 15 Jan 2026 11:13:14 +0100"}, 60.0),
        ({"retry-after": "Thu, 15 Jan 2026 10:13:14 -0000"}, 60.0),
        ({"retry-after": "soon", "date": "Thu, 15 Jan 2026 10:12:14 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, 2.0),
        ({"retry-after": "2.0"}, 2.0),
        ({"retry-after": "0.001"}, 1.0),
        ({"retry-after": "120, 60"}, 120.0),
        ({"retry-after": "60, 120"}, 120.0),
        ({"retry-after": "7, Thu, 15 Jan 2026 10:13:14 GMT, soon"}, 60.0),
        ({"retry-after": "99, Thu, 15 Jan 2026 10:13:14 GMT"}, 99.0),
        ({"retry-after": "120, 999999999"}, 120.0),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "\u0663"}, None),
        ({"retry-after": ","}, None),
        ({"retry-after": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}, None),
        ({"retry-after": "Mon, 01 Jan 99999999999 00:00:00 GMT"}, None),
        ({"retry-after": "Mon, 99 Jan 2024 00:00:00 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, 0.0),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], wanted: float | None) -> None:
    now_s = datetime(2026, 1, 15, 10, 12, 14, tzinfo=UTC).timestamp()
    assert http.retry_after_s(headers, lambda: now_s) == wanted


def test_an_odd_retry_after_is_a_retry_all_the_same() -> None:
    """Of S10: the date of a 503 ended the event as a bug of ours."""
    for asked in ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "7"):
        verdict = by_status(Response(status=503, headers={"retry-after": asked}))
        assert isinstance(verdict, Retry)
        assert verdict.after_s == (7.0 if asked == "7" else None)


@given(
    st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,3} Jan [0-9 :+-]*")
)
def test_whatever_retry_after_says_it_is_a_time_or_nothing(asked: str) -> None:
    found = http.retry_after_s({"retry-after": asked, "date": asked})
    assert found is None or 0.0 <= found < 1e12


def request(deliveries: Sequence[Delivery], settings: Settings) -> Request | None:
    if any(each.event.message_id == "m99" for each in deliveries):
        return None
    ids = ",".join(each.event.message_id for each in deliveries)
    return Request(
        url=settings.url,
        headers={"Authorization": "Bearer abc"},
        body=f"{ids} {settings.secret}".encode(),
    )


class Remote:
    def __init__(self, *answers: Response | NoResponse) -> None:
        self.answers = list(answers)
        self.got: list[str] = []

    async def __call__(self, request: Request) -> Response | NoResponse:
        self.got.append(request.body.decode().split()[0])
        return self.answers.pop(0) if self.answers else Response(status=200)


def build(remote: Remote) -> Any:
    make = http.destination(request, traits=lambda _: TRAITS)
    settings = Settings(url="https://me:pw@crm.example/h", secret="s3cret")
    return make(settings, name="crm", folder=Path(), send=remote)


async def test_a_batch_is_one_request(delivery: Any) -> None:
    remote = Remote()
    verdicts = await build(remote).deliver([delivery(1), delivery(2)])
    assert verdicts == [Delivered(200)] * 2
    assert remote.got == ["m1,m2"]


async def test_one_bad_event_condemns_no_other_of_its_batch(delivery: Any) -> None:
    remote = Remote(Response(status=422), Response(status=422), Response(status=200))
    verdicts = await build(remote).deliver([delivery(1), delivery(2)])
    assert remote.got == ["m1,m2", "m1", "m2"]
    assert isinstance(verdicts[0], Rejected)
    assert verdicts[1] == Delivered(200)


async def test_no_response_is_a_retry_that_names_the_error(delivery: Any) -> None:
    remote = Remote(NoResponse("ServerDisconnectedError"))
    (verdict,) = await build(remote).deliver([delivery(1)])
    assert isinstance(verdict, Retry)
    assert verdict.reason == "ServerDisconnectedError"
    assert verdict.exchange is not None
    assert verdict.exchange.response is None


async def test_what_is_away_for_everybody_stays_so_with_what_was_said(
    delivery: Any,
) -> None:
    make = http.destination(
        request, traits=lambda _: TRAITS, judge=lambda _: Retry("down", away=True)
    )
    settings = Settings(url="https://crm.example/h")
    built: Any = make(settings, name="crm", folder=Path(), send=Remote())
    (verdict,) = await built.deliver([delivery(1)])
    assert verdict.away
    assert verdict.exchange is not None


async def test_a_dead_letter_shows_its_own_request_without_secrets(
    delivery: Any,
) -> None:
    answer = Response(
        status=503,
        headers={"set-cookie": "a=b", "server": "x"},
        body=b"s3cret " + b"x" * 20_000,
    )
    remote = Remote(answer)
    first, second = await build(remote).deliver([delivery(1), delivery(2)])
    assert first.exchange.request == {
        "method": "POST",
        "url": "https://***@crm.example/h",
        "headers": {"Authorization": "***"},
        "body": "m1 ***",
    }
    assert second.exchange.request["body"] == "m2 ***"
    assert first.exchange.response["status"] == 503
    assert first.exchange.response["headers"] == {"set-cookie": "***", "server": "x"}
    assert first.exchange.response["body"].startswith("*** xxx")
    assert len(first.exchange.response["body"]) <= 8_192


async def test_what_needs_no_request_is_skipped(delivery: Any) -> None:
    remote = Remote()
    assert await build(remote).deliver([delivery(99)]) == [Skipped("no request")]
    assert remote.got == []
    assert build(remote).preview(delivery(99)) == {}


def test_a_preview_is_the_request_without_secrets(delivery: Any) -> None:
    assert build(Remote()).preview(delivery(1))["body"] == "m1 ***"
