"""What events are called and made of, without what they say."""

import orjson
import pytest

from gateway.console.catalogue import FIELDS_MAX, NAMES_MAX, catalogue_of, masked
from gateway.log.contract import Record


def record(number: int, **event: object) -> Record:
    body = {"source": "web", "messageId": f"m{number}", **event}
    return Record("events", 0, number, b"", orjson.dumps(body), (), 1_000 + number)


def test_names_are_counted_with_the_types_of_their_fields():
    records = [
        record(1, type="track", event="Paid", properties={"total": 5}),
        record(2, type="track", event="Paid", properties={"total": "5", "new": True}),
        record(3, type="identify", traits={"email": "a@b.c"}),
    ]
    paid, identify = catalogue_of(records)
    assert (paid.name, paid.count, paid.first_ms, paid.last_ms) == (
        "Paid",
        2,
        1001,
        1002,
    )
    assert paid.fields["properties.total"].count == 2
    assert len(paid.fields["properties.total"].types) == 2
    assert paid.fields["properties.new"].count == 1
    assert identify.fields["traits.email"].example == "x@x.x"


def test_senders_cannot_make_it_long():
    many = {f"field{n}": n for n in range(FIELDS_MAX * 2)}
    records = [
        record(n, type="track", event=f"Event {n}") for n in range(NAMES_MAX * 2)
    ]
    records.append(record(0, type="track", event="Event 0", properties=many))
    found = catalogue_of(records)
    assert len(found) == NAMES_MAX
    assert max(len(each.fields) for each in found) == FIELDS_MAX


@pytest.mark.parametrize("value", [b"", b"[]", b'{"properties": 1}', b'{"event": {}}'])
def test_strange_records_break_nothing(value):
    catalogue_of([Record("events", 0, 1, b"", value, (), 1)])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("cool.person@example.com", "xxxx.xxxxxx@xxxxxxx.xxx"),
        ("Ünï-42", "xxx-99"),
        (42.5, "99.9"),
        (True, "true"),
        (None, "null"),
        ({"a": 1}, "{…}"),
        ([1], "[…]"),
        ("x" * 100, "x" * 28 + "…"),
    ],
)
def test_an_example_keeps_its_form_alone(value, shown):
    assert masked(value) == shown
