"""A Segment workspace as TOML: a table for each action destination.

What comes in: what was exported, and the installed definitions. What goes out: a text
that is a configuration's part, with a comment wherever Segment has what has no equal
here. A secret never stands in it: a name for the environment does.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.actions import toml
from gateway.actions.definitions import Action, Definition, Field, Installed
from gateway.actions.exported import Answer, Exported
from gateway.actions.known import cannot, known
from gateway.actions.page import OAUTH_KEYS, variable
from gateway.event import Json

HIDDEN = re.compile(r"[\u2022\u25cf]{3}|^\*{4,}\S{0,4}$")  # what is shown of secrets
RESERVED = "__segment_internal_"  # what is no field, and means something
SYNC_MODE = f"{RESERVED}sync_mode"
OF_SEGMENT = frozenset({"dynamicAuthSettings"})
BATCHING = frozenset({"enable_batching", "batch_size", "batch_bytes", "batch_keys"})
NAME_MAX = 50


@dataclass(slots=True)
class Written:
    """What was made, and what is missing in it."""

    lines: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    """Name for the environment -> where it stands."""
    made: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Destinations that have no equal here."""

    def secret(self, place: str, *parts: str) -> str:
        """A reference to the environment, which is listed."""
        name = variable(*parts)
        self.secrets.setdefault(name, place)
        return f"${{{name}}}"

    def say(self, text: str) -> None:
        """A comment."""
        self.lines.append(toml.comment(text))


def translated(exported: Exported, installed: Installed) -> Written:
    """Every destination, in the order of the export."""
    written = Written()
    for identity, each in exported.destinations.items():
        written.lines.append("")
        metadata = each["metadata"]
        definition = _definition(metadata, installed)
        title = _title(each)
        reason = _no_equal(definition, installed)
        if definition is None or reason is not None:
            written.left.append(title)
            written.say(f"{title}: not here: {reason}")
            continue
        name = _name(each, definition, written.made)
        one = _One(name, identity, each, definition, exported, written)
        if (idle := one.idle()) is not None:
            written.left.append(title)
            written.say(f"{title}: not here: {idle}")
            continue
        written.made.append(name)
        one.write()
    return written


def whole(written: Written) -> str:
    """The text, with what it needs at the top."""
    head = Written()
    head.say("From a Segment workspace. Read the comments, then ask gateway check.")
    if written.secrets:
        head.say("It needs in the environment:")
    width = max(map(len, written.secrets), default=0)
    for name, place in written.secrets.items():
        head.lines.append(f"#   {name.ljust(width)}  {place}")
    return "\n".join([*head.lines, *written.lines]) + "\n"


def _definition(metadata: Answer, installed: Installed) -> Definition | None:
    """By the catalogue's id; a classic one may have a name that is a directory here."""
    if identity := metadata.get("id"):
        return next((each for each in installed if each.id == identity), None)
    called = metadata.get("slug"), metadata.get("name")
    return next(
        (each for each in installed if {each.slug, each.name} & {*called}), None
    )


def _no_equal(definition: Definition | None, installed: Installed) -> str | None:
    if definition is None:
        return f"a classic destination, or newer than {installed.version}"
    return cannot(definition.directory) or definition.fails


def _title(each: Answer) -> str:
    catalogue = each["metadata"].get("name")
    name = each.get("name") or catalogue
    return f'"{name}" ({catalogue})'


def _name(each: Answer, definition: Definition, taken: list[str]) -> str:
    """A name that a destination may have, and that no other has yet."""
    given = slug(str(each.get("name") or "")) or definition.directory
    name, number = given[:NAME_MAX], 1
    while name in taken:
        number += 1
        name = f"{given[: NAME_MAX - 4]}-{number}"
    return name


def slug(text: str) -> str:
    """A text as a name: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@dataclass(frozen=True, slots=True)
class _One:
    """One destination on its way into TOML."""

    name: str
    identity: str
    each: Answer
    definition: Definition
    exported: Exported
    written: Written

    @property
    def subscriptions(self) -> list[Answer]:
        """What Segment has it do."""
        return self.exported.subscriptions.get(self.identity, [])

    def idle(self) -> str | None:
        """Why it would do nothing here, or what Segment does not; nothing if it works.

        One without actions runs its automatic presets.
        """
        reasons = [self._action(each)[1] for each in self.subscriptions]
        if reasons and None not in reasons:
            return "; ".join(dict.fromkeys(filter(None, reasons)))
        if reasons or self.definition.automatic:
            return None
        actions = ", ".join(self.definition.actions) or "none"
        return f"no subscriptions of it are in the file; its actions are {actions}"

    def write(self) -> None:
        """Its table, its actions, and what is missing."""
        self.written.say(_title(self.each))
        self._put(f"[destinations.{self.name}]")
        self._put(f'type = "actions:{self.definition.directory}"')
        if self.each.get("enabled") is False:
            self._put("enabled = false")
        self._put(f"display_name = {toml.value(self._display_names())}")
        self._source()
        self._settings()
        self._credentials()
        self._no_equals()
        if not self.subscriptions:
            self.written.say("no subscriptions in the file: its automatic presets run")
        for each in self.subscriptions:
            self._subscription(each)

    def _put(self, line: str) -> None:
        self.written.lines.append(line)

    def _display_names(self) -> Json:
        """What it is called in ``integrations``, now and earlier."""
        metadata = self.each["metadata"]
        previous = metadata.get("previousNames") or []
        names = [metadata.get("name") or self.definition.name, *previous]
        unique = [str(each) for each in dict.fromkeys(names)]
        return unique[0] if len(unique) == 1 else list(unique)

    def _source(self) -> None:
        """Only the events of its source; without the sources' names nothing fits."""
        identity = self.each.get("sourceId")
        if not identity:
            return
        name = self.exported.sources.get(identity)
        if name is None:
            text = f"source {identity}: write the name that it has here into `when`"
            self.written.say(text)
        quoted = re.sub(r"[^\w-]", "", slug(name) if name else str(identity))
        self._put(f"when = \"source == '{quoted}'\"")

    def _settings(self) -> None:
        given = self.each.get("settings")
        given = given if isinstance(given, Mapping) else {}
        pairs = []
        for key, each in self.definition.settings.items():
            value = given.get(key)
            if _withheld(value, each):
                place = f"{self.name}: settings.{key}"
                value = self.written.secret(place, self.name, key)
            if value not in (None, ""):
                pairs.append(f"{toml.key(key)} = {toml.value(_typed(value, each))}")
        if pairs:
            self._put(f"settings = {{ {', '.join(pairs)} }}")
        unknown = given.keys() - self.definition.settings.keys() - OF_SEGMENT
        if unknown:
            self.written.say(
                f"settings that it does not have: {', '.join(sorted(unknown))}"
            )

    def _credentials(self) -> None:
        """Tokens and a partner's secrets: they are in no export."""
        facts = known().get(self.definition.directory)
        if facts is None:
            return
        way = next((each for each in facts.oauth if each in OAUTH_KEYS), None)
        keys: Mapping[str, Mapping[str, tuple[str, ...]]] = {
            "oauth": {key: (self.name, key) for key in OAUTH_KEYS.get(way or "", ())},
            "env": {key: (key,) for key in facts.env},
        }
        for table, parts in keys.items():
            pairs = [
                f'{key} = "{self.written.secret(f"{self.name}: {table}.{key}", *part)}"'
                for key, part in parts.items()
            ]
            if pairs:
                self._put(f"{table} = {{ {', '.join(pairs)} }}")

    def _no_equals(self) -> None:
        """Filters and insert functions are configured otherwise here."""
        for each in self.exported.filters.get(self.identity, []):
            title, condition = each.get("title") or each.get("id"), each.get("if")
            self.written.say(f'filter "{title}": {condition}: write it into `when`')
        for each in self.exported.functions.get(self.identity, []):
            title = each.get("name") or each.get("id")
            self.written.say(f'insert function "{title}": see `transform`')

    def _subscription(self, each: Answer) -> None:
        """An action, or a comment that says why there is none."""
        title = each.get("name") or each.get("id")
        action, reason = self._action(each)
        if action is None or reason is not None:
            self.written.say(f'"{title}": left out: {reason}')
            return
        self._put("")
        self.written.say(str(title))
        self._put(f"[[destinations.{self.name}.actions]]")
        self._put(f"action = {toml.text(action.slug)}")
        trigger = each.get("trigger")
        if trigger:
            self._put(f"trigger = {toml.text(str(trigger))}")
        else:
            self.written.say("it has no trigger at Segment: nothing starts it")
        if each.get("enabled") is False or not trigger:
            self._put("enabled = false")
        self._mapping(action, each.get("settings") or {})

    def _action(self, each: Answer) -> tuple[Action | None, str | None]:
        """The action that it names; or why it is left out."""
        if each.get("modelId") or each.get("reverseETLSchedule"):
            return None, "it is fed by reverse ETL"
        called = each.get("actionSlug") or self._slug_of(each.get("actionId"))
        action = self.definition.actions.get(str(called))
        if action is None:
            why = "it runs in browsers, or is of another version"
            return None, f"there is no action {called}: {why}"
        for preset in self.definition.presets:
            same = (preset.name, preset.action) == (each.get("name"), action.slug)
            if same and not preset.automatic:
                return None, "it is a preset of Engage or reverse ETL"
        return action, None

    def _slug_of(self, identity: Any) -> str | None:
        """The key of an action by its id in the catalogue."""
        actions = self.each["metadata"].get("actions") or []
        return next(
            (one.get("slug") for one in actions if one.get("id") == identity), None
        )

    def _mapping(self, action: Action, given: Mapping[str, Json]) -> None:
        """Where it differs from the default; what it has not, the default has not."""
        mode = given.get(SYNC_MODE)
        if mode:
            self._put(f"sync_mode = {toml.value(mode)}")
        if action.batch and str(given.get("enable_batching")).lower() == "true":
            size = given.get("batch_size")
            self.written.say(
                f"Segment batches here{f', {size} at most' if size else ''}; "
                "see `batch`, which is off unless it is set"
            )
        changed = dict(_changed(action, given))
        known = {*action.fields, *action.hooks}
        for key in [each for each in changed if each not in known]:
            if not key.startswith(RESERVED):
                del changed[key]
                self.written.say(f"{key}: left out: {action.slug} has no such field")
        if changed:
            self._put(f"[destinations.{self.name}.actions.mapping]")
        for key, value in changed.items():
            shown = self._veiled(value, key)
            self._put(f"{toml.key(key)} = {toml.value(shown)}")

    def _veiled(self, value: Json, *place: str) -> Json:
        """The value, with names for what was hidden in it."""
        if isinstance(value, dict):
            return {key: self._veiled(each, *place, key) for key, each in value.items()}
        if isinstance(value, list):
            return [self._veiled(each, *place) for each in value]
        if isinstance(value, str) and HIDDEN.search(value):
            where = f"{self.name}: mapping.{'.'.join(place)}"
            return self.written.secret(where, self.name, *place)
        return value


def _withheld(value: Json, each: Field) -> bool:
    """Whether it has to come from elsewhere: a secret, or what is missing."""
    if value in (None, ""):
        return each.required is True
    return each.secret or (isinstance(value, str) and bool(HIDDEN.search(value)))


def _changed(action: Action, given: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    defaults = action.defaults
    for key, value in given.items():
        if key == SYNC_MODE or key in BATCHING:
            continue
        each = action.fields.get(key)
        typed = value if each is None else _typed(value, each)
        if typed != defaults.get(key) and value != defaults.get(key):
            yield key, typed
    for key in defaults:
        if not (key in given or key in BATCHING or action.fields[key].hidden):
            yield key, ""


def _typed(value: Json, each: Field) -> Json:
    """Numbers and booleans, which the API may have as texts, as what they are."""
    if not isinstance(value, str):
        return value
    if each.type == "boolean" and value in {"true", "false"}:
        return value == "true"
    if each.type in {"integer", "number"} and re.fullmatch(
        r"-?\d{1,18}(\.\d+)?", value
    ):
        return float(value) if "." in value else int(value)
    return value
