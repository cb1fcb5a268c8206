"""One definition of an email address, wherever one is asked for."""

import time
from typing import Any

import pytest

from gateway.email import is_email
from gateway.event import Checked
from gateway.inbound.normalize import normalize
from gateway.outbound.when import Filter

ADDRESSES = [
    "cool.person@example.com",
    "Cool+tag@mail.example.co.uk",
    "o'brien@example.com",
    "ünï@bücher.example",
    "root@localhost",
    "a@b",
    '"a b"@example.com',
    '"a@b"@example.com',
    '"a\\"b"@example.com',
]
OTHERS = [
    *("97980cfea0067", "", "@", "@handle", "@handle.example", "a@", "@b"),
    *("x@y@z", "x@y@z.example", "a b@example.com", "a@exa mple.com"),
    *("a@example.com\n", " a@example.com", "a@.example", "a@example.", "a@b..c"),
    *('"a@example.com', '"a"b@example.com', 'a"@example.com', '""', "a\tb@b.example"),
    "a@" + "b." * 499,
    "a" * 1_000 + "@example.com",
]
CASES = [(text, True) for text in ADDRESSES] + [(text, False) for text in OTHERS]


@pytest.mark.parametrize(("text", "wanted"), CASES)
def test_an_email_is_the_same_wherever_one_is_asked_for(
    text: str,
    wanted: bool,  # noqa: FBT001 -- a parameter of the case
) -> None:
    assert is_email(text) is wanted
    assert Filter("is_email(userId)", place="when").value({"userId": text}) is wanted
    body: dict[str, Any] = {"type": "identify", "userId": text, "anonymousId": "a"}
    traits = normalize(Checked(body))[0].get("traits", {})
    assert ("email" in traits) is wanted


@pytest.mark.parametrize(
    "text", ["a@" + "." * 1_000_000 + " ", "@" * 1_000_000, '"' * 1_000_000 + "@b.c"]
)
def test_s15_no_text_makes_the_question_slow(text: str) -> None:
    began = time.perf_counter()
    assert not is_email(text)
    assert time.perf_counter() - began < 0.1
