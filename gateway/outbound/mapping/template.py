"""The text of ``@template``: taken apart once, then filled from each event.

What an event puts into it is never read as a template itself.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from gateway.outbound.mapping.coerce import text_of
from gateway.outbound.mapping.path import Run, keys_of, reader

TRIPLE = re.compile(r"\{\{\{([^}]+)\}\}\}")
DOUBLE = re.compile(r"\{\{([^}]+)\}\}")
SPACE = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What JavaScript trims; Python would trim a little more, and less."""


def named(template: str) -> list[str]:
    """The paths that stand in its braces."""
    return [each for is_path, each in _pieces(template) if is_path]


@lru_cache(maxsize=1024)  # a template may itself come from an event
def filled(template: str) -> Run:
    """What fills a template's braces."""
    pieces = list(_pieces(template))
    if not pieces:
        return lambda _: ""
    runs = [_path(each) if is_path else _text(each) for is_path, each in pieces]
    if len(runs) == 1:
        return runs[0]
    return lambda event: "".join([run(event) for run in runs])


def _path(path: str) -> Run:
    read = reader(keys_of(path))
    return lambda event: text_of(read(event))


def _text(text: str) -> Run:
    return lambda _: text


def _pieces(template: str) -> Iterator[tuple[bool, str]]:
    """Texts and paths in turn; three braces go before two."""
    for tripled, text in _split(TRIPLE, template):
        if tripled:
            yield True, text
        else:
            yield from _split(DOUBLE, text)


def _split(braces: re.Pattern[str], text: str) -> Iterator[tuple[bool, str]]:
    for number, piece in enumerate(braces.split(text)):
        if number % 2:
            yield True, piece.strip(SPACE)
        elif piece:
            yield False, piece
