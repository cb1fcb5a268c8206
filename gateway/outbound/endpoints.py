"""Events that leave by several endpoints, in batches, with a verdict for each item.

A destination says what one event becomes (``Made``: items, each for an endpoint) and
what each ``Endpoint`` is: how its items are joined into a request, how many and how
large they may be, and what an answer means. What stands here joins and sends them, and
tells each event what became of all of its items.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import orjson

from gateway.event import Json
from gateway.outbound.contract import (
    Delivered,
    Delivery,
    Rejected,
    Retry,
    Skipped,
    Verdict,
)
from gateway.outbound.http import NoResponse, Request, Response
from gateway.outbound.reserved import left_out
from gateway.outbound.talk import Access, Talk, Talks, no_answer

S = TypeVar("S")
DETAIL_CHARS = 200  # of what a destination said of an item

ItemSaid: TypeAlias = Verdict | None
"""None: it was good, but not taken for the sake of another: it is sent again."""
Judge: TypeAlias = Callable[[Response, int], Verdict | Sequence[ItemSaid]]
"""(answer, items) -> what it means for the request as a whole, or for each item"""


class Made(NamedTuple):
    """What an event becomes: (endpoint, item) in order; or its end, unsent."""

    items: Sequence[tuple[str, Json]] = ()
    end: Skipped | Rejected | None = None
    lost: Sequence[str] = ()
    """What of it the destination cannot take (``Placed.lost``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[S]):
    """One endpoint: ``size`` and ``item`` are bytes, of a request and of an item."""

    request: Callable[[Sequence[bytes], S], Request]
    judge: Judge
    count: int = 1
    size: int = 1_000_000
    item: int = 1_000_000


class _Item(NamedTuple):
    event: int
    to: str
    body: bytes


Make: TypeAlias = Callable[[Delivery, S], Made]


def by_endpoint(make: Make[S], endpoints: Mapping[str, Endpoint[S]]) -> Talks[S]:
    """The talk of such a destination: one after the other, in the order given.

    A request that is refused as a whole is sent again in parts with all that belongs to
    it, so each must be idempotent. After a request that may succeed later nothing
    more is sent.
    """

    def talk(deliveries: Sequence[Delivery], settings: S, access: Access) -> Talk:
        del access
        tally = _Tally([make(each, settings) for each in deliveries], endpoints)
        for name, endpoint in endpoints.items():
            for pack in _packs(tally.items(name), endpoint):
                left = pack
                while left:
                    answer = yield endpoint.request(
                        [each.body for each in left], settings
                    )
                    said = _said(answer, endpoint.judge, len(left))
                    if isinstance(said, Rejected) and _are_several(left):
                        return said
                    left = tally.add(left, said)
                    if tally.stopped:
                        return tally.verdicts()
        return tally.verdicts()

    return talk


def _are_several(items: Sequence[_Item]) -> bool:
    """Whether a refusal may be about another event than the first."""
    return any(item.event != items[0].event for item in items)


def _said(
    answer: Response | NoResponse, judge: Judge, count: int
) -> Rejected | Sequence[ItemSaid]:
    if isinstance(answer, NoResponse):
        return [no_answer(answer)] * count
    said = judge(answer, count)
    if isinstance(said, Rejected):
        return said
    if isinstance(said, Sequence):
        if len(said) != count:
            raise ValueError(f"{len(said)} verdicts for {count} items")
        return said
    return [said] * count


def _packs(items: Sequence[_Item], endpoint: Endpoint[S]) -> Iterator[list[_Item]]:
    """Items in requests that are within the endpoint's bounds."""
    pack: list[_Item] = []
    room = endpoint.size
    for item in items:
        if pack and (len(pack) == endpoint.count or len(item.body) + 1 > room):
            yield pack
            pack, room = [], endpoint.size
        pack.append(item)
        room -= len(item.body) + 1
    if pack:
        yield pack


class _Tally:
    """What has become of each event so far; once ``stopped`` nothing more is sent."""

    def __init__(
        self, made: Sequence[Made], endpoints: Mapping[str, Endpoint[S]]
    ) -> None:
        self._lost = [left_out(list(each.lost)) for each in made]
        self._verdicts: list[Verdict | None] = [each.end for each in made]
        self._items: list[_Item] = []
        self._untold = [0] * len(made)
        for number, each in enumerate(made):
            if each.end is None:
                self._plan(number, each, endpoints)
        self.stopped: Retry | None = None

    def _plan(
        self, number: int, made: Made, endpoints: Mapping[str, Endpoint[S]]
    ) -> None:
        items = [_Item(number, to, orjson.dumps(item)) for to, item in made.items]
        for item in items:
            if len(item.body) > endpoints[item.to].item:
                detail = f"{len(item.body)} bytes, at most {endpoints[item.to].item}"
                self._verdicts[number] = Rejected("too_large", detail, unsent=True)
                return
        self._items += items
        self._untold[number] = len(items)
        if not items:
            self._verdicts[number] = Skipped("no request")

    def items(self, to: str) -> Sequence[_Item]:
        """Of the events that are not lost yet: what goes there."""
        return [
            each
            for each in self._items
            if each.to == to and not isinstance(self._verdicts[each.event], Rejected)
        ]

    def add(
        self, sent: Sequence[_Item], said: Rejected | Sequence[ItemSaid]
    ) -> list[_Item]:
        """Note what was said of each; those that are to be sent again."""
        told = [said] * len(sent) if isinstance(said, Rejected) else said
        again = [item for item, each in zip(sent, told, strict=True) if each is None]
        if len(again) == len(sent):
            raise ValueError("nothing of a request was refused, and nothing taken")
        for item, each in zip(sent, told, strict=True):
            if each is not None:
                self._note(item.event, each)
        if told and all(isinstance(each, Retry) for each in told):
            self.stopped = next(each for each in told if isinstance(each, Retry))
        return again

    def _note(self, event: int, verdict: Verdict) -> None:
        """The worst of its items is the event's: not yet, refused, delivered."""
        self._untold[event] -= 1
        before = self._verdicts[event]
        if before is None or _rank(verdict) > _rank(before):
            self._verdicts[event] = verdict

    def verdicts(self) -> list[Verdict]:
        """One for each event; what was not sent any more gets what stopped it."""
        return [self._verdict(number) for number in range(len(self._verdicts))]

    def _verdict(self, number: int) -> Verdict:
        verdict = self._verdicts[number]
        if self._untold[number] and self.stopped and not isinstance(verdict, Rejected):
            return self.stopped
        assert verdict is not None  # every item has been told
        if isinstance(verdict, Delivered) and self._lost[number]:
            return Delivered(verdict.status, self._lost[number])
        return verdict


def _rank(verdict: Verdict) -> int:
    return (Skipped, Delivered, Rejected, Retry).index(type(verdict))


def object_of(response: Response) -> Mapping[str, Json]:
    """An answer's JSON object; empty where it is none (it may be cut)."""
    try:
        found = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def words(*parts: Json) -> str:
    """What a destination said, as a detail: codes and places, bounded."""
    said = " ".join(str(part) for part in parts if part not in (None, ""))
    return said[:DETAIL_CHARS]
