"""The text of a batch, cut into its messages: each can be parsed when its turn comes.

Parsed at once, a batch takes many times the memory of its text, more than a processor's
cache holds, and no other request gets a turn meanwhile. So the text is cut wherever a
message seems to begin, with the name that the first one begins with. That is a guess,
but no wrong one goes unnoticed: JSON can be read in one way only. When what stands
around the messages is JSON with an empty batch, and every piece is JSON by itself, the
pieces are the messages. If not, nothing is known: ``decode`` reads the whole.
"""

import re
from typing import NamedTuple

import orjson

from gateway.config import Limits
from gateway.event import Json
from gateway.inbound.decode import BOM, holds_long_integer, holds_nul
from gateway.inbound.fit import brackets

NAME = b'"batch"'
SPACE = b" \t\n\r"
FIRST = re.compile(
    rb'"batch"[ \t\n\r]*:[ \t\n\r]*\[[ \t\n\r]*(\{[ \t\n\r]*"[^"\\]{1,100}"[ \t\n\r]*:)'
)


class Cut(NamedTuple):
    """``around`` is the body with an empty batch; ``texts`` has a text per message.

    Whoever parses the texts learns whether they are the messages: all must be JSON.
    """

    around: dict[str, Json]
    texts: list[bytes]


def cut(body: bytes, limits: Limits) -> Cut | None:
    """The body in pieces; None for what must be read as a whole.

    That is what this cannot cut, and what needs a closer look: too many messages,
    nesting, characters and numbers that no event can hold.
    """
    body = body.removeprefix(BOM)
    first = FIRST.search(body)
    if first is None or holds_nul(body) or holds_long_integer(body):
        return None
    start, *pieces = body.split(first[1], limits.batch_messages + 1)
    last = pieces.pop()
    end = last.rfind(b"}]") + 1 or max(last.rfind(b"]"), 0)
    if len(pieces) >= limits.batch_messages:
        return None
    around = _around(start + last[end:], limits.nesting)
    texts = [first[1] + text for piece in pieces if (text := _alone(piece)) is not None]
    if around is None or len(texts) < len(pieces):
        return None
    texts.append(first[1] + last[:end])
    return Cut(around, texts)


def _around(text: bytes, nesting: int) -> dict[str, Json] | None:
    """It parsed, if `batch` stands in it once and is the empty array of its object."""
    if b"\\" in text or text.count(NAME) != 1 or brackets(text) > nesting:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and value.get("batch") == [] else None


def _alone(piece: bytes) -> bytes | None:
    """Without the comma before the next message; None when no comma is there."""
    if not piece.endswith(b","):
        piece = piece.rstrip(SPACE)
    return piece[:-1] if piece.endswith(b",") else None
