"""What stands before a destination: one question after the other, before each attempt.

suppressed     may this person be sent anything (DESIGN §7)
integrations   does the message leave this destination out; what options has it for it
consent        (nobody asks yet: the place of a step that is added)
when           does the destination's own filter let it through
transform      what the operator's own function makes of it
trigger        which table of its ``actions`` is for it, and what its mapping makes
spelling       in which spelling its traits leave

A ``Step`` gets the delivery and gives it on, the same or another; or the outcome that
ends it, or its dead letter. Retries and replays are asked again (DESIGN 5.3). `explain`
goes the same way and says which step ended an event. An exception is a bug in one
event's handling: it rejects that event alone and names the step.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol, TypeAlias, get_args

import orjson

from gateway import traits
from gateway.config import DestinationConfig
from gateway.event import Event, Json, SourceKind
from gateway.integrations import names_of, wish
from gateway.notices import Notice, unheard
from gateway.outbound.contract import (
    NO_OPTIONS,
    Delivery,
    Outcome,
    Place,
    Rejected,
    Spelling,
    Takes,
    bug,
)
from gateway.outbound.transform import asking, load
from gateway.outbound.when import Filter

UNTRUSTED: frozenset[SourceKind] = frozenset({"browser", "mobile"})

INTEGRATIONS = b'"integrations"'
SAID_BYTES = 500  # a longer one is read with its event
KEPT = 1_000  # of them

Name = Literal[
    "suppressed",
    "integrations",
    "consent",
    "when",
    "transform",
    "trigger",
    "spelling",
]
ORDER: tuple[Name, ...] = get_args(Name)
"""Who is asked before whom; of one name, in the order they were added."""
Ask: TypeAlias = Callable[[Delivery], Delivery | Outcome | Rejected]
Glance: TypeAlias = Callable[[bytes], bool]


class Step(NamedTuple):
    """One question of a gate; its name is its place, and what an end of it is called.

    ``ask`` is on the path of every attempt: microseconds, no I/O. ``glance`` is asked
    before it, of the event's JSON: True where the bytes alone make certain that the
    step gives the delivery on as it is. Where all steps are certain the event is not
    read at all, which costs more than the rest of the gate.
    """

    name: Name
    ask: Ask
    glance: Glance | None = None


class Ended(NamedTuple):
    """The event goes no further: its end, and the step that ended it.

    ``step`` is "event" for a record that holds no event.
    """

    step: Name | Literal["event"]
    end: Outcome | Rejected


class SuppressedPeople(Protocol):
    """Who knows whom no worker may send (DESIGN §7)."""

    def is_suppressed(self, event: Event) -> bool:
        """True when this event's person must not be sent anything."""
        ...

    def surely_clear(self, value: bytes) -> bool:
        """Whether an event's JSON names nobody who is suppressed, for certain."""
        ...


class Gate:
    """The steps before one destination; ConfigError for a bad ``when``, ``transform``.

    ``more`` are steps that a kind or a wing adds to its own; ``tell`` says what an
    operator may want to know.
    """

    def __init__(
        self,
        config: DestinationConfig,
        takes: Takes,
        *,
        source_kinds: Mapping[str, SourceKind],
        suppressed: SuppressedPeople,
        more: Iterable[Step] = (),
        tell: Callable[[Notice], None] = unheard,
    ) -> None:
        own = [*_own_steps(config, takes, source_kinds, suppressed)]
        if config.transform is not None:
            transform = load(config.transform)
            own.append(Step("transform", asking(transform, takes.types, tell)))
        in_order = sorted([*own, *more], key=lambda step: ORDER.index(step.name))
        self._steps = tuple((step.name, step.ask) for step in in_order)
        glances = [step.glance for step in in_order if step.glance is not None]
        self._glances = tuple(glances) if len(glances) == len(in_order) else None

    def prepare(
        self,
        value: bytes,
        replay: str | None = None,
        at: Place | None = None,
        message_id: str | None = None,
        only: frozenset[str] | None = None,
    ) -> Delivery | Ended:
        """A record's bytes as the destination gets them, or why it gets nothing.

        ``message_id`` is what the record's headers say: with it an event of which no
        step needs to know more goes on unread. ``only`` is what a replay repeats.
        """
        name: Name | Literal["event"] = "event"
        try:
            if message_id is not None and self._surely_passes(value):
                rest = value, NO_OPTIONS, replay, at
                return Delivery(None, *rest, message_id=message_id, only=only)
            event = Event.from_bytes(value)
            going = Delivery(event, value, NO_OPTIONS, replay, at, only=only)
            for name, ask in self._steps:
                asked = ask(going)
                if not isinstance(asked, Delivery):
                    return Ended(name, asked)
                going = asked
        except Exception as error:  # noqa: BLE001 -- one event's bug ends no worker
            return Ended(name, bug(name, error))
        return going

    def _surely_passes(self, value: bytes) -> bool:
        """Whether every step would give it on as it is.

        A key may be written with escapes, which a search would not find: we write none.
        One byte is found in a tenth of the time of two, and most events have none.
        """
        if self._glances is None or value[:1] != b"{" or value[-1:] != b"}":
            return False
        if b"\\" in value and rb"\u" in value:
            return False
        for glance in self._glances:  # noqa: SIM110 -- a generator takes twice as long
            if not glance(value):
                return False
        return True


def _own_steps(
    config: DestinationConfig,
    takes: Takes,
    source_kinds: Mapping[str, SourceKind],
    suppressed: SuppressedPeople,
) -> Iterator[Step]:
    """What every destination is asked, as far as it concerns this one."""
    if not takes.sees_suppressed:
        ask = _suppressed(suppressed)
        yield Step("suppressed", ask, suppressed.surely_clear)
    names = names_of(config.name, config.type, config.display_name, takes.names)
    ask = _integrations(names, takes.safe_options, source_kinds)
    yield Step("integrations", ask, _leaves_it_in(names))
    if config.when is not None:
        when = Filter(config.when, place=f"destinations.{config.name}.when")
        yield Step("when", _when(when, config.when))
    spelling = takes.spelling or config.spelling
    yield Step("spelling", _spelling(spelling), traits.surely_spelled(spelling))


def _suppressed(people: SuppressedPeople) -> Ask:
    ended = Outcome(kind="suppressed", reason="suppressed")

    def ask(going: Delivery) -> Delivery | Outcome:
        return ended if people.is_suppressed(going.event) else going

    return ask


def _integrations(
    names: frozenset[str],
    safe_options: frozenset[str],
    source_kinds: Mapping[str, SourceKind],
) -> Ask:
    """Options come from servers; of browsers and phones only those declared safe."""
    ended = Outcome(kind="filtered", reason="integrations")

    def ask(going: Delivery) -> Delivery | Outcome:
        said = going.event.body.get("integrations")
        if not isinstance(said, dict) or not said:
            return going
        wanted = wish({key.casefold(): each for key, each in said.items()}, names)
        if wanted is False:
            return ended
        if not isinstance(wanted, dict):
            return going
        return going.with_options(of_source(going.event.source, wanted))

    def of_source(source: str, wanted: Mapping[str, Json]) -> Mapping[str, Json]:
        if source_kinds.get(source, "browser") not in UNTRUSTED:
            return wanted
        return {key: wanted[key] for key in wanted if key in safe_options}

    return ask


def _leaves_it_in(names: frozenset[str]) -> Glance:
    """Whether what the message says to destinations lets it go to these as it is.

    Most senders say the same each time, so that it is judged once.
    """

    @lru_cache(maxsize=KEPT)
    def judged(said: bytes) -> bool:
        try:
            found = orjson.loads(said)
        except ValueError:  # it was cut: there is more in it than names and yes or no
            return False
        wanted = wish({key.casefold(): each for key, each in found.items()}, names)
        return wanted is None or wanted is True

    def surely(value: bytes) -> bool:
        at = value.find(INTEGRATIONS)
        if at < 0:
            return True
        begins = at + len(INTEGRATIONS)
        ends = value.find(b"}", begins, begins + SAID_BYTES) + 1
        if not ends or not value.startswith(b":{", begins):
            return False
        if value.find(INTEGRATIONS, begins) >= 0:
            return False
        return judged(value[begins + 1 : ends])

    return surely


def _when(when: Filter, said: str) -> Ask:
    ended = Outcome(kind="filtered", reason="when", detail=said)

    def ask(going: Delivery) -> Delivery | Outcome:
        return going if when.passes(going.event.body) else ended

    return ask


def _spelling(spelling: Spelling) -> Ask:
    def ask(going: Delivery) -> Delivery | Outcome:
        event = going.event
        body = traits.spell(event.body, spelling)
        if body is event.body:
            return going
        event = Event(*event[:-1], body)
        return going.changed(event, event.to_bytes())

    return ask
