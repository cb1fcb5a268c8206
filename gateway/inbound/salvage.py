"""What can be saved of a batch that is no JSON: its messages, one by one.

A phone that went dark while it wrote, a writer that joins with one comma too many, two
bodies in one: nothing can be parsed as a whole, and yet nearly every message is there.
So the text is walked from each ``{`` to its ``}``. What stands between is a message if
it is JSON by itself; the rest is kept in pieces, as it came.

Behind a message that has no end nobody knows how deep the text is nested. There an
object is a message only if it says so: it has the type of one, stands behind no colon,
and has a ``messageId``, or where there are none begins with the same name. A walk looks
at no more than ``LOOKS`` times the length of its text; what it has not reached by then
is one piece.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import orjson

from gateway.config import Limits
from gateway.errors import MessageError
from gateway.event import Json
from gateway.inbound.decode import (
    BOM,
    BRACKETS,
    NO_BATCH,
    OPENING,
    SHARED,
    TYPES,
    Batch,
    decode,
    shared,
    too_many,
)
from gateway.inbound.refusal import Fault

LOOKS = 4  # times the length of the text: what a walk may look at
LOOKS_MIN = 100_000  # bytes: and as much more
RUN_COSTS = 20  # bytes: about the time of one run of brackets
RUNS_MAX = 10_000  # of brackets, in a message
SLICE = 50_000  # bytes to look at in one step
SPACES = 100  # between a name's colon and its value
TRIES = 20  # from the back: where a batch may end
JOINTS = b" \t\r\n,\0"
NOTHING = JOINTS + b"[]{}"  # between messages it is no loss
HEAD = b'{"batch":['
NAMED = re.compile(rb'"batch"[ \t\n\r]*:[ \t\n\r]*\Z')
OWN = frozenset({"type", "userId", "anonymousId", "event", "properties", "traits"})
# Behind a message, a message's field: of this one, if it has none of the name.
MEMBER = re.compile(
    rb'[ \t\r\n]*,[ \t\r\n]*"(type|userId|anonymousId|messageId|event|properties|'
    rb'traits|name|category|groupId|previousId|originalTimestamp)"[ \t\r\n]*:'
)
FIRST = re.compile(rb'\{[ \t\n\r]*"[^"\\]{1,100}"[ \t\n\r]*:')
TAIL = re.compile(rb'\][ \t\r\n]*(?:\}|\Z|,[ \t\r\n]*"[^"\\]{1,100}"[ \t\r\n]*:)')
KEY = re.compile(rb'"writeKey"[ \t\r\n]*:[ \t\r\n]*"([^"\\\0-\x1f]{1,1000})"')
KEYS_MAX = 10  # of a text that names many


class Piece(NamedTuple):
    """A part of the text; ``sound``: it is JSON, and ``key`` is its own ``writeKey``.

    ``envelope`` is the number of the batch that it stands in.
    """

    text: bytes
    sound: bool
    key: Json
    envelope: int


class Search(NamedTuple):
    """For a message behind what is damaged, which began at ``begin``."""

    begin: int
    at: int
    stop: int
    opening: bytes


@dataclass(slots=True)
class Envelope:
    """What stands around the messages of one batch."""

    head: bytes = HEAD
    tail: bytes = b""


class Salvage:
    """A walk over one body; ``pieces`` and ``envelopes`` are what it found so far."""

    def __init__(self, body: bytes, limits: Limits) -> None:
        self.pieces: list[Piece] = []
        self.envelopes: list[Envelope] = []
        self._body = body.removeprefix(BOM).rstrip(b" \t\r\n\0")
        self._limits = limits
        self._may = self._left = LOOKS * len(self._body) + LOOKS_MIN
        self._with_ids = b'"messageId"' in body
        self._search: Search | None = None
        self._stop = 0  # where the messages of the last envelope end

    @classmethod
    def of(cls, body: bytes, limits: Limits) -> Self:
        """The whole walk at once: for who holds up nobody."""
        saved = cls(body, limits)
        for _ in saved.walk():
            pass
        return saved

    def walk(self) -> Iterator[None]:
        """Step by step, so that others get their turn; MessageError for too many."""
        at, size, most = 0, len(self._body), self._limits.batch_messages
        self._begin(HEAD, 0)
        while at < size and self._left > 0:
            at = self._step(at) if self._search is None else self._look(self._search)
            if (count := max(len(self.pieces), len(self.envelopes) - 1)) > most:
                raise too_many(count, self._limits)
            yield
        self._damaged(at, size)

    @property
    def looked(self) -> int:
        """How many bytes it looked at, or did work that costs as much."""
        return self._may - self._left

    @property
    def found(self) -> bool:
        """Whether there is anything that can be judged."""
        return any(piece.sound for piece in self.pieces)

    def batch(self, number: int) -> Batch:
        """What the envelope says for its messages; MessageError if it is too large.

        Where it cannot be read, it refuses them if it may have said where they go, when
        they were or who they are about: without that they would be others.
        """
        envelope = self.envelopes[number]
        text = envelope.head + envelope.tail
        if (value := _around(text)) is not None:
            return shared(value, self._limits)
        said = [name for name in SHARED[:3] if b'"%s"' % name.encode() in text]
        if not said:
            return NO_BATCH
        what = "of the batch: it stands in what is no JSON"
        faults = tuple(Fault(f"/{name}", what, "invalid_json") for name in said)
        return Batch(faults=faults)

    def key(self, number: int) -> Json:
        """The ``writeKey`` that an envelope has for its messages; None without one."""
        envelope = self.envelopes[number]
        return (_around(envelope.head + envelope.tail) or {}).get("writeKey")

    def _step(self, at: int) -> int:
        """One piece, or what stands between two; returns where the next one begins."""
        text, self._left = self._body, self._left - RUN_COSTS
        if text[at : at + 1] == b"{":
            end, is_head = self._span(at)
            if is_head:
                self._begin(text[at:end], end)
            elif end and (value := self._read(at, end)) is not None:
                if (more := MEMBER.match(text, end)) and more[1].decode() not in value:
                    return self._look(Search(at, end, self._bound(at), b"{"))
                self._add(at, end, value)
            else:
                stop = end or self._bound(at)
                alike = FIRST.match(text, at) if end and not self._with_ids else None
                return self._look(Search(at, at + 1, stop, alike[0] if alike else b"{"))
            return end
        if TAIL.match(text, at):
            return self._close(at)
        if text[at] in NOTHING:
            return at + 1
        return self._look(Search(at, at, self._bound(at), b"{"))

    def _begin(self, head: bytes, at: int) -> None:
        """An envelope; its end is looked for from the back, where it nearly always is.

        It is no more than a guess, where damage may end; the walk has to come there.
        """
        self.envelopes.append(Envelope(head))
        self._stop = stop = len(self._body)
        for _ in range(TRIES):
            stop = self._body.rfind(b"]", at, stop)
            size = len(self._body) - stop
            if stop < 0 or size > self._limits.event_bytes or self._left < 0:
                return
            self._left -= size
            if _around(head + self._body[stop:]) is not None:
                self._stop = stop
                return

    def _bound(self, at: int) -> int:
        return self._stop if self._stop > at else len(self._body)

    def _close(self, at: int) -> int:
        """The end of an envelope; what follows stands in none."""
        end = self._span(at, depth=2)[0] or len(self._body)
        envelope = self.envelopes[-1]
        envelope.tail = self._body[at:end]
        if _around(envelope.head + envelope.tail) is None:
            self._damaged(at, end)
        self.envelopes.append(Envelope())
        self._stop = len(self._body)
        return end

    def _span(self, at: int, depth: int = 0) -> tuple[int, bool]:
        """Where what begins here ends, or 0; True: where a batch's messages begin."""
        text, place = self._body, at
        stop = min(len(text), at + self._limits.event_bytes)
        closes, least = depth > 0, max(0, self._left - RUNS_MAX * RUN_COSTS)
        try:
            while (found := BRACKETS.match(text, place, stop)) and self._left > least:
                begin, place = found.span(1)
                self._left -= RUN_COSTS
                if begin == place:
                    break
                if text[begin : begin + 1] not in OPENING:
                    if depth <= place - begin:
                        return begin + depth, False
                    depth -= place - begin
                elif depth == 1 and not closes and self._is_head(at, begin):
                    return begin + 1, True
                else:
                    depth += place - begin
        finally:
            self._left -= place - at
        return 0, False

    def _is_head(self, at: int, begin: int) -> bool:
        text = self._body
        return (
            text[begin : begin + 1] == b"["
            and NAMED.search(text, max(at, begin - 50), begin) is not None
            and b'"type"' not in text[at:begin]
        )

    def _look(self, search: Search) -> int:
        """Where the next message begins, by what it says of itself, or all of it ends.

        When that takes long, the same place again: the next step goes on.
        """
        begin, at, stop, opening = search
        until, self._search = self._left - SLICE, None
        while (at := self._body.find(opening, at, stop)) >= 0:
            if self._left < until:
                self._search = Search(begin, at, stop, opening)
                return begin
            if self._may_begin(at, begin):
                self._damaged(begin, at)
                return at
            at += 1
        self._damaged(begin, stop)
        return stop

    def _may_begin(self, at: int, after: int) -> bool:
        """Whether a message or a batch stands here, and is no value of a name."""
        before = self._body[max(at - SPACES, after) : at].rstrip(b" \t\r\n\0")
        self._left -= RUN_COSTS
        if before[-1:] == b":":
            return False
        end, is_head = self._span(at)
        return is_head or (end > 0 and self._is_message(at, end))

    def _is_message(self, at: int, end: int) -> bool:
        try:
            value = orjson.loads(self._body[at:end])
        except orjson.JSONDecodeError:
            return False
        kind = value.get("type")
        named = not self._with_ids or isinstance(value.get("messageId"), str)
        return isinstance(kind, str) and kind in TYPES and named

    def _read(self, at: int, end: int) -> dict[str, Json] | None:
        try:
            value = decode(self._body[at:end], self._limits, batch=False).value
        except MessageError:
            return None
        return value if isinstance(value, dict) else None

    def _add(self, at: int, end: int, value: dict[str, Json]) -> None:
        text, number = self._body[at:end], len(self.envelopes) - 1
        key = value.get("writeKey")
        self.pieces.append(Piece(text=text, sound=True, key=key, envelope=number))

    def _damaged(self, at: int, end: int) -> None:
        """A piece of its own, if there is more in it than what joins messages."""
        text, number = self._body[at:end].strip(JOINTS), len(self.envelopes) - 1
        if text.strip(NOTHING):
            self.pieces.append(Piece(text=text, sound=False, key=None, envelope=number))


def _around(text: bytes) -> dict[str, Json] | None:
    """The envelope without its messages; None when that is none, or a message's."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or value.get("batch") != []:
        return None
    return value if OWN.isdisjoint(value) else None


def keys_in(body: bytes) -> list[str]:
    """The write keys that stand in a text, the first of them, each once."""
    found: dict[str, None] = {}
    for each in KEY.finditer(body):
        found[each[1].decode("utf-8", "replace")] = None
        if len(found) == KEYS_MAX:
            break
    return list(found)
