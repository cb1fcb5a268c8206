"""Where keys stand: every form that TOML has for them, and any text in between."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.places import lines_of

TEXT = '''\
# a comment with [brackets] and = signs
top = 1

[server]  # a comment
listen = "a # no comment"
"quoted key" = 'x'
dotted.inner.most = 2
many = [
  "first",   # one
  "second ]",

  { name = "third", deep = [1, 2] },
]
long = """
[not.a.table]
key = "no key" \\
"""""
raw = \'\'\'
["not"]\'\'\'
[sources.web]
write_keys = ["a", "b"]
settings = { url = "https://x", headers = { A = "1" } }
[[destinations.mixpanel.actions]]
types = ["identify"]
[[destinations.mixpanel.actions]]
types = ["track"]
[destinations.mixpanel.actions.map]
field = "x"
'''
PLACES = {
    "top": 2,
    "server": 4,
    "server.listen": 5,
    "server.quoted key": 6,
    "server.dotted.inner.most": 7,
    "server.many": 8,
    "server.many[0]": 9,
    "server.many[1]": 10,
    "server.many[2]": 12,
    "server.many[2].name": 12,
    "server.many[2].deep[1]": 12,
    "server.long": 14,
    "server.raw": 18,
    "sources.web": 20,
    "sources.web.write_keys[1]": 21,
    "sources.web.settings.headers.A": 22,
    "destinations.mixpanel.actions[0].types[0]": 24,
    "destinations.mixpanel.actions[1].types": 26,
    "destinations.mixpanel.actions[1].map.field": 28,
}


def test_every_form_of_a_key_has_its_line() -> None:
    assert tomllib.loads(TEXT)
    lines = lines_of(TEXT)
    assert {place: lines.get(place) for place in PLACES} == PLACES
    assert "key" not in str(lines.keys() - PLACES.keys()).replace("write_keys", "")


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", "a = 1", "\ufeff[a]"])
def test_a_small_text_is_no_trouble(text: str) -> None:
    assert isinstance(lines_of(text), dict)


def test_where_the_scan_gets_lost_the_lines_before_are_known() -> None:
    assert lines_of("a = 1\n[b\nc = 2") == {"a": 1, "b": 2}
    assert lines_of("a = " + "[" * 5_000)["a"] == 1


SCALARS = st.sampled_from(
    [
        "1",
        "true",
        "1979-05-27T07:32:00Z",
        '"a # [b] = {c}"',
        '"\\" ]"',
        "'lit # ]'",
        '"""\n[t]\nk = 1\n"""',
        "'''\n# x\n]'''",
    ]
)
ONE_LINE = SCALARS.filter(lambda value: "\n" not in value)


def listed(items: list[str]) -> str:
    """An array over several lines, with a comment that looks like its end."""
    return "[\n" + " ,# c]\n".join(items) + "\n]"


def inlined(values: list[str]) -> str:
    """An inline table."""
    return "{" + ", ".join(f"i{n} = {v}" for n, v in enumerate(values)) + "}"


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(listed),
        st.lists(ONE_LINE, max_size=3).map(inlined),
    ),
    max_leaves=5,
)


def places(value: Any, place: str) -> Iterator[str]:
    """The place of every key of a parsed text."""
    yield place
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, f"{place}[{number}]")


@given(st.lists(st.lists(VALUES, max_size=3), max_size=4), st.integers(0, 2))
def test_any_table_s_keys_are_found_in_their_lines(
    tables: list[list[str]], gap: int
) -> None:
    text, wanted = "", {}
    for number, values in enumerate(tables):
        text += "\n" * gap + f"[t.n{number}]\n"
        for key, value in enumerate(values):
            wanted[f"t.n{number}.k{key}"] = text.count("\n") + 1
            text += f"k{key} = {value}  # c\n"
    lines = lines_of(text)
    assert {place: lines.get(place) for place in wanted} == wanted
    assert set(places(tomllib.loads(text), "")) - {""} <= set(lines)
