"""What an action's end means for its event: each row of the table, and what wins."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.actions.judge import Said, combined, verdict_of
from gateway.outbound.contract import (
    Delivered,
    Exchange,
    Rejected,
    Retry,
    Skipped,
    Verdict,
)
from gateway.outbound.http import NoResponse, Request, Response

Error = Mapping[str, Any]
GONE = NoResponse("ClientConnectorError")


def error(class_: str, **more: Any) -> Error:
    return {"class": class_, "name": class_, "message": "of Ada Lovelace", **more}


def http(status: int) -> Error:
    return error("HTTPError", name="Error", answered=status)


def integration(status: int, code: str = "CODE") -> Error:
    return error("IntegrationError", status=status, code=code)


def judged(
    said: Error | None,
    last: int | Response | NoResponse | None = None,
    nodes: list[Mapping[str, Any]] | None = None,
) -> Verdict:
    answer = Response(status=last) if isinstance(last, int) else last
    heard = None if answer is None else (Request(url="https://a.test/"), answer)
    return verdict_of("put", Said(said, heard, nodes))


def refused(what: str, status: int | None = None, **more: Any) -> Rejected:
    """A refusal of the error that is used here; the dead letter alone has its text."""
    told = {"error": "of Ada Lovelace"}
    return Rejected("rejected", f"put: {what}", status, more=told, **more)


def bug(what: str, status: int | None = None) -> Rejected:
    return Rejected("bug", f"put: {what}", status, more={"error": "of Ada Lovelace"})


def later(status: int) -> Retry:
    return Retry(str(status), status=status)


def locked(status: int, reason: str = "") -> Retry:
    return Retry(reason or str(status), status=status, auth=True)


def locked_by(code: str) -> Retry:
    return locked(401, code)


ROWS: list[tuple[int, Error | None, Any, Verdict]] = [
    (
        1,
        integration(400, "OAUTH_REFRESH_FAILED"),
        400,
        locked_by("OAUTH_REFRESH_FAILED"),
    ),
    (
        1,
        integration(400, "REFRESH_TOKEN_EXPIRED"),
        None,
        locked_by("REFRESH_TOKEN_EXPIRED"),
    ),
    (
        1,
        integration(200, "INVALID_AUTHENTICATION"),
        200,
        locked_by("INVALID_AUTHENTICATION"),
    ),
    (
        1,
        error("InvalidAuthenticationError", status=401),
        200,
        locked_by("InvalidAuthenticationError"),
    ),
    (3, error("FetchError", code="ECONNREFUSED"), GONE, Retry("ClientConnectorError")),
    (3, integration(400), GONE, Retry("ClientConnectorError")),
    (3, error("TypeError"), NoResponse("TimeoutError"), Retry("TimeoutError")),
    (4, http(401), 401, locked(401)),
    (4, integration(400), 403, locked(403)),
    (4, integration(400), 407, locked(407)),
    (4, http(408), 408, later(408)),
    (4, http(423), 423, later(423)),
    (4, http(429), 429, later(429)),
    (4, error("TypeError"), 500, later(500)),
    (4, error("PayloadValidationError", status=400), 503, later(503)),
    (4, http(302), 302, later(302)),
    (5, http(400), 400, refused("HTTPError", 400)),
    (5, http(404), 404, refused("HTTPError", 404)),
    (5, http(422), 200, refused("HTTPError", 422)),
    (5, http(401), 200, locked(401)),
    (5, http(503), 200, later(503)),
    (6, integration(401), 200, locked(401)),
    (6, integration(403), None, locked(403)),
    (6, error("RequestTimeoutError", status=408), None, later(408)),
    (6, integration(429), 200, later(429)),
    (6, integration(500), None, later(500)),
    (6, error("RetryableError", status=500), 200, later(500)),
    (6, error("RetryableError", status=429), None, later(429)),
    (
        7,
        error("PayloadValidationError", status=400, code="X"),
        None,
        refused("PayloadValidationError X", unsent=True),
    ),
    (7, error("AggregateAjvError"), None, refused("AggregateAjvError", unsent=True)),
    (7, error("ValidationError"), None, refused("ValidationError", unsent=True)),
    (7, error("AggregateError"), None, refused("AggregateError", unsent=True)),
    (7, integration(422), None, refused("IntegrationError CODE", unsent=True)),
    (8, integration(300, "MANY"), 200, refused("IntegrationError MANY", 200)),
    (8, integration(400), 200, refused("IntegrationError CODE", 200)),
    (8, integration(404), 404, refused("IntegrationError CODE", 404)),
    (8, error("AggregateAjvError"), 200, refused("AggregateAjvError", 200)),
    (8, integration(300), None, refused("IntegrationError CODE", unsent=True)),
    (9, error("TypeError"), 200, bug("TypeError", 200)),
    (9, error("RangeError"), None, bug("RangeError")),
    (9, error("Error"), 204, bug("Error", 204)),
    (9, error("Error"), 400, bug("Error", 400)),
    (10, None, 400, Rejected("rejected", "put: it reported success", 400)),
    (10, None, 422, Rejected("rejected", "put: it reported success", 422)),
    (10, None, 401, locked(401)),
    (10, None, 429, later(429)),
    (10, None, 500, later(500)),
    (10, None, 301, later(301)),
    (10, None, GONE, Retry("ClientConnectorError")),
    (11, None, None, Skipped("the action made no request")),
    (13, None, 200, Delivered(200)),
    (13, None, 207, Delivered(207)),
    (13, None, 404, Delivered(404)),
    (13, None, 409, Delivered(409)),
    (13, None, 410, Delivered(410)),
]


def named(row: Any) -> str:
    number, said, last, _ = row
    shown = "nothing" if last is None else getattr(last, "reason", last)
    claims = said or {"class": "success"}
    claim = claims.get("answered") or claims.get("status") or ""
    return f"{number}-{claims['class']}{claim}-after-{shown}"


@pytest.mark.parametrize(
    ("row", "said", "last", "expected"), ROWS, ids=[named(each) for each in ROWS]
)
def test_each_row_of_the_table(
    row: int, said: Error | None, last: Any, expected: Verdict
) -> None:
    assert judged(said, last) == expected


def test_a_retry_is_not_before_what_the_wire_asked_for() -> None:
    slow = Response(status=429, headers={"retry-after": "7"})
    assert judged(http(429), slow) == Retry("429", 7.0, 429)
    assert judged(None, slow) == Retry("429", 7.0, 429)


def test_an_error_about_an_answer_that_was_fine_is_no_delivery() -> None:
    """Some throw with the response at hand because of what its body says."""
    assert judged(error("BodyError", answered=200), 200) == bug("BodyError", 200)
    told = error("BodyError", answered=200, status=400)
    assert judged(told, 200) == refused("BodyError", 200)


@pytest.mark.parametrize("status", [200, 201, 207])
def test_12_an_answer_for_each_item_speaks_for_its_one_event(status: int) -> None:
    assert judged(None, 200, [{"status": status}]) == Delivered(status)


def test_12_what_a_node_refuses_is_refused_and_what_it_puts_off_is_retried() -> None:
    node = {"status": 400, "errortype": "BAD", "errormessage": "of Ada Lovelace"}
    assert judged(None, 200, [node]) == refused("BAD", 400)
    assert judged(None, None, [node]) == Rejected(
        "rejected", "put: BAD", 400, unsent=True, more={"error": "of Ada Lovelace"}
    )
    assert judged(None, 200, [{"status": 429}]) == later(429)
    assert judged(None, 200, [{"status": 500}]) == later(500)
    assert judged(None, 200, [{"status": 401}]) == locked(401)
    assert judged(None, 200, [{}]) == Retry("no status")


def test_12_a_node_that_claims_success_does_not_beat_the_wire() -> None:
    assert judged(None, 500, [{"status": 200}]) == later(500)
    assert judged(None, 401, [{"status": 200}]) == locked(401)
    assert judged(None, GONE, [{"status": 200}]) == Retry("ClientConnectorError")


@pytest.mark.parametrize("last", [None, 200, 400])
@pytest.mark.parametrize(
    "said", [integration(400), http(400), error("TypeError"), error("AggregateError")]
)
def test_no_word_of_a_message_is_in_the_detail(said: Error, last: int | None) -> None:
    """Outcomes have the detail; only the dead letter may quote the event."""
    verdict = judged(said, last)
    assert isinstance(verdict, Rejected)
    assert "Ada" not in verdict.detail
    assert verdict.more == {"error": "of Ada Lovelace"}


def test_of_several_actions_a_retry_comes_first() -> None:
    refusal = Rejected("rejected", "b: X")
    verdicts: dict[str, Verdict] = {
        "a": Delivered(200),
        "b": refusal,
        "c": Retry("500"),
    }
    assert combined(verdicts) == Retry("500")


def test_of_several_actions_those_that_refused_are_named() -> None:
    said = Exchange({"url": "https://a.test/"})
    first = Rejected("rejected", "b: X", 400, said, more={"error": "bad"})
    found = combined({"a": Delivered(200), "b": first, "c": Rejected("bug", "c: Y")})
    more = {"error": "bad", "actions": ["b", "c"]}
    assert found == Rejected("rejected", "b: X", 400, said, more=more)


def test_the_breaker_hears_of_several_actions_what_it_hears_of_each() -> None:
    unsent = Rejected("rejected", "a: X", unsent=True)
    alone = combined({"a": unsent, "b": Skipped("trigger")})
    assert isinstance(alone, Rejected)
    assert alone.unsent
    both = combined({"a": unsent, "b": Rejected("rejected", "b: Y", 400)})
    assert isinstance(both, Rejected)
    assert not both.unsent


def test_of_several_actions_one_delivery_is_a_delivery() -> None:
    nothing = Skipped("the action made no request")
    assert combined({"a": nothing, "b": Delivered(204)}) == Delivered(204)
    assert combined({"a": nothing, "b": nothing}) == nothing
