"""Our own definition ``acme``, configured by the test; no Node is asked."""

import copy
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gateway.actions import definitions, kind
from gateway.actions.definitions import Installed
from gateway.actions.node import Node
from gateway.actions.settings import Chosen, Settings
from gateway.mistakes import Mistakes, Text
from gateway.outbound.kind import Configured, Tables
from tests.actions.machine import WRITTEN

RAW: Mapping[str, Any] = json.loads(WRITTEN.read_text())["definitions"]["acme"]
PROGRAM = Node(program=Path("/no/node"), version="v20.1.0")
KEY = {"apiKey": "k3y of acme"}


class Read(NamedTuple):
    """What became of a table: the destination, or what is wrong with it."""

    made: Configured[Settings] | None
    errors: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def settings(self) -> Settings:
        assert self.made is not None
        assert self.errors == ()
        return self.made.settings

    @property
    def chosen(self) -> tuple[Chosen, ...]:
        return self.settings.actions

    @property
    def error(self) -> str:
        (text,) = self.errors
        return text


def raw(**changes: Any) -> dict[str, Any]:
    """The definition as an install writes it, with other keys."""
    return {**copy.deepcopy(dict(RAW)), **changes}


def read(
    settings: Mapping[str, Any] = KEY,
    actions: Sequence[Mapping[str, Any]] = (),
    *,
    of: Mapping[str, Any] = RAW,
    directory: str = "acme",
    **tables: Mapping[str, Any],
) -> Read:
    """``[destinations.acme]`` with these settings and tables."""
    made = definitions.definition(directory, of)
    installed = Installed(Path("/no/installation"))
    mistakes = Mistakes(Text())
    of_type = kind.kind(made, installed, PROGRAM)
    drafted = of_type.drafted(
        settings,
        name="acme",
        folder=Path("/no"),
        mistakes=mistakes,
        tables=Tables(actions=actions, **tables),
    )
    doubts = tuple(each.partition(": ")[2] for each in mistakes.doubts)
    return Read(drafted, mistakes.texts, doubts)


acting = partial(read, KEY)
