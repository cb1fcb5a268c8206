"""Reserved traits: their names, both spellings, and what is read into one form.

The one table of P081-P083 and P100-P106. Inbound brings traits to the canonical
form; destinations ask for a spelling. Custom traits are never touched (P104).
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from gateway.event import Json

Spelling: TypeAlias = Literal["camelCase", "snake_case", "as_sent"]
Values: TypeAlias = dict[str, Json]
Remark: TypeAlias = Literal["both_spellings", "unreadable_trait"]

ISO = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII
)
LOOSE = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[T ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)? ?(Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
# Shorter ones are years and calendar dates (1990, 19900102), not seconds.
UNIX = re.compile(r"-?\d{9,15}(?:\.\d{1,9})?", re.ASCII)
SECONDS_FROM = 100_000_000  # numbers, too: nine digits
MILLISECONDS_FROM = 100_000_000_000  # as seconds this would be the year 5138
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rule(NamedTuple):
    """What becomes of a trait sent under one name; ``rival`` is the name that wins.

    ``read`` gives the value itself when there is nothing to change, and None when it
    cannot be read; it need not be asked about a value of a type in ``fine``.
    """

    name: str
    read: Callable[[Json], Json] | None = None
    fine: frozenset[type] = frozenset()
    rival: str | None = None


class Canonical(NamedTuple):
    """``as_sent``: canonical path -> name and value before; ``remarks``: code, name."""

    traits: Values
    as_sent: dict[str, Json]
    remarks: list[tuple[Remark, str]]


def read_number(value: Json) -> Json:
    """A string of digits as its number (P081); the schema let only exact ones in."""
    if not isinstance(value, str):
        return value
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return None


def read_text(value: Json) -> Json:
    """A number as the string that people would write: 42, never 42.0 (P081)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return str(int(value))
    return str(value)


def read_date(value: Json) -> Json:
    """Any form of a date as ISO 8601 with a zone; None when it cannot be read (P086).

    What is ISO already stays as it is. Unix time is in seconds, from 1e11 on in
    milliseconds, and 0 or of nine digits at least: a year or 19900102 is no such time.
    Without a zone it is UTC, without a time it is midnight.
    """
    if isinstance(value, str):
        if ISO.fullmatch(value):
            return value if _exists(value) else None
        if UNIX.fullmatch(value):
            return _from_unix(float(value))
        return _from_loose(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_unix(value) if not 0 < abs(value) < SECONDS_FROM else None
    return None


def _exists(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _from_unix(number: float) -> str | None:
    unit = "milliseconds" if abs(number) >= MILLISECONDS_FROM else "seconds"
    try:
        at = EPOCH + timedelta(**{unit: number})
    except OverflowError:
        return None
    precision = "microseconds" if at.microsecond % 1000 else "milliseconds"
    return at.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _from_loose(text: str) -> str | None:
    match = LOOSE.fullmatch(text)
    if match is None:
        return None
    day, minute, second, fraction, zone = match.groups()
    zone = (zone or "Z").upper()
    if len(zone) == len("+0200"):
        zone = f"{zone[:3]}:{zone[3:]}"
    time = f"{minute or '00:00'}:{second or '00'}.{(fraction or '').ljust(3, '0')}"
    read = f"{day}T{time}{zone}"
    return read if _exists(read) else None


NUMBERS: frozenset[type] = frozenset({int, float, bool})
TEXTS: frozenset[type] = frozenset({str})
PERSON: Mapping[str, Rule] = {
    "age": Rule("age", read_number, NUMBERS),
    "birthday": Rule("birthday", read_date),
    "createdAt": Rule("createdAt", read_date),
    "created_at": Rule("createdAt", read_date, rival="createdAt"),
    "first_name": Rule("firstName", rival="firstName"),
    "last_name": Rule("lastName", rival="lastName"),
    "id": Rule("id", read_text, TEXTS),
    "phone": Rule("phone", read_text, TEXTS),
}
ADDRESS: Mapping[str, Rule] = {
    "postalCode": Rule("postalCode", read_text, TEXTS),
    "postal_code": Rule("postalCode", read_text, TEXTS, "postalCode"),
}
# The documents' table mixes both spellings (P105): here the canonical one is theirs.
COMPANY: Mapping[str, Rule] = {
    "employeeCount": Rule("employee_count", read_number, NUMBERS),
    "employee_count": Rule("employee_count", read_number, NUMBERS, "employeeCount"),
}
NESTED: Mapping[str, Mapping[str, Rule]] = {"address": ADDRESS, "company": COMPANY}
PLACES = tuple((name, rules, f"traits.{name}.") for name, rules in NESTED.items())

RENAMED: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "camelCase": {
        "": {},
        "address": {},
        "company": {"employee_count": "employeeCount"},
    },
    "snake_case": {
        "": {rule.name: sent for sent, rule in PERSON.items() if rule.name != sent},
        "address": {"postalCode": "postal_code"},
        "company": {},
    },
}


def canonical(traits: Values) -> Canonical:
    """Traits under their canonical names and types; the same object if they are.

    Both spellings in one call: camelCase wins (P103), and a remark says so.
    """
    as_sent: dict[str, Json] = {}
    remarks: list[tuple[Remark, str]] = []
    changed = _level(traits, PERSON, "traits.", as_sent, remarks)
    for name, rules, path in PLACES:
        inner = traits.get(name)
        if isinstance(inner, dict):
            read = _level(inner, rules, path, as_sent, remarks)
            if read is not inner:
                changed = {**changed, name: read}
    return Canonical(changed, as_sent, remarks)


def _level(
    values: Values,
    rules: Mapping[str, Rule],
    path: str,
    as_sent: dict[str, Json],
    remarks: list[tuple[Remark, str]],
) -> Values:
    changes: dict[str, tuple[str, Json] | None] = {}
    for sent in rules:
        if sent not in values:
            continue
        name, reader, fine, rival = rules[sent]
        value = values[sent]
        if rival is not None and rival in values:
            changes[sent] = None
            remarks.append(("both_spellings", path + name))
            continue
        read = value
        if reader is not None and value is not None and type(value) not in fine:
            read = reader(value)
            if read is None:
                remarks.append(("unreadable_trait", path + name))
                read = value
        if read is not value or sent != name:
            changes[sent] = name, read
            as_sent[path + name] = {"name": sent, "value": value}
    return _changed(values, changes) if changes else values


def _changed(values: Values, changes: Mapping[str, tuple[str, Json] | None]) -> Values:
    """A copy in the same order; a change of None leaves the trait out."""
    result: Values = {}
    for name, value in values.items():
        if name not in changes:
            result[name] = value
        elif (change := changes[name]) is not None:
            result[change[0]] = change[1]
    return result


def spell(body: Values, spelling: Spelling) -> Values:
    """The event's body with its reserved traits in a destination's spelling (P102).

    The same object when nothing changes, so that its bytes can be used again. Outside
    pipelines no name is reserved: there ``created_at`` and ``createdAt`` are two.
    """
    traits = body.get("traits")
    if body.get("type") not in ("identify", "group") or not isinstance(traits, dict):
        return body
    if "origin" in body and spelling != "as_sent":
        return body
    changed = traits
    for place in ("", *NESTED):
        values = changed.get(place) if place else changed
        if isinstance(values, dict) and (
            changes := _respelled(body, values, place, spelling)
        ):
            values = _changed(values, changes)
            changed = {**changed, place: values} if place else values
    return body if changed is traits else {**body, "traits": changed}


def surely_spelled(spelling: Spelling) -> Callable[[bytes], bool]:
    """Tells of an event's JSON whether ``spell`` would leave it, for certain.

    What it would rename is looked for anywhere; where a name is found, it may be.
    """
    if spelling == "as_sent":
        names = [b'"asSent"']
    else:
        places = RENAMED[spelling].values()
        names = [f'"{name}"'.encode() for renamed in places for name in renamed]

    def surely(value: bytes) -> bool:
        for name in names:  # noqa: SIM110 -- a generator takes twice as long
            if name in value:
                return False
        return True

    return surely


def _respelled(
    body: Values, values: Values, place: str, spelling: Spelling
) -> dict[str, tuple[str, Json] | None]:
    if spelling != "as_sent":
        names = RENAMED[spelling][place]
        return {n: (to, values[n]) for n, to in names.items() if n in values}
    path = f"traits.{place}." if place else "traits."
    before: Mapping[str, Mapping[str, Json]] = body.get("asSent") or {}
    return {
        name: (sent["name"], sent["value"])
        for name in values
        if (sent := before.get(path + name)) is not None
    }
