"""Many events in one request: how they are joined, and how one bad one is found.

Pure but for the send it is given. How many events and bytes a batch holds is decided by
``lanes``, by what the destination declares.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

from gateway.outbound.contract import Rejected, Retry, Verdict

T = TypeVar("T")
Said: TypeAlias = Verdict | Sequence[Verdict]
"""One verdict is about the request as a whole; several are about an event each."""


def json_array(values: Iterable[bytes]) -> bytes:
    """A JSON array of values that are JSON already."""
    return b"[" + b",".join(values) + b"]"


async def in_parts(
    items: Sequence[T], send: Callable[[Sequence[T]], Awaitable[Said]]
) -> list[Verdict]:
    """Send a batch; one refused as a whole is halved until the bad items stand alone.

    So one bad event condemns no other (2 * n requests at worst). After a Retry of all
    the rest get the same, untried: a destination that has gone away costs one more
    request. An answer with a verdict for each item is the last word about all of them.
    """
    verdicts: list[Verdict] = []
    parts = [items]
    while parts:
        part = parts.pop()
        said = await send(part)
        if isinstance(said, Rejected) and len(part) > 1:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
            continue
        answers = said if isinstance(said, Sequence) else [said] * len(part)
        verdicts.extend(answers)
        if all(isinstance(answer, Retry) for answer in answers):
            rest = len(items) - len(verdicts)
            return [*verdicts, *[_untried(answers[-1])] * rest]
    return verdicts


def _untried(last: Verdict) -> Verdict:
    """What the rest of a batch gets: its own request was not sent."""
    return replace(last, exchange=None) if isinstance(last, Retry) else last
