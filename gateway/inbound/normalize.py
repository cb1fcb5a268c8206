"""Checked -> Normalized: one spelling and one form of everything reserved.

P080-P106 and DESIGN 4.4. Pure and idempotent; the argument is not changed. What was
renamed or converted is remembered in ``asSent``.
"""

from gateway.email import is_email
from gateway.event import Checked, Json, Normalized
from gateway.notices import Notice
from gateway.traits import canonical, read_text

IDENTIFIERS = ("userId", "anonymousId", "groupId", "previousId")
NO_WORDS = "undefined", "null", "none", "nil", "nan", "[object object]"
NOBODY = frozenset(  # what programs write where they have no identifier
    {each for word in NO_WORDS for each in (word, word.upper(), word.capitalize())}
    | {"NaN", "[object Object]", "00000000-0000-0000-0000-000000000000", "0" * 32}
)
EMPTY_IS_ABSENT = frozenset({"userId", "anonymousId", "messageId"})
NULL_IS_ABSENT = EMPTY_IS_ABSENT.union(
    ["traits", "properties", "context", "integrations", "name", "category"],
    ["timestamp", "originalTimestamp", "sentAt"],
)
WHO = ("userId", "anonymousId")
WITH_TRAITS = frozenset({"identify", "group"})


def normalize(checked: Checked) -> tuple[Normalized, tuple[Notice, ...]]:
    """The message in canonical form, and what its sender might want to know."""
    body = _without_absent(checked)
    as_sent: dict[str, Json] = {}
    for name in IDENTIFIERS:
        value = body.get(name)
        if value is None or type(value) is str:
            continue
        text = read_text(value)
        if text is not value:  # where it identifies nobody, it may be anything
            body[name] = text
            as_sent[name] = {"name": name, "value": value}
    notices: tuple[Notice, ...] = ()
    if body.get("userId") in NOBODY or body.get("anonymousId") in NOBODY:
        named = [name for name in WHO if body.get(name) in NOBODY]
        notices = tuple(Notice("suspicious_identifier", name) for name in named)
    if body["type"] in WITH_TRAITS and "traits" in body:
        body["traits"], renamed, remarks = canonical(body["traits"])
        as_sent |= renamed
        if remarks:
            notices += tuple(Notice(code, name) for code, name in remarks)
    if body["type"] == "identify":
        _complete(body)
    if as_sent:
        body["asSent"] = {**body.get("asSent", {}), **as_sent}
    return Normalized(body), notices


def _without_absent(checked: Checked) -> dict[str, Json]:
    """A copy without the nulls and empty ids that mean the same as nothing."""
    values = checked.values()
    if None not in values and "" not in values:
        return dict(checked)
    return {
        name: value
        for name, value in checked.items()
        if not (value is None and name in NULL_IS_ABSENT)
        and not (value == "" and name in EMPTY_IS_ABSENT)
    }


def _is_text(value: Json) -> bool:
    """Whether it is the text of a name: with ``invalid_traits`` it may be anything."""
    return isinstance(value, str) and bool(value.strip())


def _complete(body: dict[str, Json]) -> None:
    """What follows from the rest: a full name (P087-P089), an email (P064).

    A name of null is none; an empty one was given, and is kept (P088).
    """
    traits = body.get("traits", {})
    filled: dict[str, Json] = {}
    if traits.get("name") is None:
        first, last = traits.get("firstName"), traits.get("lastName")
        if _is_text(first) and _is_text(last):
            filled["name"] = f"{first} {last}"
    user_id = body.get("userId", "")
    if "@" in user_id and not traits.get("email") and is_email(user_id):
        filled["email"] = user_id
    if filled:
        body["traits"] = {**traits, **filled}
