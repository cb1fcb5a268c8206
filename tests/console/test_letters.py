"""Which dead letters an expression means: those that were chosen, and no others."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.console.letter import letter_of
from gateway.console.letters import where_of
from gateway.errors import ConfigError
from gateway.log.contract import Record
from gateway.outbound.when import Filter

TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20
)


def chosen(source: str, message_id: str) -> str:
    return orjson.dumps([source, message_id]).decode()


def value(source: str, message_id: str) -> dict[str, object]:
    return {"event": {"source": source, "messageId": message_id}, "reason": "rejected"}


@given(TEXTS, TEXTS, TEXTS)
def test_it_holds_for_the_chosen_alone_whatever_their_ids_are(source, one, other):
    means = Filter(where_of([chosen(source, one)]), place="where")
    assert means.passes(value(source, one))
    assert means.passes(value(source, other)) == (one == other)
    assert means.passes(value(f"{source}x", one)) is False


@pytest.mark.parametrize("one", ["`", "\\`", "'", '"', "a`]`b", "${x}", "\\", "é`\n"])
def test_ids_that_look_like_an_expression_are_ids(one):
    means = Filter(where_of([chosen("web", one), chosen("web", "b")]), place="where")
    assert means.passes(value("web", one))
    assert not means.passes(value("web", "c"))


@pytest.mark.parametrize("said", ["", "x", "{}", '["a"]', "[1, 2]", '["a", "b", "c"]'])
def test_what_the_page_never_said_is_refused(said):
    with pytest.raises(ConfigError):
        where_of([said])


def record(body: bytes) -> Record:
    headers = (("messageId", b"m-1"), ("source", b"web"), ("type", b"track"))
    return Record("dead.crm", 0, 1, b"k", body, headers, 1_800_000_000_000)


def test_a_letter_says_what_was_answered_or_which_error_there_was():
    answered = letter_of(record(b'{"reason": "rejected", "response": {"status": 422}}'))
    assert answered is not None
    assert (answered.reason, answered.status) == ("rejected", "422")
    error = letter_of(record(b'{"reason": "max_age", "detail": "timeout: 5 s"}'))
    assert error is not None
    assert error.status == "timeout"
    assert error.event_name == "track"


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"1"])
def test_a_record_of_another_make_is_no_letter(body):
    assert letter_of(record(body)) is None


@pytest.mark.parametrize(
    "body", [b"{}", b'{"event": 1, "response": 2, "detail": 3, "reason": null}']
)
def test_a_strange_letter_is_shown_all_the_same(body):
    letter = letter_of(record(body))
    assert letter is not None
    assert isinstance(letter.status, str)
    assert isinstance(letter.event_name, str)
