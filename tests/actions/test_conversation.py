"""An action's requests: who may be asked, how often, and what is written down of it."""

import base64
import json
from urllib.parse import quote, quote_plus, urlencode

import pytest

from gateway import __version__
from gateway.actions.conversation import REQUESTS_MAX, Conversation, allows
from gateway.actions.frames import Frame
from gateway.actions.secrets import forms
from gateway.actions.transfer import ANSWER_BYTES, answer_of, request_of
from gateway.notices import Notice
from gateway.outbound.http import NoResponse, Request, Response

ASKED = {"id": 1, "call": 1, "method": "POST", "headers": {}}


def fetching(
    url: str = "https://api.a.test/x", body: str = "", **headers: str
) -> Frame:
    return {**ASKED, "url": url, "body": body, "headers": headers}


class Vendor:
    """Answers in turn, then 200."""

    def __init__(self, *answers: Response | NoResponse) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []
        self.notices: list[Notice] = []

    async def send(self, request: Request) -> Response | NoResponse:
        self.asked.append(request)
        return self.answers.pop(0) if self.answers else Response(status=200)

    def talk(self, *hosts: str) -> Conversation:
        return Conversation(self.send, hosts or ("api.a.test",), self.notices.append)


@pytest.mark.parametrize(
    ("known", "host"),
    [
        ("api.mixpanel.com", "api.mixpanel.com"),
        ("api.mixpanel.com", "api-eu.mixpanel.com"),
        ("*.pipedrive.com", "acme.pipedrive.com"),
        ("e-*.adzerk.net", "e-7.adzerk.net"),
        ("api.*.antavo.com", "api.st1.antavo.com"),
        ("api.*.antavo.com", "push.st1.antavo.com"),
        ("canny.io", "canny.io"),
        ("api.mixpanel.com", "mixpanel.com"),  # where a login is tried
    ],
)
def test_a_host_that_is_known_or_beside_or_above_one_is_asked(
    known: str, host: str
) -> None:
    assert allows(["other.example", known], host)


@pytest.mark.parametrize(
    ("known", "host"),
    [
        ("api.mixpanel.com", "com"),
        ("api.mixpanel.com", "api.mixpanel.com.evil.test"),
        ("api.mixpanel.com", "evilmixpanel.com"),
        ("api.mixpanel.com", "a.b.mixpanel.com"),
        ("canny.io", "evil.io"),
        ("*.pipedrive.com", "pipedrive.com.evil.test"),
        ("api.a.test", ""),
        ("api.a.test", "169.254.169.254"),
        ("as configured", "configured"),
    ],
)
def test_no_other_host_is_asked(known: str, host: str) -> None:
    assert not allows([known], host)


async def test_an_unexpected_host_is_refused_and_told_once_per_request() -> None:
    vendor = Vendor()
    talk = vendor.talk()
    answer = await talk.fetch(
        fetching("https://u:p@evil.example:8443/x?email=a@b.test")
    )
    assert answer == {"error": "UnexpectedHostError"}
    assert vendor.notices == [Notice("unexpected_host", "evil.example")]
    assert vendor.asked == []
    assert talk.last is not None
    assert talk.last[1] == NoResponse("UnexpectedHostError")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "https:///x", "//", "", "https://[::1", "ftp://api.a.test/"],
)
async def test_what_is_no_address_of_http_is_refused(url: str) -> None:
    vendor = Vendor()
    talk = vendor.talk()
    assert await talk.fetch(fetching(url)) == {"error": "InvalidURL"}
    assert vendor.asked == []
    assert talk.kept(()) is None


async def test_the_case_of_a_host_does_not_matter() -> None:
    vendor = Vendor()
    assert (await vendor.talk().fetch(fetching("https://API.A.test/")))["status"] == 200


async def test_the_51st_request_of_one_action_is_refused() -> None:
    vendor = Vendor()
    talk = vendor.talk()
    for _ in range(REQUESTS_MAX):
        assert (await talk.fetch(fetching()))["status"] == 200
    assert await talk.fetch(fetching()) == {"error": "TooManyRequestsError"}
    assert len(vendor.asked) == REQUESTS_MAX == 50


async def test_what_is_kept_is_the_last_exchange_with_the_earlier_ones_in_short() -> (
    None
):
    vendor = Vendor(*(Response(status=each) for each in (404, 409, 500)))
    talk = vendor.talk()
    for number in range(3):
        await talk.fetch(fetching(f"https://api.a.test/{number}?token=t0ken", "body"))
    kept = talk.kept(())
    assert kept is not None
    url = "https://api.a.test/{}?token=***"
    assert kept.request["url"] == url.format(2)
    assert kept.request["earlier"] == [
        {"method": "POST", "url": url.format(0), "answer": 404},
        {"method": "POST", "url": url.format(1), "answer": 409},
    ]
    assert kept.response is not None
    assert kept.response["status"] == 500


async def test_one_exchange_has_no_earlier_ones_and_none_is_none() -> None:
    talk = Vendor(NoResponse("TimeoutError")).talk()
    assert talk.kept(()) is None
    assert talk.requests(()) == []
    await talk.fetch(fetching(body="x"))
    kept = talk.kept(())
    assert kept is not None
    assert "earlier" not in kept.request
    assert kept.response is None


async def test_of_what_would_be_sent_the_second_depends_on_the_first() -> None:
    talk = Vendor().talk()
    for _ in range(2):
        await talk.fetch(fetching())
    first, second = talk.requests(())
    assert "depends" not in first
    assert second["depends"] == "on the answers before it"


SECRET = 'p/ss "w*rd~(ü)\\é&+=%'
BODIES = {
    "as it is": SECRET,
    "JSON": json.dumps({"token": SECRET}),
    "JSON of JavaScript": json.dumps({"token": SECRET}, ensure_ascii=False),
    "a form": urlencode({"api_key": SECRET}),
    "a form of JavaScript": "api_key="
    + quote_plus(SECRET, safe="*").replace("~", "%7E"),
    "a part of a URL": quote(SECRET, safe=""),
    "encodeURIComponent": quote(SECRET, safe="!'()*"),
    "JSON in a form": urlencode({"data": json.dumps({"token": SECRET})}),
    "JSON in a form of JavaScript": "data="
    + quote_plus(json.dumps({"token": SECRET}, ensure_ascii=False), safe="*").replace(
        "~", "%7E"
    ),
    "JSON in JSON": json.dumps(
        json.dumps({"token": SECRET}, ensure_ascii=False), ensure_ascii=False
    ),
    "base64": base64.b64encode(SECRET.encode()).decode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_secret_is_masked_in_each_of_its_forms(body: str) -> None:
    talk = Vendor(Response(status=400, body=body.encode())).talk()
    await talk.fetch(fetching(body=body))
    kept = talk.kept(forms([SECRET]))
    assert kept is not None
    for text in (kept.request["body"], (kept.response or {})["body"]):
        assert "***" in text
        assert "rd" not in text.replace("***", "")


@pytest.mark.parametrize(
    "path",
    [quote(SECRET, safe=""), quote(SECRET, safe="!'()*"), "x?q=" + quote_plus(SECRET)],
)
async def test_a_secret_is_masked_in_urls(path: str) -> None:
    talk = Vendor().talk()
    await talk.fetch(fetching(f"https://api.a.test/{path}"))
    await talk.fetch(fetching(f"https://api.a.test/{path}"))
    kept = talk.kept(forms([SECRET]))
    assert kept is not None
    assert "rd" not in kept.request["url"]
    assert "rd" not in str(kept.request["earlier"])


def test_a_short_secret_blackens_nothing() -> None:
    assert forms(["", "abc"]) == ()


def test_we_say_who_we_are_and_not_that_we_are_segment() -> None:
    given = {"user-agent": "Segment (Actions)", "content-length": "3", "x-own": "1"}
    more = {"connection": "close", "host": "a", "accept-encoding": "gzip"}
    request = request_of(
        {**ASKED, "url": "https://a.test/", "headers": {**given, **more}}
    )
    agent = f"gateway/{__version__} (action-destinations)"
    assert request.headers == {"user-agent": agent, "x-own": "1"}
    assert request.answer_bytes == ANSWER_BYTES == 4 * 1024 * 1024


def test_bodies_that_are_no_text_travel_as_base64() -> None:
    raw = b"\xff\x00\xfe"
    encoded = base64.b64encode(raw).decode()
    asked = {**ASKED, "url": "https://a.test/", "body64": encoded}
    assert request_of(asked).body == raw
    assert answer_of(Response(status=200, body=raw))["body64"] == encoded


def test_an_answer_is_handed_on_with_its_headers_but_those_of_its_body() -> None:
    given = {
        "content-type": "text/html",
        "content-encoding": "gzip",
        "retry-after": "3",
    }
    answer = answer_of(Response(status=503, headers=given, body="<é>".encode()))
    assert answer == {
        "status": 503,
        "reason": "Service Unavailable",
        "headers": {"content-type": "text/html", "retry-after": "3"},
        "body": "<é>",
    }
    assert answer_of(NoResponse("TimeoutError")) == {"error": "TimeoutError"}


@pytest.mark.parametrize("status", [204, 205, 304])
def test_an_answer_that_may_have_no_body_has_none(status: int) -> None:
    assert "body" not in answer_of(Response(status=status, body=b"x"))
