"""What a destination type is: a value. A file of ``destinations/`` ends in one.

    KIND = Kind(
        doc=__doc__,
        settings=Schema.of(Settings),
        takes=Takes(types=frozenset({"identify"})),
        talk=one_request(request),
    )

The type checker sees all of it: a ``talk`` that fits no settings, or none at all, is an
error before anything runs.
"""

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import (
    Any,
    Generic,
    NamedTuple,
    TypeAlias,
    TypeVar,
    cast,
    get_type_hints,
)

from gateway.errors import ConfigError
from gateway.event import Json
from gateway.mistakes import Mistakes, Text
from gateway.notices import Notice, unheard
from gateway.outbound.contract import NOTHING, Delivery, Destination, Takes
from gateway.outbound.declared import Setting, described
from gateway.outbound.gate import Step
from gateway.outbound.http import NoResponse, Request, Send
from gateway.outbound.mask import masked, secrets_of
from gateway.outbound.reserved import Field
from gateway.outbound.shape import Mapped, Reading, Shape
from gateway.outbound.talk import Logins, Talking, Talks
from gateway.values import read
from gateway.web import is_url

S = TypeVar("S")


def setting(
    *,
    doc: str,
    example: str,
    secret: bool | str = False,
    url: bool = False,
    unit: str | None = None,
    default: Any = MISSING,
) -> Any:
    """A declared setting of a destination: a field with its documentation.

    ``secret`` is never shown; ``secret="path"`` is a URL whose host may be. What stands
    there by ``${NAME}`` is secret in any case. ``url`` is one that requests go to:
    `gateway check` finds what can never be reached. ``unit`` is "size" (bytes) or
    "duration" (seconds), as everywhere in the configuration.
    """
    metadata = {"doc": doc, "example": example, "secret": secret, "url": url}
    if unit is not None:
        metadata["unit"] = unit
    if default is MISSING:
        return field(metadata=metadata)
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Schema(Generic[S]):
    """How settings are read, and what they are called."""

    read: Callable[[Mapping[str, Any], str, Path, Mistakes], S | None]
    """(as in the file, where, the file's folder) -> settings; None: it cannot be"""
    settings: tuple[Setting, ...]
    urls: tuple[str, ...] = ()
    """The names of those that are URLs to send to."""

    @classmethod
    def of(cls, declared: type[S]) -> "Schema[S]":
        """The settings of a frozen dataclass of ``setting(...)`` fields."""

        def read_as_declared(
            raw: Mapping[str, Any], place: str, folder: Path, mistakes: Mistakes
        ) -> S | None:
            return read(declared, raw, place, folder, mistakes)

        return cls(
            read_as_declared,
            tuple(
                described(each, get_type_hints(declared)[each.name])
                for each in fields(cast("Any", declared))
            ),
            tuple(
                each.name
                for each in fields(cast("Any", declared))
                if each.metadata.get("url")
            ),
        )


class Tables(NamedTuple):
    """A destination's tables beside its settings, as they stand in the file."""

    actions: Sequence[Mapping[str, Any]] = ()
    oauth: Mapping[str, Any] = NOTHING
    env: Mapping[str, Any] = NOTHING


NO_TABLES = Tables()


class Context(NamedTuple):
    """What a destination is given when it is opened."""

    name: str
    folder: Path
    send: Send
    tell: Callable[[Notice], None] = unheard
    """Says what an operator may want to know of it."""


class Shown(NamedTuple):
    """What one event would become: its requests, or why there is none."""

    requests: Sequence[Mapping[str, Json]]
    reason: str = "the destination has no request for this"


Show: TypeAlias = Callable[[Delivery], Awaitable[Shown]]
Shows: TypeAlias = Callable[[S, Context], AbstractAsyncContextManager[Show]]


def check_url(url: str | None, place: str) -> None:
    """Raise ConfigError for a URL that no request can go to; None is none."""
    if url is not None and not is_url(url):
        raise ConfigError(f"{place}: not an http or https URL")  # it may hold secrets


def nothing_wrong(settings: Any, place: str) -> None:
    """The check of a type whose settings are right when their types are."""
    del settings, place


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[S]):
    """One destination type: it has a ``talk`` (HTTP) or is ``opened`` (all else)."""

    doc: str | None
    settings: Schema[S]
    takes: Takes | Callable[[S], Takes]
    check: Callable[[S, str], None] = nothing_wrong
    """(settings, place) -> ConfigError for a value that cannot work; opens nothing."""
    tables: Callable[[S, Tables, str, Mistakes], S | None] | None = None
    """(settings, its tables, where, mistakes) -> settings with what those say."""
    mapped: Mapped | None = None
    """What it does with what a mapping of its tables makes; None: it takes none."""
    actions: tuple[str, ...] = ()
    """What ``action`` of such a table may be: what it can do with an event."""
    talk: Talks[S] | None = None
    login: Logins[S] | None = None
    """How its talks get their access, where they need one."""
    opened: Callable[[S, Context], Destination] | None = None
    """What is no HTTP; opens nothing before the first event."""
    foreseen: bool = False
    """All requests of its talk are known beforehand: they are shown as if each were
    answered 200; else the first is."""
    reserved: Mapping[str, Field] = field(default_factory=dict)
    """Where it keeps reserved traits; the docs show what comes of it, each."""
    by_wing: bool = False
    """It is opened by the wing that brings it, as its store is (wing.py)."""
    file: Callable[[S, Path], Path] | None = None
    """(settings, the configuration's folder) -> the file that it alone writes."""
    shown: Callable[[Delivery, S, Context], Mapping[str, Json]] | None = None
    """What one event becomes, for `explain`; a talk shows its first request."""
    asks: Callable[[S, Context], Awaitable[str | None]] | None = None
    """For `gateway check --connect`: why its credentials do not work, or None."""
    shows: Shows[S] | None = None
    """The same, where it takes more than the event to tell."""

    def __post_init__(self) -> None:
        """A type that can do nothing is a mistake of its author."""
        if [self.talk is None, self.opened is None, not self.by_wing].count(False) != 1:
            raise ConfigError("a Kind needs one of talk, opened, by_wing")

    def configured(
        self,
        raw: Mapping[str, Any],
        *,
        name: str,
        folder: Path,
        tables: Tables = NO_TABLES,
    ) -> "Configured[S]":
        """A destination of this type; ConfigError with all that is wrong with it."""
        mistakes = Mistakes(Text())
        made = self.drafted(
            raw, name=name, folder=folder, mistakes=mistakes, tables=tables
        )
        if made is None or mistakes.texts:
            raise ConfigError(*mistakes.texts)
        return made

    def drafted(
        self,
        raw: Mapping[str, Any],
        *,
        name: str,
        folder: Path,
        mistakes: Mistakes,
        tables: Tables = NO_TABLES,
    ) -> "Configured[S] | None":
        """A destination of this type, its settings read and checked; opens nothing.

        What is wrong is noted; None when nothing can be made of the settings.
        """
        place = f"destinations.{name}.settings"
        settings = self.settings.read(raw, place, folder, mistakes)
        if settings is not None:
            settings = self._with(tables, settings, f"destinations.{name}", mistakes)
        if settings is None:
            return None
        for name_of_url in self.settings.urls:
            with mistakes.catching():
                check_url(getattr(settings, name_of_url), f"{place}.{name_of_url}")
        with mistakes.catching():
            self.check(settings, place)
        takes = self.takes if isinstance(self.takes, Takes) else self.takes(settings)
        shape = None
        if self.is_shaped and self.tables is None:
            reading = Reading(self.mapped, self.actions, takes.types, mistakes)
            shape = reading.all(tables.actions, f"destinations.{name}.actions")
        return Configured(
            kind=self,
            settings=settings,
            takes=takes,
            name=name,
            folder=folder,
            shape=shape,
            given=mistakes.text.given_within(f"destinations.{name}"),
        )

    @property
    def is_shaped(self) -> bool:
        """Whether tables of ``actions`` say whom it gets, and what of them."""
        return self.mapped is not None or bool(self.actions)

    def _with(
        self, tables: Tables, settings: S, place: str, mistakes: Mistakes
    ) -> S | None:
        """What its tables say; a type that has none must not be given any."""
        if self.tables is not None:
            return self.tables(settings, tables, place, mistakes)
        for key, said in tables._asdict().items():
            if said and not (key == "actions" and self.is_shaped):
                mistakes.add(ConfigError(f"{place}.{key}: this type has none"))
        return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured(Generic[S]):
    """One destination as the configuration has it."""

    kind: Kind[S]
    settings: S
    takes: Takes
    name: str
    folder: Path
    given: Collection[str] = field(default=(), repr=False)
    """What the environment gave of it: never shown."""
    shape: Shape | None = None

    @property
    def steps(self) -> Sequence[Step]:
        """What it adds to its gate."""
        return () if self.shape is None else (Step("trigger", self.shape),)

    @property
    def file(self) -> Path | None:
        """The file that this destination alone writes, if it writes one."""
        own = self.kind.file
        return None if own is None else own(self.settings, self.folder)

    def urls(self) -> Iterator[tuple[str, str]]:
        """Where its requests go, each with its place in the configuration."""
        for key in self.kind.settings.urls:
            url = getattr(self.settings, key)
            if is_url(url):
                yield f"destinations.{self.name}.settings.{key}", url

    def open(self, send: Send, tell: Callable[[Notice], None] = unheard) -> Destination:
        """What a worker delivers to; it opens what it needs at its first event."""
        kind = self.kind
        if kind.opened is not None:
            return kind.opened(self.settings, self._context(send, tell))
        return self._talking(send)

    @asynccontextmanager
    async def showing(self) -> AsyncIterator[Show]:
        """What tells what events become here, secrets masked; sends nothing."""
        if self.kind.shows is not None:
            async with self.kind.shows(self.settings, self._context(_refuse)) as own:
                yield own
            return

        async def show(delivery: Delivery) -> Shown:
            if self.kind.foreseen and self.kind.talk is not None:
                requests, why = self._talking(_refuse).foreseen(delivery)
                return Shown(requests, why) if why else Shown(requests)
            request = self.preview(delivery)
            return Shown([request] if request else [])

        yield show

    async def ask(self, send: Send) -> str | None:
        """Why its credentials do not work; None when they do, or nobody can tell."""
        if self.kind.asks is None:
            return None
        return await self.kind.asks(self.settings, self._context(send))

    def preview(self, delivery: Delivery) -> Mapping[str, Json]:
        """What one event becomes here, of types that need nobody to tell it."""
        if self.kind.shown is not None:
            own = self.kind.shown(delivery, self.settings, self._context(_refuse))
            secrets = secrets_of(self.settings, self.given)
            return {
                key: masked(each, secrets) if isinstance(each, str) else each
                for key, each in own.items()
            }
        if self.kind.talk is None:
            return {}
        return self._talking(_refuse).preview(delivery)

    def _talking(self, send: Send) -> Talking[S]:
        kind = self.kind
        assert kind.talk is not None  # a Kind has one or the other
        return Talking(
            kind.talk,
            self.settings,
            takes=self.takes,
            send=send,
            logins=kind.login,
            given=self.given,
        )

    def _context(self, send: Send, tell: Callable[[Notice], None] = unheard) -> Context:
        return Context(self.name, self.folder, send, tell)


async def _refuse(request: Request) -> NoResponse:
    del request
    return NoResponse("preview")
