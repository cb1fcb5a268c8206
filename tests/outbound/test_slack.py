"""Slack: what is said of an event, what its answers mean, what is never shown."""

from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.outbound.contract import Delivered, Rejected, Retry, Skipped
from gateway.outbound.destinations.slack import (
    TEXT_CHARS,
    VALUE_CHARS,
    Settings,
    check,
    filled,
    told,
)
from tests.outbound.fake import Answer, Fake


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{traits.email}}", "a@b.example"),
        ("{{ traits.plan }} {{traits.nope}}!", "pro !"),
        ("{{traits.company.name}}", "A &amp; B"),
        ("{{traits.tags}}", '["x","&lt;y&gt;"]'),
        ("{{traits.email.deeper}}|{{}}", "|{{}}"),
        ("plain", "plain"),
    ],
)
def test_a_template_has_what_stands_at_each_place(template: str, text: str) -> None:
    traits = {
        "email": "a@b.example",
        "plan": "pro",
        "company": {"name": "A & B"},
        "tags": ["x", "<y>"],
    }
    assert filled(template, {"traits": traits}) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"type": "identify", "userId": "u"}, "*u* identified"),
        ({"type": "identify", "anonymousId": "a", "traits": None}, "*a* identified"),
        ({"type": "track", "userId": "u", "event": "Paid"}, "*u* did Paid"),
        (
            {"type": "track", "event": "E", "properties": {"n": 1, "deep": {}}},
            "*someone* did E: n 1",
        ),
        ({"type": "page", "userId": "u", "name": "Home"}, "*u* page Home"),
        ({"type": "alias", "userId": "u"}, "*u* alias"),
    ],
)
def test_what_is_said_without_a_template(body: dict[str, Any], text: str) -> None:
    assert told(body) == text


def test_what_is_said_is_bounded() -> None:
    body = {"type": "track", "userId": "u", "event": "<" * 10_000}
    assert len(told(body)) < 4 * VALUE_CHARS + 50
    assert TEXT_CHARS > VALUE_CHARS


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_channel_that_is_gone_loses_nothing(status: int, delivery: Any) -> None:
    async with Fake(Answer(status, b"no_service")) as slack:
        url = f"{slack.url}services/T0/B0/SECRETSECRET"
        (verdict,) = await slack.deliver("slack", {"url": url}, [delivery(1)])
    assert isinstance(verdict, Retry)
    assert (verdict.reason, verdict.auth) == (f"{status} no_service", True)
    assert "SECRETSECRET" not in str(verdict)
    assert verdict.exchange is not None
    assert verdict.exchange.request["url"].startswith("http://127.0.0.1")


async def test_it_is_posted_and_what_slack_refuses_is_rejected(delivery: Any) -> None:
    later = Answer(429, headers={"Retry-After": "7"})
    async with Fake(
        Answer(200, b"ok"), Answer(400, b"invalid_payload"), later
    ) as slack:
        settings = {"url": f"{slack.url}services/T", "text": "hello {{userId}}"}
        verdicts = [
            (await slack.deliver("slack", settings, [delivery(number)]))[0]
            for number in range(3)
        ]
        nothing = {**settings, "text": "{{traits.nope}}"}
        (skipped,) = await slack.deliver("slack", nothing, [delivery(1)])
    assert verdicts[0] == Delivered(200)
    assert isinstance(verdicts[1], Rejected)
    assert isinstance(verdicts[2], Retry)
    assert verdicts[2].after_s == 7.0
    assert isinstance(skipped, Skipped)
    assert slack.asked[0].json() == {"text": "hello u1", "unfurl_links": False}
    assert len(slack.asked) == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "https://hooks.slack.com"}, "url: not the http or https URL"),
        ({"url": "hooks.slack.com/services/T"}, "url: not the http or https URL"),
        ({"url": "https://a.example/x", "text": "{{a b}}"}, "text: `{{place}}`"),
        ({"url": "https://a.example/x", "text": "{{a"}, "text: `{{place}}`"),
    ],
)
def test_a_mistake_names_the_key_and_no_secret(
    settings: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check(Settings(**settings), "destinations.s.settings")
    assert words in str(caught.value)
    assert "services" not in str(caught.value)
