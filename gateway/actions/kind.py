"""``type = "actions:NAME"``: a destination type for each of Segment's destinations.

None is made before somebody names it, and none is opened before its first event.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gateway.actions import definitions, node, read
from gateway.actions.definitions import Definition, Installed
from gateway.actions.destination import Actions
from gateway.actions.isolate import Isolate, prefix_of
from gateway.actions.known import cannot
from gateway.actions.launch import launched
from gateway.actions.node import Node
from gateway.actions.runner import Runner
from gateway.actions.settings import Settings
from gateway.actions.tokens import Tokens
from gateway.actions.view import ALIASES, SAFE_OPTIONS
from gateway.errors import ConfigError
from gateway.event import EventType, Json
from gateway.mistakes import Mistakes
from gateway.outbound.contract import Takes
from gateway.outbound.http import Request, Response
from gateway.outbound.kind import Context, Kind, Schema, Show

PREFIX = "actions:"


class Kinds(Mapping[str, Kind[Settings]]):
    """Every ``actions:`` type, made when it is asked for; they are listed elsewhere."""

    def __init__(
        self, root: Path, tokens: Path | None = None, isolate: Isolate = "auto"
    ) -> None:
        self._root = root
        self._tokens = tokens
        self._isolate: Isolate = isolate
        self._node: Node | None = None
        self._made: dict[str, Kind[Settings]] = {}

    def __contains__(self, type_: object) -> bool:
        return isinstance(type_, str) and type_.startswith(PREFIX)

    def __getitem__(self, type_: str) -> Kind[Settings]:
        """The kind; ConfigError with the remedy when it cannot be had."""
        if type_ not in self:
            raise KeyError(type_)
        if type_ not in self._made:
            self._made[type_] = self._kind(type_.removeprefix(PREFIX))
        return self._made[type_]

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def _kind(self, name: str) -> Kind[Settings]:
        try:
            program, installed = self.node(), self._installed(name)
            definition = installed.look_up(name)
        except ConfigError as error:
            raise ConfigError(f"type: {error}") from error
        why = cannot(definition.directory) or definition.fails
        if why is not None:
            raise ConfigError(f"type: actions:{name} does not run here: {why}")
        tokens, prefix = self._tokens, prefix_of(self._isolate)
        return kind(definition, installed, program, tokens, prefix)

    def _installed(self, name: str) -> Installed:
        installed = definitions.find(self._root)
        if installed is None:
            text = f"actions:{name} is not installed: {definitions.INSTALL}"
            raise ConfigError(text)
        return installed

    def node(self) -> Node:
        """What runs them; ConfigError with the remedy when there is none."""
        if self._node is None:
            self._node = node.find()
        return self._node


def kind(
    definition: Definition,
    installed: Installed,
    program: Node,
    tokens: Path | None = None,
    prefix: tuple[str, ...] = (),
) -> Kind[Settings]:
    """The type of one destination of the package; ``prefix`` goes before its Node."""

    def settings(
        raw: Mapping[str, Any], place: str, folder: Path, mistakes: Mistakes
    ) -> Settings | None:
        del folder
        made = read.settings_of(definition, installed, raw, place, mistakes)
        return None if made is None else replace(made, tokens=tokens, prefix=prefix)

    return Kind(
        doc=f"{definition.name}, of Segment's action destinations.",
        settings=Schema(settings, ()),
        takes=takes,
        tables=partial(read.with_tables, definition),
        opened=partial(opened, program),
        shows=partial(shows, program),
        asks=partial(asks, program) if definition.tests else None,
    )


def takes(settings: Settings) -> Takes:
    """What its actions can want, one event at a time."""
    types: frozenset[EventType] = frozenset().union(
        *(each.types for each in settings.actions)
    )
    sizes = [each.batch for each in settings.actions if each.batch is not None]
    events = min(sizes, default=1)
    alone = len(settings.actions) - len(sizes)
    return Takes(
        types=types,
        batch_events=events,
        spelling="camelCase",
        safe_options=SAFE_OPTIONS,
        names=settings.names,
        attempt_requests=REQUESTS_EACH * max(1, len(sizes) + alone * events),
    )


REQUESTS_EACH = 3  # an action that looks something up, makes it and links it


async def asks(program: Node, settings: Settings, context: Context) -> str | None:
    """Why its credentials do not work; None when they do."""
    made = opened(program, settings, context)
    try:
        return await made.ask()
    finally:
        await made.close()


@asynccontextmanager
async def shows(
    program: Node, settings: Settings, context: Context
) -> AsyncIterator[Show]:
    """What its actions would send; whatever they ask is answered 200, with nothing."""
    given = {"access_token": settings.oauth.get("access_token", "TOKEN")}
    quiet = replace(settings, oauth=given, refreshes=False)
    made = opened(program, quiet, context._replace(send=_invented))
    try:
        yield made.show
    finally:
        await made.close()


async def _invented(request: Request) -> Response:
    del request
    return Response(
        status=200, headers={"content-type": "application/json"}, body=b"{}"
    )


def opened(program: Node, settings: Settings, context: Context) -> Actions:
    """Opens nothing: the process is started by the first event."""
    launch = launched(program, settings)
    runner = Runner(launch, init_of(settings), context.tell)
    folder = settings.tokens or context.folder / definitions.ROOT
    file = folder / f"{context.name}.json"
    tokens = Tokens(settings.oauth, refreshes=settings.refreshes, file=file)
    send, tell = context.send, context.tell
    return Actions(settings, takes(settings), runner, tokens, send, tell)


def init_of(settings: Settings) -> Mapping[str, Json]:
    """What a sidecar is told once."""
    return {
        "directory": settings.directory,
        "settings": dict(settings.settings),
        "actions": [
            {"slug": each.slug, "mapping": dict(each.mapping)}
            for each in settings.actions
        ],
        "aliases": dict(ALIASES),
    }
