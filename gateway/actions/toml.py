"""JSON values as TOML: what is pasted into a configuration.

TOML has no null: a key that has none is left out, elsewhere it is an empty text, which
removes a field of a mapping.
"""

import json
import re
from collections.abc import Mapping

from gateway.event import Json

BARE = re.compile(r"[A-Za-z0-9_-]+")


def key(name: str) -> str:
    """A key, quoted where it has to be."""
    return name if BARE.fullmatch(name) else text(name)


def text(value: str) -> str:
    """A basic string on one line; or a literal one, where quotes would be escaped."""
    if '"' in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    whole = value.encode("utf-8", "replace").decode("utf-8")  # half a pair is no text
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")


def value(given: Json) -> str:
    """A value on one line."""
    if given is None:
        return '""'
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, (int, float)):
        return repr(given)
    if isinstance(given, str):
        return text(given)
    if isinstance(given, Mapping):
        given = {name: each for name, each in given.items() if each is not None}
        pairs = ", ".join(
            f"{key(name)} = {value(each)}" for name, each in given.items()
        )
        return f"{{ {pairs} }}" if pairs else "{}"
    items = [value(each) for each in given]
    return f"[{', '.join(items)}]"


def comment(said: str) -> str:
    """A line that says something, whatever stands in it."""
    words = " ".join(said.split())
    return f"# {''.join(each if each.isprintable() else '?' for each in words)}"
