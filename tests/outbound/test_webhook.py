import hashlib
import hmac
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.errors import ConfigError
from gateway.outbound import destinations
from gateway.outbound.destinations.webhook import Settings, request

PLACE = "destinations.crm.settings"
URL = "https://crm.example/hook"


def test_one_event_is_its_own_bytes(delivery: Any) -> None:
    each = delivery(1)
    made = request([each], Settings(url=URL))
    assert made.body is each.value
    assert (made.method, made.url) == ("POST", URL)
    assert made.headers == {
        "Content-Type": "application/json",
        "X-Gateway-Message-Id": "m1",
    }


def test_a_batch_is_an_array_even_of_one(delivery: Any) -> None:
    settings = Settings(url=URL, batch=10)
    for numbers in ([1], [1, 2, 3]):
        made = request([delivery(number) for number in numbers], settings)
        ids = [each["messageId"] for each in orjson.loads(made.body)]
        assert ids == [f"m{number}" for number in numbers]
        assert ("X-Gateway-Message-Id" in made.headers) is (len(numbers) == 1)


@pytest.mark.parametrize("batch", [1, 5])
def test_the_signature_is_over_the_very_body(delivery: Any, batch: int) -> None:
    made = request([delivery(1)], Settings(url=URL, secret="s3cret", batch=batch))
    wanted = hmac.new(b"s3cret", made.body, hashlib.sha256).hexdigest()
    assert made.headers["X-Gateway-Signature"] == f"sha256={wanted}"


def test_a_replay_says_so(delivery: Any) -> None:
    replayed, live = delivery(1, replay="r1"), delivery(2)
    settings = Settings(url=URL, batch=10)
    both = request([replayed, replayed], settings).headers
    assert both["X-Gateway-Replay"] == "r1"
    assert "X-Gateway-Replay" not in request([live], settings).headers
    assert "X-Gateway-Replay" not in request([replayed, live], settings).headers


@pytest.mark.parametrize(
    ("message_id", "wanted"),
    [
        ("ajs-next-1:2/3", "ajs-next-1:2/3"),
        ("a\r\nX-Evil: 1", "a%0D%0AX-Evil:%201"),
        ("ünï", "%C3%BCn%C3%AF"),
        ("50%", "50%25"),
    ],
)
def test_no_message_id_can_break_a_header(
    delivery: Any, message_id: str, wanted: str
) -> None:
    made = request([delivery(messageId=message_id)], Settings(url=URL))
    assert made.headers["X-Gateway-Message-Id"] == wanted


def test_own_headers_are_sent_and_may_replace_the_content_type(delivery: Any) -> None:
    headers = {"Authorization": "Bearer x", "content-type": "application/x-ours"}
    made = request([delivery(1)], Settings(url=URL, headers=headers))
    assert made.headers == {**headers, "X-Gateway-Message-Id": "m1"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "url: missing"),
        ({"url": "crm.example/hook"}, "url: not an http or https URL"),
        ({"url": "ftp://crm.example"}, "url: not an http or https URL"),
        ({"url": "https://"}, "url: not an http or https URL"),
        ({"url": "https://crm.example:99999/"}, "url: not an http or https URL"),
        ({"url": "https://crm.example/a b"}, "url: not an http or https URL"),
        ({"url": 7}, "url: 7 is not a text"),
        ({"url": URL, "batch": 1_001}, "batch: 1001 is not 1 to 1000"),
        ({"url": URL, "secret": 7}, "secret: a number is not a text"),
        ({"url": URL, "batch": 0}, "batch: 0 is not a whole number above 0"),
        ({"url": URL, "batch": "10"}, "batch: '10' is not a whole number"),
        ({"url": URL, "method": "GET"}, "method: 'GET' is not one of POST"),
        ({"url": URL, "headers": {"Host": "x"}}, "headers.Host: a header of this"),
        ({"url": URL, "headers": {"A B": "x"}}, "headers.A B: a header of this name"),
        ({"url": URL, "headers": {"A": "x\ny"}}, "headers.A: the value is not"),
        ({"url": URL, "headers": {"A": 1}}, "headers.A: the value is not"),
        ({"url": "https://a..b/hook"}, "url: not an http or https URL"),
        ({"url": "https://u:p@:80/"}, "url: not an http or https URL"),
        ({"url": "https://[::1/hook"}, "url: not an http or https URL"),
        ({"url": URL, "headers": {"Expect": "100-continue"}}, "headers.Expect: a"),
        ({"url": URL, "headers": {"upgrade": "h2c"}}, "headers.upgrade: a header"),
        ({"url": URL, "headers": {"TE": "trailers"}}, "headers.TE: a header of this"),
        (
            {"url": URL, "headers": {"Content-Encoding": "gzip"}},
            "headers.Content-Encoding: a header of this name",
        ),
        ({"url": URL, "headers": {"A": "1", "a": "2"}}, "headers.A: is there twice"),
        (
            {"url": "https://u:p@a.example", "headers": {"authorization": "x"}},
            "headers.Authorization: the URL has a user already",
        ),
        (
            {"url": "https://u@a.example", "headers": {"Authorization": "x"}},
            "headers.Authorization: the URL has a user already",
        ),
        ({"url": URL, "sekret": "x"}, "sekret: unknown key; known are: url,"),
    ],
)
def test_a_mistake_names_the_key(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        destinations.load("webhook").configured(settings, name="crm", folder=Path())
    assert str(caught.value).startswith(f"{PLACE}.{words}")
