"""The pieces of a trigger: texts, numbers, fields, comparisons, marks."""

import re
from collections.abc import Iterator
from typing import NamedTuple

KEYWORDS = ("and", "or", "null")
ENDS = " \t\n,])"
"""What may follow a word, an `and` or a `!=`; the text's end may, too."""


SEGMENT = r"(?:[A-Za-z_]|\\.)(?:[A-Za-z0-9_-]|\\.)*"
TOKEN = re.compile(
    rf"""(?P<space>[ \t\n]+)
    | "(?P<text>[^"]*)"
    | (?P<number>[-+]?[0-9]+(?:\.[0-9]+)?|[-+]\.[0-9]+)
    | (?P<path>{SEGMENT}(?:\.{SEGMENT})*)
    | (?P<compare>!=|<=|>=|=|<|>)
    | (?P<mark>[!(),])""",
    re.VERBOSE | re.DOTALL,
)
NO_LIST = 'lists are not read: write (a = "x" or a = "y")'
NOT_FQL = {  # what begins what nobody reads -> what to write
    "'": 'a text stands in double quotes: "..."',
    '"': "the text has no closing double quote",
    "[": NO_LIST,
    "&": "write and",
    "|": "write or",
    "$": "a path begins with the field: traits.plan",
    "\\": "a backslash stands before the character that it escapes",
    "\r": "a line ends with a line feed alone",
}


class Token(NamedTuple):
    """A piece of the text; ``value`` is it without quotes, escapes taken back.

    A mark and a word of the language are kinds of their own.
    """

    kind: str
    text: str
    at: int
    value: str = ""

    @property
    def end(self) -> int:
        """Where the next may begin."""
        return self.at + len(self.text)


class Unread(Exception):  # noqa: N818 -- it says what the text is
    """A mistake in a trigger, and where."""

    def __init__(self, says: str, at: int) -> None:
        super().__init__(says)
        self.at = at


def tokens(text: str) -> Iterator[Token]:
    """All of them, and one of kind ``end``; Unread where there is none."""
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise Unread(_unreadable(text, at), at)
        kind, after = match.lastgroup, text[match.end() : match.end() + 1]
        if kind != "space":
            token = Token(kind, match[0], at, match[kind])
            yield _token(token, after)
        at = match.end()
    yield Token("end", "", at)


def _unreadable(text: str, at: int) -> str:
    known = NOT_FQL.get(text[at], "a backslash before it makes it part of a name")
    return f"{text[at]!r} cannot stand here: {known}"


def _token(token: Token, after: str) -> Token:
    """The token as its parser knows it; ``after`` is the character behind it."""
    ended = not after or after in ENDS
    if token.kind == "path":
        return _path(token, after, ended=ended)
    if token.kind == "number" and not ended:
        raise Unread(f"{token.text}{after} is no number", token.at)
    spaced = token.kind == "text" or token.text in {"!=", "<=", ">="}
    if spaced and not ended and after != "\r":
        raise Unread(f"a space is needed after {token.text}", token.end)
    if token.text == "!" and not after.isalpha():
        raise Unread("! stands only right before contains or match", token.at)
    return token._replace(kind=token.text) if token.kind == "mark" else token


def _path(token: Token, after: str, *, ended: bool) -> Token:
    if token.text in KEYWORDS:
        if after == "(":
            raise Unread(f"a space is needed after {token.text}", token.end)
        if ended:
            return token._replace(kind=token.text)
    if token.text == "AND" and ended:  # Segment drops it, and joins by `and`
        return token._replace(kind="and")
    if after == ".":
        says = "a name follows the point; a digit or a hyphen at its begin is escaped"
        raise Unread(f"{says}: {token.text}.\\1st", token.end)
    if not ended and after not in "(=!":
        if after in "<>\"'":
            raise Unread(f"a space is needed before {after}", token.end)
        raise Unread(_unreadable(after, 0), token.end)
    last = token.text.rpartition(".")[2]
    if ended and last in KEYWORDS:
        head = token.text.removesuffix(last)
        says = f"{last} is a word of the language: write {head}\\{last}"
        raise Unread(says, token.at)
    value = re.sub(r"\\(.)", r"\1", token.text, flags=re.DOTALL)
    return token._replace(value=value)
