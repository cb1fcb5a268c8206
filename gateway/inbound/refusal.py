"""Why a message is refused: a value that stages return instead of raising.

Faults are for the sender: where it is, what is wrong, and a code that a program can
act on (INTERFACE, Answers).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

FAULTS_MAX = 10  # a message's answer names no more
POINTER_MAX = 500  # characters of a pointer; a longer one is cut and ends in CUT
CUT = "…"
UNTOLD = "not told: this answer names the faults of many others already"


class Fault(NamedTuple):
    """One thing wrong: ``pointer`` is a JSON Pointer into the message."""

    pointer: str
    message: str
    code: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that is not admitted, with at least one reason."""

    faults: tuple[Fault, ...]

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> Self:
        """A refusal that names the first ``FAULTS_MAX`` faults."""
        kept = []
        for fault in faults:
            kept.append(fault)
            if len(kept) == FAULTS_MAX:
                break
        return cls(tuple(kept))

    def in_brief(self) -> Self:
        """The first one's code and no more: an answer has a bound, too."""
        return type(self)((Fault("", UNTOLD, self.faults[0].code),))


def pointer(path: Sequence[str | int]) -> str:
    """The JSON Pointer of a place, made when there is a fault to tell and not before.

    Keys are as long as their sender likes, so that a pointer is cut.
    """
    text = "".join(f"/{escaped(part)}" for part in path)
    return text if len(text) <= POINTER_MAX else text[: POINTER_MAX - len(CUT)] + CUT


def escaped(key: str | int) -> str:
    """A key as a part of a pointer that can be written; of a long one the beginning."""
    part = str(key)[:POINTER_MAX]
    part = part.replace("~", "~0").replace("/", "~1").replace("\0", "\ufffd")
    return part.encode("utf-8", "replace").decode()
