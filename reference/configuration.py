"""The page of the configuration.

Types and defaults come from its dataclasses, what a key is for from the comments in
gateway.example.toml.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from gateway import config
from gateway.mistakes import Mistakes, Text
from gateway.parts import wings_of
from gateway.values import DURATION_UNITS, SIZE_UNITS
from gateway.wing import Wing
from gateway.wings import WINGS
from reference.table import code, table

EXAMPLE = Path(__file__).parents[1] / "gateway.example.toml"


def _wings() -> dict[str, Wing]:
    mistakes = Mistakes(Text())
    wings = wings_of(config.parse(config.DEFAULT, folder=Path("/")), mistakes)
    return dict(zip(WINGS, wings, strict=True))


SECTIONS: Mapping[str, type[Any]] = {
    "server": config.Server,
    "limits": config.Limits,
    "log": config.LogConfig,
    "sources.NAME": config.Source,
    "destinations.NAME": config.DestinationConfig,
    "destinations.NAME.delivery": config.DeliveryConfig,
    "egress": config.EgressConfig,
    "console": config.ConsoleConfig,
    **{name: type(wing.settings) for name, wing in _wings().items()},
}
HEADER = re.compile(r"(?:# )?\[+([a-z.-]+)\]+(?:\s+#\s*(.*))?")
KEY = re.compile(r"(?:# )?([a-z_]+) = (.*?)(?:\s+# (.*))?")
CHOICES = re.compile(r"[\w-]+( \| [\w-]+)+: ")  # the type says them
HEAD = """\
# The configuration

One TOML file. Everything has a default but the names of sources and destinations
(`[a-z0-9-]`, 50 characters at most). `${NAME}` in a text is read from the environment;
one that is not set is an error. Paths are relative to the file. Unknown keys are
errors. Sizes have a unit (`B`, `KB`, `MB`, `GB`, powers of ten) or are a number of
bytes; durations have one (`ms`, `s`, `m`, `h`, `d`). `gateway check` finds everything
that is wrong with a file. [gateway.example.toml](../../gateway.example.toml) is a whole
one; [how to configure](../how-to/configure.md) is where to begin.
"""


class Told(NamedTuple):
    """What the example says of a key."""

    example: str
    about: str


def page() -> str:
    """Every section with its keys."""
    told = explained(EXAMPLE.read_text(encoding="utf-8"))
    parts = [HEAD]
    for section, cls in SECTIONS.items():
        parts.append(f"## {section}\n")
        about = (cls.__doc__ or "").partition("\n")[0].partition(": ")[2]
        parts.append(_sentence(about.replace("``", "`")) + "\n")
        parts.append(table(("key", "value", "default", "what it is"), _rows(cls, told)))
        parts.append("")
    return "\n".join(parts)


def _rows(cls: type[Any], told: Mapping[tuple[type[Any], str], Told]) -> list[Any]:
    hints = get_type_hints(cls)
    rows = []
    for field in dataclasses.fields(cls):
        unit = field.metadata.get("unit")
        hint = hints[field.name]
        if unit == "name" or dataclasses.is_dataclass(hint):
            continue
        key = field.metadata.get("key", field.name)
        example, about = told.get((cls, key), Told("", ""))
        about = CHOICES.sub("", about)
        default = _default(field)
        shown = about if code(example) in ("", default) else f"{about}; `{example}`"
        rows.append((code(key), _kind(hint, unit), default, shown))
    return rows


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def explained(text: str) -> dict[tuple[type[Any], str], Told]:
    """The comments of an example, by the class that holds the key; the first wins."""
    found: dict[tuple[type[Any], str], Told] = {}
    section: type[Any] | None = None
    for line in text.splitlines():
        if header := HEADER.fullmatch(line):
            name = _section(header[1])
            section = SECTIONS.get(name)
            outer, _, key = name.rpartition(".")
            if section is None and outer in SECTIONS:
                found.setdefault((SECTIONS[outer], key), Told("", header[2] or ""))
        elif section is not None and (match := KEY.fullmatch(line)):
            told = Told(match[2], match[3] or "")
            found.setdefault((section, match[1]), told)
    return found


def _section(name: str) -> str:
    first, *rest = name.split(".")
    return ".".join([first, *(["NAME", *rest[1:]] if rest else [])])


def _kind(hint: Any, unit: str | None) -> str:
    if unit == "texts":
        return "text, or list of texts"
    if unit is not None:
        return unit
    if isinstance(hint, UnionType):
        hint = next(each for each in get_args(hint) if each is not type(None))
    if get_origin(hint) is Literal:
        return " or ".join(code(str(each)) for each in get_args(hint))
    if get_origin(hint) is tuple:
        return "list of texts" if get_args(hint)[0] is str else "list of tables"
    names = {str: "text", int: "whole number", bool: "true or false", Path: "path"}
    return names.get(hint, "table")


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default is dataclasses.MISSING:
        return "none" if field.default_factory is not dataclasses.MISSING else "needed"
    default, unit = field.default, field.metadata.get("unit")
    if unit == "texts":
        return "none"
    if unit is not None:
        return code(_quantity(default, unit))
    if isinstance(default, bool):
        return code(str(default).lower())
    if isinstance(default, tuple):
        return code("[" + ", ".join(f'"{each}"' for each in default) + "]")
    if isinstance(default, int):
        return code(f"{default:_}")
    return code(f'"{default}"') if default else "none"


def _quantity(value: float, unit: str) -> str:
    """In the largest unit that says it in whole numbers."""
    units: Mapping[str, float] = SIZE_UNITS if unit == "size" else DURATION_UNITS
    for name, size in sorted(units.items(), key=lambda each: -each[1]):
        count = value / size
        if count == int(count) and count >= 1:
            return f"{int(count):_}" if name == "B" else f'"{int(count)}{name}"'
    raise ValueError(value)
