"""A form as JSON: a Track API client may send ``email=a%40b&data[price]=3``. Pure.

Every value is a text, as it is in a form; names in brackets are objects, ``[]`` is a
list, and a name that comes again replaces what it had before.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from gateway.errors import MessageError
from gateway.event import Json

FORM = re.compile(rb"[A-Za-z_$%][^\s={}\"]{0,1000}=")  # no JSON begins like this
PART = re.compile(r"\[([^\[\]]*)\]")
NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
FLAGS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}
FLAGGED = ("_update", "unsubscribe")


def is_form(body: bytes) -> bool:
    """Whether a body is a form; its Content-Type need not say so."""
    return FORM.match(body) is not None


def read(body: bytes, nesting: int) -> dict[str, Json]:
    """Its fields; MessageError for what is no UTF-8 or nested too deep."""
    fields: dict[str, Json] = {}
    try:
        for pair in body.split(b"&"):
            name, _, value = (_text(part) for part in pair.partition(b"="))
            if name:
                _put(fields, _way(name, nesting), value)
    except UnicodeDecodeError:
        raise MessageError("invalid_message", "the form is not UTF-8") from None
    for name in FLAGGED:
        if name in fields:
            fields[name] = FLAGS.get(str(fields[name]).lower(), fields[name])
    return fields


def _text(part: bytes) -> str:
    return unquote_to_bytes(part.replace(b"+", b" ")).decode()


def _way(name: str, nesting: int) -> list[str]:
    """``data[price]`` as its two names; what is not of that form is one name."""
    found = NAME.fullmatch(name)
    if found is None:
        return [name]
    way = [found[1], *PART.findall(found[2])]
    if len(way) > nesting:
        text = f"a field of the form is nested deeper than {nesting}"
        raise MessageError("too_large", text)
    return way


def _put(fields: dict[str, Json], way: list[str], value: str) -> None:
    """Each level an object, or a list where the next name is empty."""
    place: Json = fields
    for name, following in zip(way, [*way[1:], None], strict=True):
        new: Json = value if following is None else [] if following == "" else {}
        if isinstance(place, list):
            place.append(new)
            place = new
        else:
            kept = place.get(name)
            if following is None or type(kept) is not type(new):
                place[name] = kept = new
            place = kept
