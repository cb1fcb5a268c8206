"""The page of one destination, for a person: what it is, takes and does, and TOML.

What comes in: a definition and what is known of it beside. What goes out: text.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.actions import toml
from gateway.actions.definitions import Action, Definition, Field
from gateway.actions.known import OAUTH, Known
from gateway.actions.overlay import corrections
from gateway.event import Json

WIDTH = 88
CHOICES_MAX = 12
SHORT_MAX = 100
EMPTY = (None, "")  # a default that fills nothing in
OAUTH_KEYS: Mapping[str, tuple[str, ...]] = {
    "token": ("access_token",),
    "app": ("refresh_token", "client_id", "client_secret"),
}
"""Way of getting a token -> what stands in ``oauth``."""


def of(definition: Definition, known: Known | None) -> str:
    """The whole page."""
    title = f"{definition.name}  (actions:{definition.directory})"
    about = [title, *_wrapped(definition.description, 0), ""]
    lines = [*about, *facts(known), *_names(definition)]
    if definition.fails is not None:
        return "\n".join([*lines, f"It does not run here: {definition.fails}"])
    lines += ["", *pasted(definition, known), *_settings(definition)]
    lines += [*_presets(definition)]
    for action in definition.actions.values():
        lines += ["", *_action(definition.directory, action)]
    return "\n".join(lines)


def facts(known: Known | None) -> list[str]:
    """What is known without the package."""
    if known is None:
        return []
    lines = [f"unless configured: {known.words}"]
    if known.types and known.identify != "no identify by default":
        lines.append(f"takes as it is, too: {', '.join(known.types)}")
    if known.hosts:
        lines.append(f"asks: {', '.join(known.hosts)}")
    if known.oauth:
        lines.append(
            f"credentials: {', or '.join(OAUTH[each] for each in known.oauth)}"
        )
    if known.env:
        lines.append(f"env: {', '.join(known.env)}")
    if known.batch:
        lines.append(f"a batch is answered {known.batch}")
    if known.note:
        lines.append(f"to know: {known.note}")
    return lines


def _names(definition: Definition) -> list[str]:
    names = [definition.name, definition.slug, *definition.integrations]
    unique = list(dict.fromkeys(names))
    return [f"in integrations: {', '.join(unique)}"]


def pasted(definition: Definition, known: Known | None) -> list[str]:
    """A table to paste, with what it needs."""
    name = definition.directory
    lines = [f"[destinations.my-{name}]", f'type = "actions:{name}"']
    needed = [each for each in definition.settings.values() if each.required is True]
    if needed:
        pairs = (f"{toml.key(each.key)} = {_example(name, each)}" for each in needed)
        lines.append(f"settings = {{ {', '.join(pairs)} }}")
    if known is not None:
        lines += _oauth(name, known.oauth)
        if known.env:
            pairs = (f'{each} = "${{{each}}}"' for each in known.env)
            lines.append(f"env = {{ {', '.join(pairs)} }}")
    return [*lines, *_first_action(definition), ""]


def _oauth(name: str, oauth: tuple[str, ...]) -> list[str]:
    for keys in (OAUTH_KEYS[way] for way in oauth if way in OAUTH_KEYS):
        pairs = (f'{key} = "${{{variable(name, key)}}}"' for key in keys)
        return [f"oauth = {{ {', '.join(pairs)} }}"]
    return []


def _first_action(definition: Definition) -> list[str]:
    """Without automatic presets nothing happens until an action is named."""
    if definition.automatic or not definition.actions:
        return []
    action = min(definition.actions.values(), key=_rank)
    lines = [f"[[destinations.my-{definition.directory}.actions]]"]
    lines.append(f"action = {toml.text(action.slug)}")
    trigger = action.trigger or 'type = "track"'
    lines.append(f"trigger = {toml.text(trigger)}")
    if action.sync_mode is not None and action.sync_mode.choices:
        mode = action.sync_mode.default or action.sync_mode.choices[0].value
        lines.append(f"sync_mode = {toml.value(mode)}")
    ours = corrections(definition.directory, action.slug).mapping
    missing = [
        each.key
        for each in action.fields.values()
        if each.required is True and each.default in EMPTY and each.key not in ours
    ]
    if missing:
        pairs = (f'{toml.key(each)} = "..."' for each in missing)
        lines.append(f"mapping = {{ {', '.join(pairs)} }}")
    return ["", *lines]


def _rank(action: Action) -> tuple[bool, bool]:
    """Who takes an identify is shown first, then who takes anything by itself."""
    trigger = action.trigger or ""
    return "identify" not in trigger, not trigger


def variable(*parts: str) -> str:
    """What an environment variable for this may be called: MIXPANEL_API_SECRET."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", "_".join(parts))
    name = re.sub(r"[^A-Za-z0-9]+", "_", spaced).upper()
    return f"_{name}" if name[:1].isdigit() else name


def _example(name: str, field: Field) -> str:
    """Its default, or a choice, or a name for the environment."""
    choices = [each.value for each in field.choices]
    if field.default not in EMPTY and (not choices or field.default in choices):
        choices = [field.default]
    if field.secret or not choices:
        return f'"${{{variable(name, field.key)}}}"'
    return toml.value(choices[0])


def _settings(definition: Definition) -> Iterator[str]:
    if definition.settings:
        yield "Settings"
    for each in definition.settings.values():
        yield from _field(each, told=True)


def _presets(definition: Definition) -> Iterator[str]:
    automatic = definition.automatic
    if automatic:
        yield ""
        yield "Unless actions are named, these presets run"
        for each in automatic:
            yield f"  {each.name}: {each.action}, when {each.trigger}"


def _action(directory: str, action: Action) -> Iterator[str]:
    yield f"Action {action.slug}: {action.title}"
    yield from _wrapped(action.description, 2)
    yield f"  trigger: {action.trigger or 'none: write one'}"
    if action.sync_mode is not None:
        modes = ", ".join(str(each.value) for each in action.sync_mode.choices)
        yield f"  sync_mode: {modes}"
    if action.batch:
        yield "  batch: possible"
    if action.hooks:
        yield f"  hooks: {', '.join(action.hooks)}"
    if (ours := corrections(directory, action.slug)).mapping:
        yield from _wrapped(f"mapped by the gateway: {', '.join(ours.mapping)}", 2)
        yield from _wrapped(ours.why, 6)
    for each in action.fields.values():
        if not each.hidden:
            yield from _field(each, told=False)


def _field(field: Field, *, told: bool) -> Iterator[str]:
    """A line, its choices, and for settings what they are."""
    kind = f"list of {field.type}" if field.multiple else field.type
    said = [kind, _needed(field)] if field.required else [kind]
    line = f"  {field.key}  ({', '.join(said)})"
    if field.default is not None:
        line += f"  {short(field.default)}"
    yield line
    if told:
        yield from _wrapped(f"{field.label}: {field.description}", 6)
    if field.choices:
        shown = [_choice(each.value, each.label) for each in field.choices]
        more = len(shown) - CHOICES_MAX
        tail = f", and {more} more" if more > 0 else ""
        yield from _wrapped(f"one of {', '.join(shown[:CHOICES_MAX])}{tail}", 6)


def _choice(value: Json, label: str) -> str:
    return toml.value(value) + (f" ({label})" if label != str(value) else "")


def _needed(field: Field) -> str:
    if field.required is True:
        return "needed"
    assert isinstance(field.required, Mapping)
    how = " or " if field.required.get("match") == "any" else " and "
    return f"needed if {how.join(map(_condition, field.required['conditions']))}"


def _condition(condition: Mapping[str, Any]) -> str:
    operator = str(condition["operator"]).replace("_", " ")
    wanted = condition.get("value")
    shown = "nothing" if wanted is None else orjson.dumps(wanted).decode()
    return f"{condition['fieldKey']} {operator} {shown}"


def short(default: Json) -> str:
    """A default as short as it can be read: a path is its path."""
    if isinstance(default, dict):
        if {*default} == {"@path"}:
            return str(default["@path"])
        if {*default} == {"@template"}:
            return str(default["@template"])
        choice = default.get("@if")
        if isinstance(choice, dict) and choice.get("exists") == choice.get("then"):
            parts = [short(choice["then"])]
            if "else" in choice:
                parts.append(short(choice["else"]))
            return ", else ".join(parts)
    whole = orjson.dumps(default).decode()
    return whole if len(whole) <= SHORT_MAX else f"{whole[:SHORT_MAX]}..."


def _wrapped(text: str, indent: int) -> list[str]:
    words = " ".join(text.split()).strip()
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
