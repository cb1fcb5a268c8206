"""An agent is shown the form of values, never too much, and no secret."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mcp import veil
from gateway.mcp.tools import BY_NAME, TOOLS

SECRET = "bob@shop.example"
STORY = {
    "messageId": "m-1",
    "found": [
        {
            "source": "web",
            "receivedAt": "2026-01-15T10:13:20.000Z",
            "kind": "admitted",
            "asSent": {"type": "identify", "traits": {"email": SECRET}},
            "event": {
                "type": "track",
                "event": "Order Completed",
                "messageId": "m-1",
                "userId": SECRET,
                "properties": {"email": SECRET, "total": 12.5, "new": True},
                "integrations": {"CRM": False},
            },
            "changes": [
                {"path": "traits.age", "from": "42", "to": 42, "why": "coerced"}
            ],
            "errors": [
                {
                    "pointer": "/traits/age",
                    "message": f"'{SECRET}' is not a number, nor is {SECRET} 1234567",
                    "code": "type",
                }
            ],
            "replay": None,
            "destinations": [
                {
                    "destination": "crm",
                    "kind": "dead",
                    "rule": "when: plan = 'pro'",
                    "attempts": [
                        {
                            "at": "2026-01-15T10:13:21.000Z",
                            "ms": 5,
                            "status": 400,
                            "error": f"rejected: {SECRET} is taken",
                            "request": {
                                "method": "POST",
                                "url": f"https://crm.example/people/{SECRET}",
                                "headers": {"X-Person": SECRET},
                                "body": json.dumps({"email": SECRET}),
                            },
                            "response": {
                                "status": 400,
                                "headers": {},
                                "body": f"no {SECRET}",
                            },
                        }
                    ],
                }
            ],
        }
    ],
}


def test_no_value_of_a_payload_is_in_a_story_unless_it_is_asked_for() -> None:
    tool = BY_NAME["explain"]
    shown = tool.told(STORY, {"message_id": "m-1"})
    assert "bob" not in shown
    assert "shop" not in shown
    assert "1234567" not in shown
    told = tool.told(STORY, {"message_id": "m-1", "values": True})
    assert json.loads(told) == STORY


def test_what_an_event_is_and_what_became_of_it_stays() -> None:
    found = json.loads(BY_NAME["explain"].told(STORY, {}))["found"][0]
    event = found["event"]
    assert (event["type"], event["event"]) == ("track", "Order Completed")
    assert event["integrations"] == {"CRM": False}
    assert event["properties"] == {
        "email": "xxx@xxxx.xxxxxxx",
        "total": "99.9",
        "new": True,
    }
    assert found["errors"][0]["message"] == "'…' is not a number, nor is x@x 99999"
    (end,) = found["destinations"]
    assert end["rule"] == "when: plan = 'pro'"
    (attempt,) = end["attempts"]
    assert attempt["status"] == 400
    assert attempt["error"] == "rejected: x@x is taken"
    assert attempt["request"]["url"].startswith("https://crm.example/xxxxxx/")
    assert attempt["request"]["body"] == {"email": "xxx@xxxx.xxxxxxx"}


def test_whatever_else_a_destination_shows_of_a_request_is_veiled() -> None:
    line = json.dumps({"email": SECRET})
    story = json.loads(json.dumps(STORY))
    (attempt,) = story["found"][0]["destinations"][0]["attempts"]
    attempt["request"] = {"line": line, "key": SECRET}
    shown = json.loads(BY_NAME["explain"].told(story, {}))
    (attempt,) = shown["found"][0]["destinations"][0]["attempts"]
    form = "xxx@xxxx.xxxxxxx"
    assert attempt["request"] == {"line": {"email": form}, "key": form}


def test_a_search_shows_no_person_and_a_group_no_quote() -> None:
    page = {"events": [{"messageId": "m", "person": SECRET}], "next": None}
    assert "bob" not in BY_NAME["search_events"].told(page, {})
    groups = {"groups": [{"destination": "crm", "error": f"no {SECRET}", "events": 3}]}
    assert "bob" not in BY_NAME["dead_letters"].told(groups, {})
    assert "bob" in BY_NAME["dead_letters"].told(groups, {"values": True})


@pytest.mark.parametrize("size", [10, 500, 5_000])
def test_an_answer_is_never_too_large(size: int) -> None:
    long = "y" * size
    many = {"events": [{"text": long, "n": n} for n in range(size)]}
    text = veil.bounded(many)
    assert len(text) <= veil.ANSWER_BYTES
    told = json.loads(text)
    assert (told == many) == (size == 10)
    if size > 10:
        assert "more)" in text


JSONS = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSONS)
def test_whatever_is_told_is_json_within_the_bound(value: Any) -> None:
    assert len(veil.bounded(veil.form_of(value))) <= veil.ANSWER_BYTES
    json.loads(veil.bounded(value))


def test_what_nests_for_ever_is_cut() -> None:
    value: Any = "x"
    for _ in range(200):
        value = [value]
    assert "…" in veil.bounded(value)


# arguments


@pytest.mark.parametrize(
    ("tool", "given_", "wrong"),
    [
        ("explain", {}, ["message_id: is missing"]),
        ("explain", {"message_id": 7}, ["message_id: is not a text of 1 to 1000"]),
        (
            "explain",
            {"message_id": "m", "id": 1},
            ["id: unknown; known are: message_i"],
        ),
        ("search_events", {"limit": 101}, ["limit: is not a whole number from 1 to 1"]),
        ("search_events", {"limit": True}, ["limit: is not a whole number"]),
        ("search_events", {"kind": "lost"}, ["kind: is not one of admitted, refused"]),
        ("search_events", {"from": "yesterday"}, ["from: is not an ISO 8601 time"]),
        ("account", {"values": True}, ["values: unknown; known are: from, until"]),
        ("destination_health", {"x": 1}, ["x: unknown; known are: none"]),
    ],
)
def test_what_is_wrong_with_arguments_is_said(
    tool: str, given_: Any, wrong: list[str]
) -> None:
    told = BY_NAME[tool].wrong(given_)
    assert len(told) == len(wrong)
    for said, words in zip(told, wrong, strict=True):
        assert said.startswith(words)


def test_arguments_that_fit_become_a_path() -> None:
    search = BY_NAME["search_events"]
    given_ = {"person": "a&b@c.d", "limit": 5, "values": True, "kind": "dead"}
    assert search.wrong(given_) == []
    path = search.path(given_)
    assert path == "/v1/events?limit=5&person=a%26b%40c.d&kind=dead"
    assert BY_NAME["explain"].path({"message_id": "a/b?c"}) == "/v1/events/a%2Fb%3Fc"
    assert BY_NAME["account"].path({}) == "/v1/account"


def test_every_tool_only_reads_and_says_what_it_takes() -> None:
    assert len(TOOLS) == 6
    for tool in TOOLS:
        shown = tool.shown()
        assert shown["annotations"]["readOnlyHint"]
        assert shown["inputSchema"]["additionalProperties"] is False
        assert all(
            each["description"] for each in shown["inputSchema"]["properties"].values()
        )
