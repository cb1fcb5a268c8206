"""One sent message, from any door, judged: the events it becomes, or why it is refused.

    does it fit -> the door's messages -> admit each -> entries

Every door asks this one function: the pipelines, the Track API, ``replay --topic
refused``, ``explain`` and ``send``; so that all of them say the same. No clock and no
I/O: who sent it and when is the ``Origin``. Nothing is kept of a message but what is
returned, and what ``Total`` counts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

from gateway.config import Limits
from gateway.event import Json, Origin, Raw
from gateway.inbound import entries, fit
from gateway.inbound.admit import Admitted, admit, admit_outside
from gateway.inbound.decode import OURS, Decoded
from gateway.inbound.plan import Plan
from gateway.inbound.refusal import Fault, Refusal
from gateway.inbound.route import Routes
from gateway.log.contract import Entry

SHRINKS_BY = 512  # bytes: nulls that are left out, a name that gets shorter
MADE_TIMES = 2  # of what a request may become is made, and refused in part; no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What every message is judged by: the configuration, as one process has it."""

    routes: Routes
    plans: Mapping[str, Plan]
    limits: Limits


class Door(Protocol):
    """How what is sent becomes messages; made for one request, and pure."""

    @property
    def as_sent(self) -> bool:
        """Names and values stay as they are: neither checked again nor normalized."""
        ...

    def raws(self, sent: Json, spare: str) -> Sequence[Raw] | Refusal:
        """All the messages that it is, at least one; or why it is none.

        ``spare`` is the message id for what brings none.
        """
        ...


class Text(NamedTuple):
    """What is known of a message from the text it was read from, without a walk.

    ``alone`` is that text when it holds the message and no more; then the message is as
    large as its text. Else ``small`` says that it cannot be too large, ``crowded`` that
    it may be nested too deep. ``suspect``: it may hold what ``fit.flaws`` finds.
    ``first``: it is weighed before it is judged.
    """

    alone: bytes | None
    suspect: bool
    small: bool
    crowded: bool
    first: bool


# What ``Text(...)`` does, in half the time; below, what ``Taken(...)`` does.
_text: Callable[[tuple[bytes | None, bool, bool, bool, bool]], Text] = partial(
    tuple.__new__, Text
)


def alone(body: bytes, decoded: Decoded) -> Text:
    """The text of a message that came alone."""
    return _text((body, decoded.suspect, False, False, True))


def among(body: bytes, decoded: Decoded, limits: Limits) -> Text:
    """The text of the messages of a batch, read as a whole."""
    small = len(body) <= limits.message_bytes
    first = decoded.suspect or not small
    return Text(None, decoded.suspect, small, decoded.crowded, first)


class Part(NamedTuple):
    """One of the messages of a request, and how it becomes events."""

    sent: Json
    text: Text
    door: Door


class Total:
    """What a request adds up to, in bytes: a limit is about all of its messages.

    ``events`` is what its events are; ``made`` is all that was made of its messages,
    whether it is kept or not.
    """

    __slots__ = ("events", "made")

    def __init__(self) -> None:
        self.events = self.made = 0


class Taken(NamedTuple):
    """The events of a message, the first its own, and what to append for them."""

    admitted: Sequence[Admitted]
    entries: Sequence[Entry]


class Refused(NamedTuple):
    """Why a message is none; ``raw`` is what the check or the plan was asked about."""

    refusal: Refusal
    raw: Raw | None = None


Judged: TypeAlias = Taken | Refused
_taken: Callable[[tuple[Sequence[Admitted], Sequence[Entry]]], Taken] = partial(
    tuple.__new__, Taken
)


def judge(
    sent: Json, text: Text, origin: Origin, door: Door, rules: Rules, total: Total
) -> Judged:
    """What becomes of a message; the events of all of its messages, or none.

    A message that may be too large is weighed first: to judge and to explain it would
    cost far more. The length of a text says only nearly how large its message is; but
    that of its event is needed anyway and nearly always says enough, so after a short
    text the message is weighed last. What this raises is a bug of ours.
    """
    limits = rules.limits
    if total.made > MADE_TIMES * limits.request_canonical_bytes:
        # What a batch shares is put into each of its messages, so that a small request
        # can become a very large one.
        return _too_large("the request", total.made, limits.request_canonical_bytes)
    if text.first:
        if (unfit := _unfit(sent, text, limits)) is not None:
            return unfit
        return _become(sent, origin, door, rules, total)
    before = total.events
    try:
        judged = _become(sent, origin, door, rules, total)
    except (TypeError, ValueError):  # nested too deep for the tools, perhaps
        if (unfit := _unfit(sent, text, limits)) is None:
            raise
        return unfit
    if not _shows_that_it_fits(sent, text, judged, limits) and (
        unfit := _unfit(sent, text, limits)
    ):
        total.events = before
        return unfit
    return judged


def written(sent: Json, text: Text) -> bytes:
    """A message as it was sent, or nearly: for the record of a refused one."""
    if text.alone is not None:
        return text.alone
    return entries.as_json(sent, suspect=text.suspect)


def _become(
    sent: Json, origin: Origin, door: Door, rules: Rules, total: Total
) -> Judged:
    """Each of its messages admitted, while they are not too large together."""
    raws = door.raws(sent, origin.spare_message_id)
    if isinstance(raws, Refusal):
        return Refused(raws)
    limits, plan = rules.limits, rules.plans.get(origin.source)
    judge_raw = admit_outside if door.as_sent else admit
    admitted: list[Admitted] = []
    made: list[Entry] = []
    events = total.events
    for raw in raws:
        verdict = judge_raw(raw, origin, rules.routes, plan)
        if isinstance(verdict, Refusal):
            return Refused(verdict, raw)
        value = verdict.event.to_bytes()
        size = len(value)
        events += size
        total.made += size
        if size > limits.event_bytes:
            return _too_large("the event with its context", size, limits.event_bytes)
        if events > limits.request_canonical_bytes:
            return _too_large("the request", events, limits.request_canonical_bytes)
        admitted.append(verdict)
        made += entries.of_event(verdict.event, value, verdict.route)
    total.events = events
    return _taken((admitted, made))


def _shows_that_it_fits(sent: Json, text: Text, judged: Judged, limits: Limits) -> bool:
    """Whether the event shows that the message is neither too large nor too deep.

    It does when nothing was left out of the event but what weighs little.
    """
    if text.small and not text.crowded:
        return True
    if isinstance(judged, Refused):
        return False
    value = judged.entries[0].value
    if not text.small and len(value) + SHRINKS_BY > limits.message_bytes:
        return False
    if not OURS.isdisjoint(sent) or fit.brackets(value) > limits.nesting:
        return False
    said = judged.admitted[0].normalized
    return not (said and any(each.code == "both_spellings" for each in said))


def _unfit(sent: Json, text: Text, limits: Limits) -> Refused | None:
    """Too large, or holding what no event can; None for nearly all."""
    suspect, limit = text.suspect, limits.message_bytes
    if text.alone is not None:
        size = len(text.alone)
    elif text.small and not text.crowded:
        size = 0
    else:
        size, deep = fit.weigh(sent, limits.nesting, limit)
        suspect = suspect or deep
    if size > limit:
        return _too_large("the message", size, limit)
    if suspect and (faults := fit.flaws(sent, limits.nesting)):
        return Refused(Refusal.of(faults))
    return None


def _too_large(what: str, size: int, limit: int) -> Refused:
    text = f"{what} is {size} bytes, more than {limit}"
    return Refused(Refusal((Fault("", text, "too_large"),)))
