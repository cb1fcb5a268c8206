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
from typing import Literal, NamedTuple, Protocol, TypeAlias, get_args

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


class Step(NamedTuple):
    """One question of a gate; its name is its place, and what an end of it is called.

    ``ask`` is on the path of every attempt: microseconds, no I/O.
    """

    name: Name
    ask: Ask


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
        self._steps = tuple(in_order)

    def prepare(
        self, value: bytes, replay: str | None = None, at: Place | None = None
    ) -> Delivery | Ended:
        """A record's bytes as the destination gets them, or why it gets nothing."""
        name: Name | Literal["event"] = "event"
        try:
            event = Event.from_bytes(value)
            going = Delivery(event, value, NO_OPTIONS, replay, at)
            for name, ask in self._steps:
                asked = ask(going)
                if not isinstance(asked, Delivery):
                    return Ended(name, asked)
                going = asked
        except Exception as error:  # noqa: BLE001 -- one event's bug ends no worker
            return Ended(name, bug(name, error))
        return going


def _own_steps(
    config: DestinationConfig,
    takes: Takes,
    source_kinds: Mapping[str, SourceKind],
    suppressed: SuppressedPeople,
) -> Iterator[Step]:
    """What every destination is asked, as far as it concerns this one."""
    if not takes.sees_suppressed:
        yield Step("suppressed", _suppressed(suppressed))
    names = names_of(config.name, config.type, config.display_name, takes.names)
    yield Step("integrations", _integrations(names, takes.safe_options, source_kinds))
    if config.when is not None:
        when = Filter(config.when, place=f"destinations.{config.name}.when")
        yield Step("when", _when(when, config.when))
    spelling = takes.spelling or config.spelling
    yield Step("spelling", _spelling(spelling))


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
        if not isinstance(wanted, Mapping):
            return going
        event, value, _, replay, at, fields, action = going  # _replace takes twice
        options = of_source(event.source, wanted)
        return Delivery(event, value, options, replay, at, fields, action)

    def of_source(source: str, wanted: Mapping[str, Json]) -> Mapping[str, Json]:
        if source_kinds.get(source, "browser") not in UNTRUSTED:
            return wanted
        return {key: wanted[key] for key in wanted if key in safe_options}

    return ask


def _when(when: Filter, said: str) -> Ask:
    ended = Outcome(kind="filtered", reason="when", detail=said)

    def ask(going: Delivery) -> Delivery | Outcome:
        return going if when.passes(going.event.body) else ended

    return ask


def _spelling(spelling: Spelling) -> Ask:
    def ask(going: Delivery) -> Delivery | Outcome:
        event, _, options, replay, at, fields, action = going
        body = traits.spell(event.body, spelling)
        if body is event.body:
            return going
        event = Event(*event[:-1], body)
        value = event.to_bytes()
        return Delivery(event, value, options, replay, at, fields, action)

    return ask
