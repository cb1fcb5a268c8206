"""The page of the destinations: each type's docstring, settings and what it takes."""

import tomllib
from pathlib import Path
from typing import Any

from gateway.outbound.kind import Configured, Kind, Setting
from gateway.parts import known_kinds
from reference.table import code, table

HEAD = """\
# Destinations

The types that come with the gateway. Each destination has a name, a `type` and the
`settings` of its type ([the configuration](configuration.md#destinationsname) has what
all types share). [Action destinations](actions.md) are as many again as one installs.
"""


def page() -> str:
    """Every type."""
    types = known_kinds().items()
    return "\n".join([HEAD, *(_type(name, kind) for name, kind in types)])


def _type(name: str, kind: Kind[Any]) -> str:
    parts = [f"## {name}\n", (kind.doc or "").strip() + "\n"]
    if kind.settings.settings:
        rows = [_row(each) for each in kind.settings.settings]
        head = ("setting", "value", "default", "what it is", "for example")
        parts.append(table(head, rows) + "\n")
    parts.append(_takes(exemplary(kind).takes))
    return "\n".join(parts)


def exemplary(kind: Kind[Any]) -> Configured[Any]:
    """A destination of this type with the settings that its examples give."""
    needed = [each for each in kind.settings.settings if each.default is None]
    text = "\n".join(f"{each.name} = {each.example}" for each in needed)
    return kind.configured(tomllib.loads(text), name="name", folder=Path("/"))


def _row(setting: Setting) -> tuple[str, ...]:
    about = setting.doc
    if setting.secret:
        about += ". Secret: it is never shown"
    default = "needed"
    if setting.default is not None:
        default = (
            "none" if setting.default in ("", "{}", "()") else code(setting.default)
        )
    return code(setting.name), setting.value, default, about, code(setting.example)


def _takes(takes: Any) -> str:
    types = ", ".join(sorted(takes.types))
    order = {
        "person": "each person's events in their order",
        "total": "all events in the order of the log",
        "none": "events in no order",
    }[takes.order]
    batch = f"up to {takes.batch_events:,} at once" if takes.batch_events > 1 else ""
    linger = f"waits {takes.linger_s:g} s for more" if takes.linger_s else ""
    parts = f"takes {types}", order, batch, linger
    said = ", ".join(part for part in parts if part)
    return said[:1].upper() + said[1:] + ".\n"
