"""Where each key of a TOML text stands: its line, which the parser does not tell.

What comes in: a text that ``tomllib`` accepts. What goes out: the line of every key by
its place, ``destinations.crm.settings.url`` or ``sources.web.write_keys[1]``: tables,
dotted keys, arrays of tables, inline tables and items of arrays.
"""

import contextlib
import re
from bisect import bisect_right

BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
SPACE = re.compile(r"[ \t]*")
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
LITERAL = re.compile(r"'[^'\n]*'")
LONG_BASIC = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL)
LONG_LITERAL = re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL)
OTHER = re.compile(r"[^,\]}\n#]+")


class _Lost(Exception):  # noqa: N818 -- nobody sees it: what was found is the answer
    """The text is not what the scan expects."""


def lines_of(text: str) -> dict[str, int]:
    """Place -> line, from 1. Where the scan gets lost, the rest is missing."""
    scan = _Scan(text)
    with contextlib.suppress(_Lost, RecursionError):
        scan.run()
    return scan.lines


class _Scan:
    """One walk over the text, a key and its value at a time."""

    def __init__(self, text: str) -> None:
        self.lines: dict[str, int] = {}
        self._text, self._at = text, 0
        self._breaks = [each.start() for each in re.finditer("\n", text)]
        self._arrays: dict[str, int] = {}
        """Array of tables -> its newest item."""

    def run(self) -> None:
        """Every line of the text."""
        table = ""
        self._take(BLANK)
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._take(BLANK)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _Lost
        self._at = match.end()
        return match[0]

    def _skip(self, mark: str) -> None:
        if not self._text.startswith(mark, self._at):
            raise _Lost
        self._at += len(mark)

    def _note(self, place: str) -> None:
        line = bisect_right(self._breaks, self._at - 1) + 1
        self.lines.setdefault(place, line)

    def _header(self) -> str:
        """``[a.b]`` or ``[[a.b]]``; the place of what follows it."""
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._skip("[" * brackets)
        names, place = self._key(), ""
        for number, name in enumerate(names, start=1):
            place = f"{place}.{name}" if place else name
            self._note(place)
            if number == len(names) and brackets == 2:  # noqa: PLR2004 -- [[a.b]]
                self._arrays[place] = self._arrays.get(place, -1) + 1
            if place in self._arrays:
                place = f"{place}[{self._arrays[place]}]"
                self._note(place)
        self._skip("]" * brackets)
        return place

    def _key(self) -> list[str]:
        """A key, dotted or not, in its parts."""
        names = []
        while True:
            self._take(SPACE)
            quote = self._text[self._at : self._at + 1]
            if quote in ('"', "'"):
                names.append(self._take(BASIC if quote == '"' else LITERAL)[1:-1])
            else:
                names.append(self._take(BARE_KEY))
            self._take(SPACE)
            if not self._text.startswith(".", self._at):
                return names
            self._skip(".")

    def _pair(self, table: str) -> None:
        """``key = value`` of a table."""
        start, place = self._at, table
        names = self._key()
        after, self._at = self._at, start
        for name in names:
            place = f"{place}.{name}" if place else name
            self._note(place)
        self._at = after
        self._skip("=")
        self._take(SPACE)
        self._value(place)

    def _value(self, place: str) -> None:
        rest = self._text[self._at : self._at + 3]
        if rest == '"""':
            self._take(LONG_BASIC)
        elif rest == "'''":
            self._take(LONG_LITERAL)
        elif rest[:1] == '"':
            self._take(BASIC)
        elif rest[:1] == "'":
            self._take(LITERAL)
        elif rest[:1] == "[":
            self._list(place)
        elif rest[:1] == "{":
            self._inline(place)
        else:
            self._take(OTHER)

    def _list(self, place: str) -> None:
        self._skip("[")
        number = 0
        self._take(BLANK)
        while not self._text.startswith("]", self._at):
            self._note(f"{place}[{number}]")
            self._value(f"{place}[{number}]")
            number += 1
            self._comma("]")
        self._skip("]")

    def _inline(self, place: str) -> None:
        self._skip("{")
        self._take(BLANK)
        while not self._text.startswith("}", self._at):
            self._pair(place)
            self._comma("}")
        self._skip("}")

    def _comma(self, end: str) -> None:
        self._take(BLANK)
        if not self._text.startswith(end, self._at):
            self._skip(",")
            self._take(BLANK)
