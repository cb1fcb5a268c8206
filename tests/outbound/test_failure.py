"""Nobody has to guess why a delivery fails."""

from typing import Any

import pytest

from gateway.outbound.contract import Delivered, Exchange, Rejected, Retry, Verdict
from gateway.outbound.failure import (
    AGAIN_S,
    CAUSES_MAX,
    OPEN_AGAIN_S,
    Failure,
    Trouble,
    failure_of,
)

SENT = {"method": "POST", "url": "https://***@crm.example:8443/hook?token=***"}
REDIRECT = {"location": "https://me:pw@crm.example/hook/?session=s3cret#x"}


@pytest.mark.parametrize(
    ("verdict", "wanted"),
    [
        (Retry("503", status=503), Failure("503")),
        (
            Retry("ClientConnectorCertificateError", exchange=Exchange(SENT)),
            Failure("ClientConnectorCertificateError", "crm.example:8443"),
        ),
        (
            Retry(
                "301",
                status=301,
                exchange=Exchange(SENT, {"status": 301, "headers": REDIRECT}),
            ),
            Failure("301", "crm.example:8443", "https://crm.example/hook/"),
        ),
        (
            Retry(
                "307",
                status=307,
                exchange=Exchange(SENT, {"headers": {"location": "/hook/"}}),
            ),
            Failure("307", "crm.example:8443", "/hook/"),
        ),
        (
            Rejected(
                "rejected",
                "422",
                422,
                Exchange(SENT, {"headers": REDIRECT, "body": "s3cret"}),
            ),
            Failure("422", "crm.example:8443"),
        ),
        (
            Rejected("bug", "deliver: ValueError in f:1"),
            Failure("bug: deliver: ValueError in f:1"),
        ),
        (Rejected("too_large"), Failure("too_large")),
        (
            Retry("OSError: No space left on device"),
            Failure("OSError: No space left on device"),
        ),
        (Retry("x" * 5_000), Failure("x" * 200)),
        (
            Retry(
                "301",
                status=301,
                exchange=Exchange({"url": "http://["}, {"headers": 7}),
            ),
            Failure("301"),
        ),
    ],
)
def test_a_failure_is_a_status_or_an_error_a_host_and_where_a_redirect_points(
    verdict: Any, wanted: Failure
) -> None:
    assert failure_of(verdict) == wanted


class Told:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.trouble = Trouble(self.say)

    def say(self, notice: str, **fields: Any) -> None:
        self.lines.append({"notice": notice, **fields})

    def failed(self, verdict: Any, now_s: float = 0.0) -> None:
        self.trouble.failed(verdict, now_s, int(now_s * 1_000))


def test_a_cause_is_said_once_and_a_new_one_at_once() -> None:
    told = Told()
    for _ in range(100):
        told.failed(Retry("503"))
        told.failed(Retry("TimeoutError"))
    assert [line["reason"] for line in told.lines] == ["503", "TimeoutError"]
    told.failed(Retry("503"), AGAIN_S - 1.0)
    assert len(told.lines) == 2
    told.failed(Retry("503"), AGAIN_S)
    assert len(told.lines) == 3


def test_however_many_causes_there_are_what_is_said_is_bounded() -> None:
    told = Told()
    for number in range(1_000):
        told.failed(Retry(f"{number}"), 1.0)
    assert len(told.lines) == CAUSES_MAX
    assert told.trouble.last() == {
        "at": "1970-01-01T00:00:01.000Z",
        "reason": "999",
        "host": None,
        "location": None,
    }
    told.failed(Retry("new"), 2.0 + AGAIN_S)
    assert told.lines[-1]["reason"] == "new"


def test_an_open_breaker_says_what_failed_and_once_a_minute_at_most() -> None:
    told = Told()
    told.failed(Retry("401", status=401, auth=True, exchange=Exchange(SENT)))
    for second in range(30):
        told.trouble.breaker_is("auth", second)
        told.trouble.breaker_is(None, second + 0.5)
    assert told.lines[1:] == [
        {
            "notice": "breaker_open",
            "cause": "auth",
            "reason": "401",
            "host": "crm.example:8443",
        },
        {"notice": "breaker_closed"},
    ]
    told.trouble.breaker_is("auth", 50.0)
    told.trouble.breaker_is("auth", OPEN_AGAIN_S)  # it stayed open
    assert [line["notice"] for line in told.lines[3:]] == ["breaker_open"]


async def test_the_last_failure_is_on_readyz_and_in_a_notice(
    bench: Any, recorder: Any, entry: Any, wait_until: Any
) -> None:
    crm = recorder()
    answers: dict[str, Verdict] = {
        "u0": Retry("503", status=503, exchange=Exchange(SENT)),
        "u1": Rejected("rejected", "422", 422),
    }
    crm.answer = lambda each: answers.get(each.event.key, Delivered(200))
    async with bench.open():
        await bench.log.append([entry(0, "u0")])
        async with bench.running(crm) as worker:
            await wait_until(lambda: len(crm.got) > 3)
            found = worker.state()["last_failure"]
            assert (found["reason"], found["host"]) == ("503", "crm.example:8443")
            assert bench.notices.counts["delivery_failed"] == 1
            await bench.log.append([entry(1, "u1"), entry(2, "u2")])
            await bench.settled(2)
            assert bench.notices.counts["delivery_failed"] == 2
