import pytest

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
        (429, Retry("429", status=429)),
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
        ({"retry-after": "Thu, 15 Jan 2026 10:12:44 GMT"}, None),
        ({"retry-after": "soon", "date": "Thu, 15 Jan 2026 10:12:14 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], wanted: float | None) -> None:
    assert http.retry_after_s(headers) == wanted
    verdict = by_status(Response(status=503, headers=headers))
    assert isinstance(verdict, Retry)
    assert verdict.after_s == wanted


def test_a_json_request_says_what_it_is() -> None:
    made = json_request("https://a.example", b"{}", method="PUT", X_Api_Key="k")
    assert (made.method, made.body) == ("PUT", b"{}")
    assert made.headers == {"Content-Type": "application/json", "X-Api-Key": "k"}
