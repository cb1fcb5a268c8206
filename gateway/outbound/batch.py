"""Many events in one request: how they are joined, and how one bad one is found.

Pure but for the send it is given. How many events and bytes a batch holds is decided by
``lanes``, by what the destination declares.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from gateway.outbound.contract import Rejected, Retry, Verdict

T = TypeVar("T")


def json_array(values: Iterable[bytes]) -> bytes:
    """A JSON array of values that are JSON already."""
    return b"[" + b",".join(values) + b"]"


async def in_parts(
    items: Sequence[T], send: Callable[[Sequence[T]], Awaitable[Sequence[Verdict]]]
) -> list[Verdict]:
    """Send a batch; one refused for good is halved until the bad items stand alone.

    So one bad event condemns no other (2 * n requests at worst). After a Retry the rest
    get the same, untried: a destination that has gone away costs one more request.
    """
    verdicts: list[Verdict] = []
    parts = [items]
    while parts:
        part = parts.pop()
        answers = await send(part)
        if len(part) > 1 and isinstance(answers[0], Rejected):
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
            continue
        verdicts.extend(answers)
        if isinstance(answers[-1], Retry):
            rest = len(items) - len(verdicts)
            return [*verdicts, *[answers[-1]] * rest]
    return verdicts
