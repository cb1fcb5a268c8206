"""A part of a value: small enough to explain what is wrong with the whole.

A validator lists all that is wrong before it names the first of it, and makes an object
for each: 14,000 wrong keywords in one message take 80 ms, 2 million 20 s and 6 GB. Ten
faults are told. So of a large value only a part is explained.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple, TypeAlias

from gateway.event import Json

VALUES_MAX = 2_000  # of a whole part: some ms, if all are wrong
CHILDREN_MAX = 200  # of one array or object: each can be wrong by one rule
Way: TypeAlias = tuple[str | int, ...]


class Excerpt(NamedTuple):
    """``doubtful``: the ways to what lacks something here, and to what it stands in.

    What a validator says of those may be true of the part alone.
    """

    value: Json
    doubtful: frozenset[Way]


def excerpt(value: Json) -> Excerpt | None:
    """The first values of each level, the upper levels first; None for a small value.

    It costs no more than the part does.
    """
    if not _is_large(value):
        return None
    whole: dict[str, Json] | list[Json] = type(value)()
    waiting = deque([(value, whole, Way())])
    left, doubtful = VALUES_MAX, set[Way]()
    while waiting:
        source, part, way = waiting.popleft()
        most = min(CHILDREN_MAX, left)
        left -= min(most, len(source))
        if len(source) > most:
            doubtful.update(way[:depth] for depth in range(len(way) + 1))
        for key, each in islice(_pairs(source), most):
            inner = type(each)() if isinstance(each, dict | list) else each
            if inner is not each:
                waiting.append((each, inner, (*way, key)))
            if isinstance(part, dict):
                part[str(key)] = inner
            else:
                part.append(inner)
    return Excerpt(whole, frozenset(doubtful))


def _is_large(value: Json) -> bool:
    containers, seen = [value] if isinstance(value, dict | list) else [], 0
    for each in containers:  # it grows meanwhile
        size = len(each)
        seen += size
        if size > CHILDREN_MAX or seen > VALUES_MAX:
            return True
        values = each.values() if isinstance(each, dict) else each
        containers += [one for one in values if type(one) is dict or type(one) is list]
    return False


def _pairs(value: Json) -> Iterable[tuple[str | int, Json]]:
    return value.items() if isinstance(value, dict) else enumerate(value)
