from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound import http
from gateway.outbound.contract import Delivered, Rejected, Retry, Verdict
from gateway.outbound.http import Response, by_status, json_request


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
    assert http.retry_after_s(headers, now_s) == wanted


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
    found = http.retry_after_s({"retry-after": asked, "date": asked}, 0.0)
    assert found is None or 0.0 <= found < 1e12


def test_a_json_request_says_what_it_is() -> None:
    made = json_request("https://a.example", b"{}", method="PUT", X_Api_Key="k")
    assert (made.method, made.body) == ("PUT", b"{}")
    assert made.headers == {"Content-Type": "application/json", "X-Api-Key": "k"}
