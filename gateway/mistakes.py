"""What is wrong with a configuration: all of it, each with its line, no secret shown.

Whoever reads a part of it raises a ConfigError that begins with the key's place;
``Mistakes`` collects these, so that the reading goes on after one.
"""

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from gateway.errors import ConfigError

PLACE = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+|\[\d+\])*")
SECRET = re.compile(r"(?:^|_)(?:keys?|password|secret|site_id|token)$")
OUTSIDE_MIN = 6  # characters: a shorter value from outside may be a word of the text
SHOWN_MAX = 100


@dataclass(slots=True)
class Text:
    """The text that a configuration came from: what is needed to speak of it."""

    name: str = "built-in default"
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Place -> line."""
    _filled: dict[str, set[str]] = field(default_factory=dict, repr=False)
    """Place -> what the environment gave there."""
    _given: dict[str, str] = field(default_factory=dict, repr=False)
    """What the environment gave -> the ``${NAME}`` that stands there."""

    def fill(self, place: str, name: str, value: str) -> None:
        """The environment gave this value: no error shows it, but its name."""
        self._filled.setdefault(place, set()).add(value)
        self._given[value] = name

    def is_filled(self, place: str) -> bool:
        """Whether the environment gave the value, or one of the list it is in."""
        return re.sub(r"\[\d+\]$", "", place) in self._filled

    def given_within(self, place: str) -> frozenset[str]:
        """What the environment gave at this place and within."""
        values = (each for at, each in self._filled.items() if _within(at, place))
        return frozenset().union(*values)

    def without_given(self, text: str) -> str:
        """A mistake's text, with names for what the environment gave."""
        place, colon, rest = text.partition(":")
        for value, name in self._given.items():
            if len(value) >= OUTSIDE_MIN:
                rest = rest.replace(value, name)
        return place + colon + rest

    def line_of(self, place: str) -> int | None:
        """The line of a place, or of the nearest table around it."""
        while place and place not in self.lines:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return self.lines.get(place)


class Unfit(ConfigError):  # noqa: N818 -- it says what a value is
    """A value that its key does not take. The text shows it unless it may be secret."""

    def __init__(self, place: str, value: Any, why: str) -> None:
        secret = is_secret(place)
        super().__init__(f"{place}: {_kind(value) if secret else shown(value)} {why}")
        self.hidden = f"{place}: {_kind(value)} {why}"


def is_secret(place: str) -> bool:
    """Whether a key of this name holds what nobody but its owner may see."""
    name = re.sub(r"\[\d+\]$", "", place).rpartition(".")[2]
    return SECRET.search(name) is not None


def shown(value: Any) -> str:
    """A value in an error: as it is if it is small, else only what kind it is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)) and len(repr(value)) <= SHOWN_MAX:
        return repr(value)
    return _kind(value)


def _kind(value: Any) -> str:
    kinds: Mapping[type, str] = {
        str: "a text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
    }
    return kinds.get(type(value), "a time")


def unknown(place: str, name: str, known: Collection[str]) -> str:
    """The text for a name that nobody knows; what may have been meant comes last."""
    where = f"{place}.{name}" if place else name
    return f"{where}: unknown key; known are: {', '.join(known)}{meant(name, known)}"


def meant(name: str, known: Collection[str]) -> str:
    """``; did you mean X?`` when something known is near, else nothing."""
    near = get_close_matches(str(name), [str(each) for each in known], n=1)
    return f"; did you mean {near[0]}?" if near else ""


class Mistakes:
    """Collects what is wrong, in any order; raises it in the order of the text."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self._found: dict[str, str] = {}
        """Text of the mistake -> its place."""
        self._doubts: dict[str, str] = {}

    @contextlib.contextmanager
    def catching(self, *, secret: bool = False) -> Iterator[None]:
        """Note the ConfigError of one part and go on; ``secret`` hides its value."""
        try:
            yield
        except ConfigError as error:
            self.add(error, secret=secret)

    def add(self, error: ConfigError, *, secret: bool = False) -> None:
        """Note it, unless something at its place, or within, is known to be wrong."""
        texts = error.args
        if isinstance(error, Unfit) and (
            secret or self.text.is_filled(_place(texts[0]))
        ):
            texts = (error.hidden,)
        known = list(self._found.values())
        for text in texts:
            place = _place(text)
            if not (place and any(_within(each, place) for each in known)):
                self._found[self.text.without_given(text)] = place

    @property
    def texts(self) -> tuple[str, ...]:
        """All that was noted, without lines, in the order in which it was found."""
        return tuple(self._found)

    def doubt(self, text: str) -> None:
        """Note what works, but hardly as it was meant; it begins with its place."""
        self._doubts[text] = _place(text)

    @property
    def doubts(self) -> tuple[str, ...]:
        """What was doubted, as ``raise_any`` would tell it."""
        return tuple(self._told(self._doubts))

    def raise_any(self) -> None:
        """Raise one ConfigError with every mistake, if there is any."""
        if texts := self._told(self._found):
            raise ConfigError(*texts)

    def _told(self, found: Mapping[str, str]) -> list[str]:
        """Each with its file and line, in the order of the text."""
        lines = [(self.text.line_of(place) or 0, text) for text, place in found.items()]
        name = self.text.name
        return [
            f"{name}:{line}: {text}" if line else f"{name}: {text}"
            for line, text in sorted(lines, key=lambda each: each[0])
        ]


def _place(text: str) -> str:
    match = PLACE.match(text)
    return match[0] if match else ""


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith((f"{outer}.", f"{outer}["))
