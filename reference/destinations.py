"""The page of the destinations: each type's docstring, settings and traits."""

import dataclasses
from typing import Any, get_type_hints

from gateway.outbound import destinations
from reference.table import code, table

NAMES = {str: "text", int: "whole number", bool: "true or false", float: "number"}
HEAD = """\
# Destinations

The types that come with the gateway. Each destination has a name, a `type` and the
`settings` of its type ([the configuration](configuration.md#destinationsname) has what
all types share).
"""


def page() -> str:
    """Every type."""
    return "\n".join([HEAD, *map(_type, destinations.names())])


def _type(name: str) -> str:
    kind = destinations.load(name)
    parts = [f"## {name}\n", kind.doc.strip() + "\n"]
    settings = dataclasses.fields(kind.module.Settings)
    if settings:
        hints = get_type_hints(kind.module.Settings)
        rows = [_row(field, hints[field.name]) for field in settings]
        head = ("setting", "value", "default", "what it is", "for example")
        parts.append(table(head, rows) + "\n")
    parts.append(_traits(kind.traits))
    return "\n".join(parts)


def _row(field: "dataclasses.Field[Any]", hint: Any) -> tuple[str, ...]:
    about = field.metadata.get("doc", "")
    if field.metadata.get("secret"):
        about += ". Secret: it is never shown"
    default = "needed"
    if field.default is not dataclasses.MISSING:
        default = code(str(field.default)) or "none"
    elif field.default_factory is not dataclasses.MISSING:
        default = "none"
    example = code(field.metadata.get("example", ""))
    return code(field.name), NAMES.get(hint, "table"), default, about, example


def _traits(traits: Any) -> str:
    types = ", ".join(sorted(traits.types))
    order = {
        "person": "each person's events in their order",
        "total": "all events in the order of the log",
        "none": "events in no order",
    }[traits.order]
    batch = f"up to {traits.batch_events:,} at once" if traits.batch_events > 1 else ""
    said = ", ".join(part for part in (f"takes {types}", order, batch) if part)
    return said[:1].upper() + said[1:] + ".\n"
