"""Why a message is refused: a value that stages return instead of raising.

Faults are for the sender: where it is, what is wrong, and a code that a program can
act on (INTERFACE, Answers).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

FAULTS_MAX = 10  # a message's answer names no more


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
