"""Whom no worker may send: what the topic says, record by record."""

from typing import Any

import orjson
import pytest

from gateway.event import Event, EventType
from gateway.log.contract import Record
from gateway.outbound.suppressed import Suppressed


def told(key: str, **value: Any) -> Record:
    """A record of the topic; without a value it lifts the block."""
    data = orjson.dumps({"at": "2026-01-01T00:00:00.000Z", **value}) if value else b""
    return Record("suppressed", 0, 0, key.encode(), data, (), 0)


def event(kind: EventType = "identify", **body: Any) -> Event:
    return Event("m", kind, "s", "k", "2026-01-01T00:00:00.000Z", body)


def says(suppressed: Suppressed, **body: Any) -> bool:
    return suppressed.is_suppressed(event(**body))


@pytest.mark.parametrize(
    "body",
    [
        {"userId": "u1"},
        {"userId": "cio_c1"},
        {"identifiers": {"id": "u1"}},
        {"identifiers": {"cio_id": "c1"}},
        {"userId": "Ann@x.y"},
        {"traits": {"email": "ann@X.y"}},
    ],
)
def test_a_person_is_blocked_by_every_name_and_free_again(body: dict[str, Any]) -> None:
    suppressed = Suppressed()
    assert not says(suppressed, **body)
    suppressed.take(told("id:u1", messageId="m", cioId="c1"))
    suppressed.take(told("email:ann@x.y", messageId="m", cioId="c1"))
    assert says(suppressed, **body)
    suppressed.take(told("id:u1"))
    suppressed.take(told("email:ann@x.y"))
    assert not says(suppressed, **body)


def test_an_alias_is_about_both_of_its_people() -> None:
    suppressed = Suppressed(["id:u1", "email:ann@x.y"])
    for before in ("u1", "Ann@X.y"):
        assert suppressed.is_suppressed(event("alias", userId="u2", previousId=before))
        assert not says(suppressed, userId="u2", previousId=before)  # a key of theirs
    assert not suppressed.is_suppressed(event("alias", userId="u2", previousId="a1"))


def test_a_cio_id_is_blocked_as_long_as_one_of_its_names_is() -> None:
    suppressed = Suppressed()
    for _ in range(2):  # told again: a crash repeats it
        suppressed.take(told("id:u1", messageId="m", cioId="c1"))
    suppressed.take(told("email:ann@x.y", messageId="m", cioId="c1"))
    suppressed.take(told("id:u1"))
    assert says(suppressed, identifiers={"cio_id": "c1"})
    assert not says(suppressed, userId="u1")
    suppressed.take(told("email:ann@x.y", messageId="n"))  # by another person's block
    assert not says(suppressed, identifiers={"cio_id": "c1"})
    assert says(suppressed, userId="ann@x.y")
