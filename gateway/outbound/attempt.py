"""One attempt at one event: may it go, what goes, and what the destination said.

Asked before every attempt, retries and replays included (DESIGN 5.3): is the person
suppressed, do ``integrations`` and ``when`` let the event through, and in which
spelling does it leave. An exception here or in a destination is a bug in one event's
handling and rejects that event alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, get_args

from gateway import traits
from gateway.config import DestinationConfig
from gateway.errors import place_of
from gateway.event import Event, Json, SourceKind
from gateway.integrations import names_of, wish
from gateway.outbound.contract import (
    Delivery,
    Destination,
    Outcome,
    Place,
    Rejected,
    Retry,
    Takes,
    Verdict,
)
from gateway.outbound.when import Filter

UNTRUSTED: frozenset[SourceKind] = frozenset({"browser", "mobile"})
VERDICTS = frozenset(get_args(Verdict))
NO_OPTIONS: Mapping[str, Json] = {}


class SuppressedPeople(Protocol):
    """Who knows whom no worker may send (DESIGN §7)."""

    def is_suppressed(self, event: Event) -> bool:
        """True when this event's person must not be sent anything."""
        ...


def bug(place: str, error: Exception) -> Rejected:
    """What an exception makes of an event: its type and where, never a value."""
    return Rejected("bug", f"{place}: {type(error).__name__} in {place_of(error)}")


class Gate:
    """What stands before a destination; ConfigError for a bad ``when``."""

    def __init__(
        self,
        config: DestinationConfig,
        takes: Takes,
        *,
        source_kinds: Mapping[str, SourceKind],
        suppressed: SuppressedPeople,
    ) -> None:
        place = f"destinations.{config.name}.when"
        self._when = None if config.when is None else Filter(config.when, place=place)
        self._names = names_of(config.name, config.type, config.display_name)
        self._spelling = takes.spelling or config.spelling
        self._sees_suppressed = takes.sees_suppressed
        self._safe_options = takes.safe_options
        self._source_kinds = source_kinds
        self._suppressed = suppressed

    def prepare(
        self, value: bytes, replay: str | None = None, at: Place | None = None
    ) -> Delivery | Outcome | Rejected:
        """A record's bytes as the destination gets them, or why it gets nothing."""
        place = "event"
        try:
            event = Event.from_bytes(value)
            place = "suppressed"
            if not self._sees_suppressed and self._suppressed.is_suppressed(event):
                return Outcome(kind="suppressed", reason="suppressed")
            place = "integrations"
            options = self._options(event)
            if options is None:
                return Outcome(kind="filtered", reason="integrations")
            place = "when"
            if self._when is not None and not self._when.passes(event.body):
                return Outcome(kind="filtered", reason="when")
            place = "spelling"
            return self._spelled(event, value, options, replay, at)
        except Exception as error:  # noqa: BLE001 -- one event's bug ends no worker
            return bug(place, error)

    def _options(self, event: Event) -> Mapping[str, Json] | None:
        """What ``integrations`` asks of this destination; None when it is left out."""
        said = event.body.get("integrations")
        if not isinstance(said, dict) or not said:
            return NO_OPTIONS
        wanted = wish(
            {name.casefold(): value for name, value in said.items()}, self._names
        )
        if wanted is False:
            return None
        if not isinstance(wanted, Mapping):
            return NO_OPTIONS
        if self._source_kinds.get(event.source, "browser") not in UNTRUSTED:
            return wanted
        return {key: wanted[key] for key in wanted if key in self._safe_options}

    def _spelled(
        self,
        event: Event,
        value: bytes,
        options: Mapping[str, Json],
        replay: str | None,
        at: Place | None,
    ) -> Delivery:
        body = traits.spell(event.body, self._spelling)
        if body is not event.body:
            event = Event(
                message_id=event.message_id,
                type=event.type,
                source=event.source,
                key=event.key,
                received_at=event.received_at,
                body=body,
            )
            value = event.to_bytes()
        return Delivery(
            event=event, value=value, options=options, replay=replay, place=at
        )


async def deliver(
    destination: Destination,
    deliveries: Sequence[Delivery],
    *,
    timeout_s: float,
    under_way: set[asyncio.Timeout],
) -> Sequence[Verdict]:
    """One verdict per event, whatever the destination does; in bounded time.

    ``timeout_s`` is a second line: a destination has its own. While it is ``under_way``
    its deadline can be brought forward. A batch that raises is
    sent again event by event, so that the one at fault is found.
    """
    try:
        async with asyncio.timeout(timeout_s) as deadline:
            under_way.add(deadline)
            try:
                verdicts = await destination.deliver(deliveries)
            finally:
                under_way.discard(deadline)
        return _checked(deliveries, verdicts)
    except TimeoutError:
        return [Retry("TimeoutError")] * len(deliveries)
    except Exception as error:  # noqa: BLE001 -- one event's bug ends no worker
        if len(deliveries) == 1:
            return [bug("deliver", error)]
    return await one_by_one(
        deliveries,
        lambda delivery: deliver(
            destination, [delivery], timeout_s=timeout_s, under_way=under_way
        ),
    )


def _checked(
    deliveries: Sequence[Delivery], verdicts: Sequence[Verdict]
) -> Sequence[Verdict]:
    """One verdict for each; an error for what is none, as a module of yours may say."""
    answers = [verdict for _, verdict in zip(deliveries, verdicts, strict=True)]
    if not VERDICTS.issuperset(map(type, answers)):
        raise TypeError("no verdict")
    return answers


async def one_by_one(
    deliveries: Sequence[Delivery],
    attempt: Callable[[Delivery], Awaitable[Sequence[Verdict]]],
) -> Sequence[Verdict]:
    """Each event alone, in order; after a Retry the rest get the same, untried.

    That bounds the time a destination that is away can take, and keeps the order.
    """
    verdicts: list[Verdict] = []
    for delivery in deliveries:
        verdicts.extend(await attempt(delivery))
        if isinstance(verdicts[-1], Retry):
            rest = len(deliveries) - len(verdicts)
            verdicts.extend([verdicts[-1]] * rest)
            break
    return verdicts
