from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.outbound.when import Filter


def passes(text: str, event: Any) -> bool:
    return Filter(text, place="destinations.crm.when").passes(event)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("cool.person@example.com", True),
        ("Cool.Person+tag@mail.example.co.uk", True),
        ("97980cfea0067", False),
        ("@", False),
        ("a@b", True),
        ("a b@example.com", False),
        ("a@example.com\n", False),
        (None, False),
        (42, False),
        (["a@example.com"], False),
    ],
)
def test_is_email_of_a_filter(value: Any, wanted: bool) -> None:  # noqa: FBT001 -- a parameter of the case
    assert passes("is_email(userId)", {"userId": value}) is wanted


@pytest.mark.parametrize(
    ("text", "event", "wanted"),
    [
        ("!is_email(userId)", {}, True),
        ("traits.plan == 'pro'", {"traits": {"plan": "pro"}}, True),
        ("traits.plan == 'pro'", {}, False),
        ("traits.logins", {"traits": {"logins": 0}}, True),
        ("traits.plan", {"traits": {"plan": ""}}, False),
        ("traits.tags", {"traits": {"tags": []}}, False),
        ("traits.company", {"traits": {"company": {}}}, False),
        ("traits.verified", {"traits": {"verified": False}}, False),
        ("traits.logins > `10`", {"traits": {"logins": 11}}, True),
        ("contains(not_null(traits.tags, `[]`), 'beta')", {}, False),
    ],
)
def test_truth_is_that_of_jmespath(text: str, event: Any, wanted: bool) -> None:  # noqa: FBT001 -- a parameter of the case
    assert passes(text, event) is wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.b[", "not JMESPath"),
        ("", "not JMESPath"),
        ("is_mail(userId)", "unknown function is_mail()"),
        ("traits.tags[?nope(@)]", "unknown function nope()"),
        ("sort_by(traits.tags, &nope(@))", "unknown function nope()"),
        ('traits.plan == "pro"', "a text is 'pro', the field is @.\"pro\""),
        ('"pro" != traits.plan', "a text is 'pro'"),
        ('a && (traits.plan=="pro plan")', "a text is 'pro plan'"),
        ('contains(traits.tags, "beta")', "a text is 'beta'"),
        ('traits.all[?name == "x"]', "a text is 'x'"),
        ("traits.active == true", "true is read as a field: write `true`"),
        ("null != traits.x", "null is read as a field"),
        ("contains(traits.tags)", "takes 2 arguments, not 1"),
        ("merge()", "at least 1"),
    ],
)
def test_a_mistake_is_found_before_any_event(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"destinations\.crm\.when: ") as caught:
        Filter(text, place="destinations.crm.when")
    assert words in str(caught.value)


def test_an_error_while_evaluating_is_left_to_the_caller() -> None:
    with pytest.raises(Exception, match="contains"):
        passes("contains(traits.tags, 'x')", {})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("traits.\"first name\" == 'Al'", True),
        ('@."pro" == traits.plan', True),
        ('"userId" == anonymousId', False),
        ('is_email("userId")', True),
        ('traits."plan"', "x"),
        ('["pro", "plan"]', ["x", None]),
        ('{"a": traits.true, "b": pro}', {"a": 1, "b": "x"}),
        ("traits.plan == 'x' && traits.true == `1`", True),
    ],
)
def test_a_field_in_double_quotes_is_a_field(text: str, wanted: Any) -> None:
    traits = {"first name": "Al", "plan": "x", "true": 1}
    event = {"userId": "a@b.example", "pro": "x", "traits": traits}
    assert Filter(text, place="when").value(event) == wanted
