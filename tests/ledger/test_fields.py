"""Which traits and properties each kind of event has, and how many were looked at."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from gateway.ledger import fields, names
from gateway.ledger.contract import Backend
from gateway.ledger.facts import digest
from gateway.ledger.fields import DAY_MS, EVERY_ONE, is_looked_at, masked
from gateway.ledger.keep import tidy
from gateway.ledger.names import OTHERS, Kind
from gateway.log.contract import Record
from tests.ledger.conftest import Desk
from tests.ledger.records import AT_MS, Made

ORDER = Kind("web", "track", "Order")
IDENTIFY = Kind("web", "identify", "")


def order(made: Made, number: int, at: int = 0, **properties: Any) -> Record:
    return made.event(
        f"m{number}", at=AT_MS + at, kind="track", event="Order", properties=properties
    )


def found(desk: Desk, kind: Kind = ORDER) -> fields.Looked:
    return desk.ask.fields(AT_MS, AT_MS + 30 * DAY_MS).kinds[kind]


def test_a_field_has_its_volume_times_types_and_a_form(desk: Desk, made: Made) -> None:
    desk.take(
        order(made, 1, total=5, id="A-17"),
        order(made, 2, 1_000, total=5.5),
        order(made, 3, 2_000, total=6, id="B-18"),
        made.event("i", traits={"plan": "pro", "email": "ada@example.com"}),
    )
    looked = found(desk)
    assert looked.events == 3
    total = looked.fields["properties.total"]
    assert (total.events, total.first, total.last) == (3, AT_MS, AT_MS + 2_000)
    assert list(total.types.items()) == [("integer", 2), ("number", 1)]
    assert total.example == "9"
    number = looked.fields["properties.id"]
    assert (number.events, number.types, number.example) == (2, {"string": 2}, "x-99")
    assert list(found(desk, IDENTIFY).fields) == ["traits.email", "traits.plan"]


def test_every_type_of_json_is_told_apart(desk: Desk, made: Made) -> None:
    values: dict[str, Any] = {
        "s": "",
        "i": 1,
        "n": 1.0,
        "b": True,
        "z": None,
        "o": {"a": 1},
        "l": [1],
    }
    desk.take(order(made, 1, **values))
    told = {path[-1]: [*each.types] for path, each in found(desk).fields.items()}
    assert told == {
        "s": ["string"],
        "i": ["integer"],
        "n": ["number"],
        "b": ["boolean"],
        "z": ["null"],
        "o": ["object"],
        "l": ["array"],
    }


def test_of_many_some_are_looked_at_and_it_says_how_many(
    desk: Desk, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "EVERY_ONE", 100)
    for first in range(0, 2_000, 250):
        desk.take(*(order(made, n, total=n) for n in range(first, first + 250)))
    expected = 100 + sum(not digest(b"m%d" % n) & 15 for n in range(100, 2_000))
    looked = found(desk)
    assert looked.events == looked.fields["properties.total"].events == expected
    assert 150 < expected < 300  # about one in 16 of 1,900, and 100
    (sent,) = desk.ask.catalogue(AT_MS, AT_MS + DAY_MS)
    assert sent.events == 2_000


def test_what_goes_on_being_sent_is_met_however_much_else_is(
    desk: Desk, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trait that begins when most events are passed over, in one of twenty."""
    monkeypatch.setattr(fields, "EVERY_ONE", 10)
    desk.take(*(order(made, n, total=1) for n in range(1_000)))
    late = ({"total": 1} | ({} if n % 20 else {"new": 1}) for n in range(1_000, 3_000))
    desk.take(*(order(made, 1_000 + n, **each) for n, each in enumerate(late)))
    assert "properties.new" in found(desk).fields


def test_each_day_begins_with_all_of_them(desk: Desk, made: Made) -> None:
    later = DAY_MS + 5
    desk.take(*(order(made, n, total=1) for n in range(EVERY_ONE)))
    desk.take(*(order(made, n, later, total=1) for n in range(EVERY_ONE)))
    assert found(desk).events == 2 * EVERY_ONE
    first_day = desk.ask.fields(AT_MS, AT_MS + 1).kinds[ORDER]
    assert first_day.events == EVERY_ONE


def test_an_event_is_looked_at_by_its_number_and_its_digest_alone() -> None:
    assert is_looked_at(EVERY_ONE, 1)
    assert not is_looked_at(EVERY_ONE + 1, 1)
    assert is_looked_at(EVERY_ONE + 1, 32)


def test_following_in_other_groups_or_twice_gives_the_same(
    new: Callable[[], Backend], made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that is made anew is the one that it was, bounds and sample included."""
    monkeypatch.setattr(fields, "EVERY_ONE", 20)
    monkeypatch.setattr(fields, "FIELDS_MAX", 6)
    monkeypatch.setattr(fields, "SOURCE_MAX", 15)
    monkeypatch.setattr(names, "NAMES_MAX", 3)
    chance = random.Random(5)
    records = [
        made.event(
            f"m{number}",
            at=AT_MS + chance.randrange(3) * DAY_MS + number,
            kind="track",
            source=chance.choice(("web", "app")),
            event=f"Event {chance.randrange(5)}",
            properties={
                f"p{chance.randrange(9)}": chance.choice((1, 2.5, "x", None))
                for _ in range(4)
            },
        )
        for number in range(900)
    ]
    dumps = []
    for sizes in ((900,), (1, 50), (7, 300, 2)):
        desk = Desk(new())
        at, step = 0, 0
        while at < len(records):
            size = sizes[step % len(sizes)]
            group = records[max(0, at - 3) : at + size]  # the last ones come again
            desk.take(*group)
            if step % 5 == 2:
                desk.writer.forget()
            at, step = at + size, step + 1
        dumps.append(desk.dump())
        desk.store.end()
    assert dumps[0]["fields"]
    assert dumps[0]["looks"]
    assert dumps[1] == dumps[0]
    assert dumps[2] == dumps[0]


def test_a_group_that_fails_is_not_half_remembered(
    desk: Desk, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "EVERY_ONE", 3)
    desk.take(order(made, 1, a=1))
    records = [order(made, n, **{f"f{n}": 1}) for n in range(2, 6)]
    with monkeypatch.context() as broken:
        broken.setattr("gateway.ledger.write.PUT_PLACE", "no SQL")
        with pytest.raises(Exception, match="syntax"):
            desk.take(*records)
    desk.take(*records)
    looked = found(desk)
    assert looked.events == 3 + sum(not digest(b"m%d" % n) & 15 for n in (4, 5))
    assert {"properties.a", "properties.f2", "properties.f3"} <= looked.fields.keys()


def test_senders_cannot_make_it_large(
    desk: Desk, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "FIELDS_MAX", 3)
    monkeypatch.setattr(fields, "SOURCE_MAX", 5)
    desk.take(order(made, 1, **{f"f{n}": n for n in range(9)}))
    desk.take(order(made, 2, f1=1, f8=1))
    of_order = found(desk).fields
    rest = f"properties.{OTHERS}"
    assert {path: each.events for path, each in of_order.items()} == {
        rest: 7,
        "properties.f0": 1,
        "properties.f1": 2,
        "properties.f2": 1,
    }
    desk.take(made.event("i", traits={f"t{n}": n for n in range(9)}))
    of_person = found(desk, IDENTIFY).fields
    assert [*of_person] == [f"traits.{OTHERS}", "traits.t0", "traits.t1"]
    long = "x" * 300
    desk.take(made.event("o", at=AT_MS + DAY_MS, source="app", traits={long: 1}))
    assert [*found(desk, Kind("app", "identify", "")).fields] == [f"traits.{OTHERS}"]


def test_the_next_day_has_room_again(
    desk: Desk, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields, "FIELDS_MAX", 1)
    desk.take(order(made, 1, junk=1), order(made, 2, plan=1))
    desk.take(order(made, 3, DAY_MS, plan=1))
    assert "properties.plan" in found(desk).fields


def test_one_source_is_asked_for_alone(desk: Desk, made: Made) -> None:
    desk.take(order(made, 1, a=1), made.event("i", source="app", traits={"b": 1}))
    span = AT_MS, AT_MS + 1
    assert [*desk.ask.fields(*span, "app").kinds] == [Kind("app", "identify", "")]
    assert len(desk.ask.fields(*span).kinds) == 2


def test_an_answer_is_bounded_and_says_so(
    desk: Desk, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.take(order(made, 1, a=1, b=2, c=3))
    assert desk.ask.fields(AT_MS, AT_MS + 1).whole
    monkeypatch.setattr(fields, "ROWS_MAX", 2)
    told = desk.ask.fields(AT_MS, AT_MS + 1)
    assert (len(told.kinds[ORDER].fields), told.whole) == (2, False)


def test_days_that_are_too_old_go(desk: Desk, made: Made) -> None:
    desk.take(order(made, 1, old=1), order(made, 2, 3 * DAY_MS, new=1))
    desk.store.answer(lambda c: tidy(c, AT_MS + 4 * DAY_MS, 2 * DAY_MS, 10**9))
    looked = desk.ask.fields(0, AT_MS + 5 * DAY_MS).kinds[ORDER]
    assert (looked.events, [*looked.fields]) == (1, ["properties.new"])


@pytest.mark.parametrize("value", [b"", b"[]", b'{"properties": 1}', b'{"event": {}}'])
def test_strange_records_break_nothing(value: bytes) -> None:
    assert [*fields.fields_of("track", value)] == []


def test_traits_from_outside_pipelines_have_the_names_a_plan_judges_by() -> None:
    value = b'{"type":"identify","traits":{"created_at":1760000000,"age":"34"}%s}'
    assert dict(fields.fields_of("identify", value % b',"origin":"track"')) == {
        "traits.createdAt": "2025-10-09T08:53:20.000Z",
        "traits.age": 34,
    }
    as_it_is = dict(fields.fields_of("identify", value % b""))
    assert as_it_is == {"traits.created_at": 1_760_000_000, "traits.age": "34"}


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
        ("x" * 28, "x" * 28),
        ("x" * 100, "x" * 28 + "…"),
    ],
)
def test_an_example_keeps_its_form_alone(value: object, shown: str) -> None:
    assert masked(value) == shown
