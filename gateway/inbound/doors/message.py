"""The pipelines' messages: one alone, in its batch, or saved from a damaged body."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.config import Limits
from gateway.event import EventType, Json, Raw
from gateway.inbound import decode
from gateway.inbound.decode import NO_BATCH, Batch
from gateway.inbound.intake import Text, alone
from gateway.inbound.refusal import Fault, Refusal
from gateway.inbound.salvage import Salvage

DAMAGED = Fault("", "this part of the body is no message in JSON", "invalid_json")


@dataclass(frozen=True, slots=True)
class Message:
    """The pipelines' ``Door``: a message is one event, with what its batch says."""

    type: EventType | None
    batch: Batch = NO_BATCH
    as_sent: bool = False

    def raws(self, sent: Json, spare: str) -> Sequence[Raw] | Refusal:
        """The message itself; without an id, ``spare`` becomes its own later."""
        del spare
        raw = decode.prepare(sent, self.type, self.batch)
        return raw if isinstance(raw, Refusal) else (raw,)


SINGLE: Mapping[EventType | None, Message] = {
    kind: Message(kind) for kind in decode.TYPES
}


class Saved(NamedTuple):
    """A piece of a damaged body: what is judged, its text, and its door."""

    sent: Json
    text: Text
    door: Message


def _lost(piece: bytes) -> Text:
    """The text of what is no message: it is kept, and there is nothing to weigh."""
    return Text(piece, suspect=False, small=True, crowded=False, first=False)


def pieces_of(saved: Salvage, limits: Limits) -> Iterator[Saved]:
    """Each piece, to be judged as if it had come alone with what its batch says."""
    inside, door = -1, Message(None)
    for piece in saved.pieces:
        if piece.envelope != inside:
            inside = piece.envelope
            door = Message(None, saved.batch(inside))
        if piece.sound:
            decoded = decode.decode(piece.text, limits, batch=False)
            yield Saved(decoded.value, alone(piece.text, decoded), door)
        else:
            lost = Message(None, replace(door.batch, faults=(DAMAGED,)))
            shown = piece.text.decode("utf-8", "replace")
            yield Saved(shown, _lost(piece.text), lost)
