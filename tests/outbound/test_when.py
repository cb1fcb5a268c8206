import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("a[" + "9" * 5_000 + "]", "is not JMESPath"),
        ("(" * 2_000, "nests deeper than 400 levels"),
        ("!" * 600 + "a", "nests deeper than 400 levels"),
        (" || ".join(["a == 'x'"] * 600), "contains(`"),
    ],
)
def test_a_mistake_is_found_before_any_event(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"destinations\.crm\.when: ") as caught:
        Filter(text, place="destinations.crm.when")
    assert words in str(caught.value)


def test_an_error_while_evaluating_is_left_to_the_caller() -> None:
    with pytest.raises(Exception, match="contains"):
        passes("contains(traits.tags, 'x')", {})


def test_what_an_expression_makes_no_sense_for_is_not_chosen() -> None:
    wanted = Filter("contains(traits.tags, 'x')", place="--where")
    assert not wanted.chooses({})
    assert wanted.chooses({"traits": {"tags": ["x"]}})


@pytest.mark.parametrize(
    "text",
    [
        "contains(userId, traits.prefix)",
        "contains(userId, `7`)",
        "ceil(`1e999`)",
        "values(@)[::0]",
        "sum(values(@))",
    ],
)
def test_what_python_cannot_do_with_a_value_is_not_chosen_either(text: str) -> None:
    assert not Filter(text, place="where").chooses({"userId": "ada", "a": [1]})


def test_as_many_levels_as_there_may_be_are_evaluated() -> None:
    many = " || ".join(f"userId == '{number}'" for number in range(398))
    wanted = Filter(many, place="where")
    assert wanted.chooses({"userId": "397"})
    assert not wanted.chooses({"userId": "398"})


@pytest.mark.parametrize(
    ("text", "event", "passed_over"),
    [
        ("userId == 'ada'", {"userId": "bob"}, True),
        ("userId == 'ada'", {"userId": "bob", "friend": "ada"}, False),
        ("'ada' == traits.names[0]", {"traits": {"names": ["bob"]}}, True),
        ("event == 'A' && ends_with(userId, '-7')", {"event": "A"}, True),
        ("contains(tags, 'x') || userId == 'ada'", {}, False),
        ("!(userId == 'ada')", {"userId": "bob"}, False),
        ("userId != 'ada'", {"userId": "bob"}, False),
        ("userId == traits.id", {"userId": "bob"}, False),
        ("join('', [a, b]) == 'xy'", {"a": "x", "b": "y"}, False),
        ("length(userId) == `3`", {"userId": "bob"}, False),
        ('userId == `"\\ud800"`', {"userId": "bob"}, False),
        ("userId == 'ä\"'", {"userId": "bob"}, True),
    ],
)
def test_texts_that_an_event_lacks_pass_it_over_unread(
    text: str,
    event: Any,
    passed_over: bool,  # noqa: FBT001 -- a parameter of the case
) -> None:
    wanted = Filter(text, place="where")
    assert wanted.surely_passes_over(orjson.dumps(event)) is passed_over


def test_a_text_that_is_written_with_escapes_is_not_passed_over() -> None:
    wanted = Filter("userId == 'ada'", place="where")
    written = rb'{"userId":"a\u0064a"}'
    assert not wanted.surely_passes_over(written)
    assert wanted.chooses(orjson.loads(written))


TEXTS = st.text(st.sampled_from("ab'\"\\äx\n"), max_size=3)
PLACES = st.sampled_from(["a", "b.a", "@.a", "b[0]", "b[-1].a", "length(a)", "[a, b]"])
EVENTS = st.recursive(
    TEXTS | st.integers(0, 2) | st.none(),
    lambda some: (
        st.lists(some, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b"]), some, max_size=2)
    ),
    max_leaves=6,
)


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Comparisons and questions of texts, joined."""
    place = draw(PLACES)
    text = "`" + orjson.dumps(draw(TEXTS)).decode() + "`"
    one = draw(
        st.sampled_from(
            [
                f"{place} == {text}",
                f"{text} == {place}",
                f"{place} != {text}",
                f"contains({place}, {text})",
                f"starts_with({place}, {text})",
                f"!ends_with({place}, {text})",
            ]
        )
    )
    if draw(st.booleans()):
        return one
    return f"({one}) {draw(st.sampled_from(['&&', '||']))} ({draw(expressions())})"


@given(expressions(), EVENTS)
def test_nothing_that_is_meant_is_passed_over(text: str, event: Any) -> None:
    wanted = Filter(text, place="where")
    for written in (orjson.dumps(event), json.dumps(event).encode()):
        if wanted.surely_passes_over(written):
            assert not wanted.chooses(event)


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
