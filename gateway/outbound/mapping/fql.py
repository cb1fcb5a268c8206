"""The grammar of triggers: FQL, as strict as it must be to mean one thing only.

What Segment's own evaluator would drop, misread or never match is a ConfigError here
that names the remedy: `and` beside `or` without parentheses, 'single quotes',
conditions on what it does not know, a trailing `and`.
"""

import re
from typing import Literal, NamedTuple, NoReturn, TypeAlias

from gateway.errors import ConfigError
from gateway.event import EVENT_TYPES
from gateway.mistakes import meant
from gateway.outbound.mapping.lexer import KEYWORDS, NO_LIST, Token, Unread, tokens

Word = Literal["and", "or"]
Operator = Literal[
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "exists",
    "absent",
    "contains",
    "lacks",
    "starts",
    "starts_not",
    "ends",
    "ends_not",
]
TEXTS = ("type", "event", "name", "userId")
OBJECTS = ("properties", "traits", "context")
FUNCTIONS = ("contains", "match")
SUBJECTS = "type, event, name, userId, properties.x, traits.x, context.x"


class Condition(NamedTuple):
    """One question to an event; ``text`` is how it was written."""

    text: str
    subject: str
    keys: tuple[str, ...]
    operator: Operator
    value: str | float | bool | None = None


class Group(NamedTuple):
    """Conditions of which all must hold, or any."""

    text: str
    word: Word
    parts: "tuple[Condition | Group, ...]"


Tree: TypeAlias = Condition | Group


def tree(text: str, *, place: str) -> Tree:
    """The conditions of a trigger; ConfigError names ``place`` and the column."""
    try:
        return _Reader(text, list(tokens(text))).whole()
    except Unread as error:
        raise ConfigError(f"{place}: {error} (column {error.at + 1})") from None


class _Reader:
    """Reads the tokens from the left; one look ahead is enough."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._next = 0

    def whole(self) -> Tree:
        if self._peek.kind == "end":
            says = "an empty trigger; leave it out if every event is meant"
            raise Unread(says, 0)
        found = self._group(inner=False)
        self._take("end")
        return found

    @property
    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self, kind: str) -> Token:
        """The next token, which is of this kind."""
        token = self._peek
        if token.kind != kind:
            self._unexpected(token, kind)
        self._next += 1
        return token

    def _unexpected(self, token: Token, wanted: str) -> NoReturn:
        found = token.text or "the end"
        if wanted == "end" and token.kind == ")":
            raise Unread("a closing parenthesis too many", token.at)
        if wanted == "end" and token.text.lower() == "or":
            raise Unread("write or, in lower case", token.at)
        if wanted == "compare" and token.text == "(":
            before = self._tokens[self._next - 1]
            says = f"unknown function {before.text}(); known are: contains, match"
            raise Unread(says + meant(before.text, FUNCTIONS), before.at)
        if wanted == "compare" and token.text in {"in", "IN"}:
            raise Unread(f"{token.text} is not read: {NO_LIST}", token.at)
        names = {"compare": "one of = != < <= > >=", "text": 'a text in "quotes"'}
        names |= {"path": "a field", "end": "`and` or `or`"}
        what = names.get(wanted, wanted)
        raise Unread(f"{found} stands where {what} is needed", token.at)

    def _group(self, *, inner: bool) -> Tree:
        """Parts joined by one word; ``inner`` is within parentheses."""
        start = self._peek.at
        parts, words = [self._part(inner=inner)], []
        while self._peek.kind in {"and", "or"}:
            words.append(self._take(self._peek.kind))
            if self._peek.kind in {"end", ")"}:
                raise Unread(f"nothing follows `{words[-1].text}`", words[-1].at)
            parts.append(self._part(inner=inner))
            if words[-1].kind != words[0].kind:
                says = "`and` beside `or` needs parentheses: a and (b or c)"
                raise Unread(says, words[-1].at)
        if not words:
            return parts[0]
        word: Word = "and" if words[0].kind == "and" else "or"
        return Group(self._since(start), word, tuple(parts))

    def _part(self, *, inner: bool) -> Tree:
        token = self._peek
        if token.kind == "(":
            return self._parentheses(inner=inner)
        if token.kind in {"and", "or"}:
            raise Unread(f"nothing stands before `{token.text}`", token.at)
        if token.kind == "!":
            self._take("!")
            return self._function(token.at, negated=True)
        if token.text in FUNCTIONS:
            return self._function(token.at, negated=False)
        return self._comparison()

    def _parentheses(self, *, inner: bool) -> Tree:
        opened = self._take("(")
        if inner:
            says = "parentheses within parentheses are not read: one level is"
            raise Unread(says, opened.at)
        if self._peek.kind == ")":
            raise Unread("nothing stands in the parentheses", opened.at)
        found = self._group(inner=True)
        if self._peek.kind != ")":
            if self._peek.kind == "end":
                raise Unread("this parenthesis is not closed", opened.at)
            self._unexpected(self._peek, "end")
        self._take(")")
        return found._replace(text=self._since(opened.at))

    def _since(self, start: int) -> str:
        """What was written from there to the last token that was taken."""
        return self._text[start : self._tokens[self._next - 1].end]

    def _function(self, start: int, *, negated: bool) -> Condition:
        name = self._take("path")
        if name.text not in FUNCTIONS:
            raise Unread("! stands only right before contains or match", start)
        self._take("(")
        subject, keys = _subject(self._take("path"))
        if subject == "type":
            raise Unread(f"{name.text}() is not asked of type: compare it", name.at)
        self._take(",")
        value = self._take("text")
        self._take(")")
        operator, wanted = _asked(name.text, value, negated=negated)
        return Condition(self._since(start), subject, keys, operator, wanted)

    def _comparison(self) -> Condition:
        field = self._take("path")
        if self._peek.kind == "(":
            self._unexpected(self._peek, "compare")
        subject, keys = _subject(field)
        compare = self._take("compare")
        token = self._peek
        if token.kind not in {"text", "number", "path", "null"}:
            twice = compare.text == "=" and token.text == "="
            wanted = "a single =" if twice else "a value"
            self._unexpected(token, wanted)
        self._next += 1
        operator, value = _compared(subject, compare, token)
        return Condition(self._since(field.at), subject, keys, operator, value)


def _subject(token: Token) -> tuple[str, tuple[str, ...]]:
    """The field that is asked, and the keys within it."""
    root, _, rest = token.value.partition(".")
    if root in TEXTS:
        if rest:
            raise Unread(f"{root} is a text: nothing is within it", token.at)
        return root, ()
    if root in OBJECTS:
        keys = tuple(re.findall(r"[^\[.\]]+", rest))
        if not keys:
            raise Unread(f"name what is asked of {root}: {root}.x", token.at)
        return root, keys
    if root != root.lower() and root.lower() in KEYWORDS:
        raise Unread(f"write {root.lower()}, in lower case", token.at)
    says = f"{root} cannot be asked in a trigger; known are: {SUBJECTS}"
    near = meant(root, (*TEXTS, *OBJECTS))
    raise Unread(f"{says}{near or '; for other fields use `when`'}", token.at)


def _asked(name: str, token: Token, *, negated: bool) -> tuple[Operator, str]:
    """What contains() and match() ask of a text."""
    value = token.value
    if name == "contains":
        return ("lacks" if negated else "contains"), value
    if value.endswith("*") and "*" not in value[:-1]:
        return ("starts_not" if negated else "starts"), value[:-1]
    if value.startswith("*") and "*" not in value[1:]:
        return ("ends_not" if negated else "ends"), value[1:]
    says = "match() takes one * at the begin or at the end"
    raise Unread(f'{says}: "x*" or "*x"; use contains() for the middle', token.at)


def _compared(
    subject: str, compare: Token, token: Token
) -> tuple[Operator, str | float | bool | None]:
    """The operator and the value of a comparison, if both are of one kind."""
    operator: Operator = compare.text  # type: ignore[assignment]
    equal = operator in {"=", "!="}
    if token.kind == "null":
        return _null(subject, operator, token), None
    if token.kind == "path":
        return operator, _bare(subject, operator, token)
    if subject in TEXTS and (token.kind == "number" or not equal):
        says = f"{subject} is a text: it is compared by = or != with one in quotes"
        raise Unread(says, token.at)
    if token.kind == "text":
        if not equal:
            says = f"{operator} compares numbers: write it without quotes"
            raise Unread(says, token.at)
        if subject == "type":
            _known_type(token)
        return operator, token.value
    return operator, float(token.value) if "." in token.value else int(token.value)


def _null(subject: str, operator: str, token: Token) -> Operator:
    if subject in {"type", "event"}:
        says = f"{subject} is not compared with null"
        raise Unread(f'{says}: write type = "track" for events with a name', token.at)
    if operator not in {"=", "!="}:
        raise Unread(f"{operator} compares numbers, not null", token.at)
    return "absent" if operator == "=" else "exists"


def _bare(subject: str, operator: str, token: Token) -> str | bool:
    """A value without quotes: true, false, or a type as Segment's presets have it."""
    if token.text in {"true", "false"}:
        if subject in TEXTS:
            raise Unread(f"{subject} is a text, never {token.text}", token.at)
        if operator == "=":
            return token.text == "true"
        if operator == "!=":
            says = f"!= {token.text} holds for every boolean: write = true, = false or"
            raise Unread(f"{says} = null", token.at)
        raise Unread(f"{operator} compares numbers, not {token.text}", token.at)
    if token.text.lower() in {"true", "false", "null"}:
        raise Unread(f"write {token.text.lower()}, in lower case", token.at)
    if subject == "type" and operator in {"=", "!="} and token.text in EVENT_TYPES:
        return token.text
    raise Unread(f'a text stands in double quotes: "{token.value}"', token.at)


def _known_type(token: Token) -> None:
    if token.value not in EVENT_TYPES:
        says = f"{token.value!r} is no type of event; known are: "
        near = meant(token.value, EVENT_TYPES)
        raise Unread(f"{says}{', '.join(EVENT_TYPES)}{near}", token.at)
