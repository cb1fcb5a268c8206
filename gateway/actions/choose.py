"""Which actions a destination runs: those configured, else its automatic presets.

A configured action begins with what the package has for it: a preset's trigger and
mapping, or the action's own. The mapping of the configuration is laid over that field
by field; "" takes a field out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.actions.definitions import Action, Definition, Preset
from gateway.actions.known import known
from gateway.actions.overlay import corrected
from gateway.actions.settings import Chosen, OnInvalid, nothing
from gateway.email import is_email
from gateway.errors import ConfigError
from gateway.event import PIPELINE_TYPES, EventType, Json
from gateway.mistakes import Mistakes, meant, unknown
from gateway.outbound.contract import NOTHING
from gateway.outbound.mapping import Trigger, build, doubts, lint, parse
from gateway.outbound.when import Filter

KEYS = (
    "action",
    "preset",
    "types",
    "trigger",
    "when",
    "mapping",
    "sync_mode",
    "on_invalid",
    "enabled",
    "batch",
    "email_as_user_id",
)
BATCH_SIZE, BATCH_KEYS = "batch_size", "batch_keys"
BATCH_MAX = 1_000
FIRST_ONLY = frozenset(
    {
        *("url", "method", "headers", "operation", "list_id", "listId", "audience_id"),
        *("audienceId", "spreadsheet_id", "spreadsheetId", "spreadsheet_name"),
        *("object", "object_type", "objectType", "customObjectName", "event_set_id"),
    }
)
"""Fields that batches of the package read of their first event and use for all."""
SYNC_MODE = "__segment_internal_sync_mode"
WEB = "web"


@dataclass(frozen=True, slots=True)
class Base:
    """What an action begins with."""

    name: str
    action: Action
    trigger: str | None
    mapping: Mapping[str, Json]


class Choosing:
    """Reads ``[[destinations.NAME.actions]]``; notes what is wrong with it."""

    def __init__(self, definition: Definition, place: str, mistakes: Mistakes) -> None:
        self._definition = definition
        self._place = place
        self._mistakes = mistakes

    def all(self, tables: Sequence[Mapping[str, Any]]) -> list[Chosen]:
        """The actions that run, in their order."""
        if not tables:
            return self._presets()
        found = []
        for number, table in enumerate(tables):
            place = f"{self._place}[{number}]"
            with self._mistakes.catching():
                chosen = self._one(table, place)
                if chosen is not None:
                    found.append(chosen)
        return _named_apart(found)

    def _presets(self) -> list[Chosen]:
        """As at Segment, when nobody says anything."""
        definition, found = self._definition, []
        for preset in definition.automatic:
            base = self._of_preset(preset)
            if base.action.platform != WEB:
                found.append(self._chosen(base, {}, self._place))
        if not found:
            known = ", ".join(definition.actions)
            text = "none, and it has no automatic presets: add [[...actions]] with"
            self._mistakes.add(
                ConfigError(f"{self._place}: {text} action = one of {known}")
            )
        return _named_apart([each for each in found if each is not None])

    def _one(self, table: Mapping[str, Any], place: str) -> Chosen | None:
        texts = [unknown(place, key, KEYS) for key in table if key not in KEYS]
        if texts:
            raise ConfigError(*texts)
        base = self._base(table, place)
        if not _is_on(table, "enabled", place):
            return None
        return self._chosen(base, table, place)

    def _base(self, table: Mapping[str, Any], place: str) -> Base:
        action, preset = table.get("action"), table.get("preset")
        if (action is None) == (preset is None):
            raise ConfigError(f"{place}: give action = SLUG, or preset = NAME")
        if preset is not None:
            found = self._of_preset(self._preset(preset, f"{place}.preset"))
            _not_of_browsers(found.action, f"{place}.preset: {preset}")
            return found
        known = self._definition.actions
        if not isinstance(action, str) or action not in known:
            listed = f"{', '.join(known)}{meant(str(action), list(known))}"
            raise ConfigError(f"{place}.action: {action!r} is not one of {listed}")
        its = known[action]
        _not_of_browsers(its, f"{place}.action: {action}")
        return Base(its.slug, its, its.trigger, self._defaults(its))

    def _preset(self, name: Any, place: str) -> Preset:
        ours = self._definition.actions
        found = [each for each in self._definition.presets if each.action in ours]
        for preset in found:
            if preset.name == name:
                return preset
        known = [each.name for each in found]
        listed = f"{', '.join(known)}{meant(str(name), known)}"
        raise ConfigError(f"{place}: {name!r} is not one of {listed}")

    def _of_preset(self, preset: Preset) -> Base:
        action = self._definition.actions[preset.action]
        mapping = self._defaults(action, preset.mapping)
        return Base(preset.name, action, preset.trigger, mapping)

    def _defaults(
        self, action: Action, more: Mapping[str, Json] = NOTHING
    ) -> dict[str, Json]:
        """The package's mapping, corrected."""
        mapping = {**action.defaults, **more}
        return corrected(mapping, self._definition.directory, action.slug)

    def _chosen(
        self, base: Base, table: Mapping[str, Any], place: str
    ) -> Chosen | None:
        mapping = self._mapping(base, table, place)
        wants = self._wants(base, table, place)
        on_invalid: OnInvalid = "dead"
        if (said := table.get("on_invalid", "dead")) == "skip":
            on_invalid = "skip"
        elif said != "dead":
            self._mistakes.add(ConfigError(f"{place}.on_invalid: dead or skip"))
        if mapping is None or wants is None:
            return None
        batch = self._batch(base.action, table, place)
        answers = known().get(self._definition.directory)
        per_item = answers is not None and answers.batch == "per item"
        if batch is not None and not per_item:
            text = f"{place}.batch: a partial refusal of a batch is not noticed here"
            self._mistakes.doubt(text)
        return Chosen(
            batch=batch,
            per_item=per_item,
            alike=self._alike(base.action, mapping, place) if batch else nothing,
            name=base.name,
            slug=base.action.slug,
            wants=wants,
            types=wants.types,
            mapping=mapping,
            on_invalid=on_invalid,
        )

    def _batch(
        self, action: Action, table: Mapping[str, Any], place: str
    ) -> int | None:
        """How many events a call may hold, where it is asked for."""
        if (given := table.get("batch")) is None:
            return None
        place = f"{place}.batch"
        if not action.batch:
            text = f"{action.slug} takes one event at a time"
            self._mistakes.add(ConfigError(f"{place}: {text}"))
            return None
        most = BATCH_MAX
        if (size := action.fields.get(BATCH_SIZE)) is not None:
            most = min(most, int(size.maximum or most))
        if not isinstance(given, int) or isinstance(given, bool) or given < 1:
            self._mistakes.add(ConfigError(f"{place}: is not a whole number above 0"))
        elif given > most:
            self._mistakes.add(ConfigError(f"{place}: more than {most}"))
        else:
            return given
        return None

    def _alike(
        self, action: Action, mapping: Mapping[str, Json], place: str
    ) -> Callable[[Json], Json]:
        """What must be equal in a batch, computed as the package will."""
        declared = action.fields.get(BATCH_KEYS)
        keys = declared.default if declared is not None else None
        names = FIRST_ONLY.union(keys if isinstance(keys, list) else ())
        asked = {key: mapping[key] for key in sorted(names & mapping.keys())}
        try:
            return build(asked, place=f"{place}.mapping")
        except ConfigError as error:
            self._mistakes.add(error)
            return nothing

    def _mapping(
        self, base: Base, table: Mapping[str, Any], place: str
    ) -> Mapping[str, Json] | None:
        place = f"{place}.mapping"
        given = table.get("mapping", {})
        if not isinstance(given, dict):
            self._mistakes.add(ConfigError(f"{place}: is not a table"))
            return None
        self._fields_known(base.action, given, place)
        flaws = lint(given, place=place, package=True)
        for flaw in flaws:
            self._mistakes.add(ConfigError(str(flaw)))
        for doubt in [] if flaws else doubts(given, place=place):
            self._mistakes.doubt(str(doubt))
        mapping = {**base.mapping, **given}
        mapping = {key: value for key, value in mapping.items() if value != ""}
        for key in _unmapped(base.action, mapping):
            text = f"{place}.{key}: missing; {base.action.slug} needs it"
            self._mistakes.add(ConfigError(text))
        return self._synced(base.action, mapping, table, place)

    def _fields_known(
        self, action: Action, given: Mapping[str, Json], place: str
    ) -> None:
        known = list(action.fields)
        for key in given:
            if key not in known and not key.startswith("__segment_internal_"):
                if key in action.hooks:
                    continue
                self._mistakes.add(ConfigError(unknown(place, key, known)))

    def _synced(
        self,
        action: Action,
        mapping: dict[str, Json],
        table: Mapping[str, Any],
        place: str,
    ) -> dict[str, Json]:
        """With the sync mode, where the action has one."""
        said = table.get("sync_mode")
        place = f"{place.removesuffix('.mapping')}.sync_mode"
        if action.sync_mode is None:
            if said is not None:
                self._mistakes.add(ConfigError(f"{place}: {action.slug} has none"))
            return mapping
        said = said or mapping.get(SYNC_MODE) or action.sync_mode.default
        known = [str(each.value) for each in action.sync_mode.choices]
        if said is None:
            text = f"{place}: missing; one of {', '.join(known)}"
            self._mistakes.add(ConfigError(text))
        elif said not in known:
            listed = f"{', '.join(known)}{meant(str(said), known)}"
            self._mistakes.add(ConfigError(f"{place}: {said!r} is not one of {listed}"))
        return {**mapping, SYNC_MODE: said}

    def _wants(
        self, base: Base, table: Mapping[str, Any], place: str
    ) -> "Wants | None":
        types = table.get("types")
        with self._mistakes.catching():
            parsed = self._trigger(base, table, place)
            if parsed is None and types is None:
                text = "has no trigger of its own: add trigger or types"
                raise ConfigError(f"{place}.trigger: {base.name} {text}")
            when = _text(table, "when", place)
            wants = Wants(
                parsed,
                self._types(types, place),
                None if when is None else Filter(when, place=f"{place}.when"),
                emails=_is_on(table, "email_as_user_id", place),
            )
            if table and not wants.types:
                text = "no event can pass both its types and its trigger"
                raise ConfigError(f"{place}: {text}")
            return wants
        return None

    def _trigger(
        self, base: Base, table: Mapping[str, Any], place: str
    ) -> Trigger | None:
        """The one that is configured, else its own, where that can be read."""
        if (given := _text(table, "trigger", place)) is not None:
            return parse(given, place=f"{place}.trigger")
        try:
            return None if base.trigger is None else parse(base.trigger)
        except ConfigError:  # three of the package's are no FQL
            return None

    def _types(self, types: Any, place: str) -> frozenset[EventType] | None:
        if types is None:
            return None
        if not isinstance(types, list):
            raise ConfigError(f"{place}.types: is not a list")
        wrong = [each for each in types if each not in PIPELINE_TYPES]
        if wrong:
            text = f"{wrong[0]!r} is not one of {', '.join(PIPELINE_TYPES)}"
            raise ConfigError(
                f"{place}.types: {text}{meant(str(wrong[0]), PIPELINE_TYPES)}"
            )
        return frozenset(types)


class Wants:
    """Whether an action is to have an event: its types, its trigger, its filter.

    Without ``emails`` calls whose userId is an email are left out.
    """

    def __init__(
        self,
        trigger: Trigger | None,
        types: frozenset[EventType] | None,
        when: Filter | None,
        *,
        emails: bool = True,
    ) -> None:
        self._emails = emails
        self._trigger = trigger
        self._only = types
        self._when = when
        triggered = None if trigger is None else trigger.types
        self.types: frozenset[EventType] = frozenset(PIPELINE_TYPES)
        for each in (types, triggered):
            self.types = self.types if each is None else self.types & each

    def __call__(self, event: dict[str, Json]) -> bool:
        """True when it is to have it; asked of each action for each event."""
        if event.get("type") not in self.types:
            return False
        if self._trigger is not None and not self._trigger(event):
            return False
        return self._emails_pass(event) and (
            self._when is None or self._when.passes(event)
        )

    def _emails_pass(self, event: dict[str, Json]) -> bool:
        return self._emails or not is_email(event.get("userId", ""))

    def because(self, event: dict[str, Json]) -> str | None:
        """What says no, readable; None when nothing does."""
        if event.get("type") not in self.types and self._only is not None:
            return "types"
        if self._trigger is not None and not self._trigger(event):
            return self._trigger.because(event)
        if not self._emails_pass(event):
            return "email_as_user_id"
        if self._when is not None and not self._when.passes(event):
            return "when"
        return None


def _is_on(table: Mapping[str, Any], key: str, place: str) -> bool:
    said = table.get(key, True)
    if not isinstance(said, bool):
        raise ConfigError(f"{place}.{key}: is not true or false")
    return said


def _text(table: Mapping[str, Any], key: str, place: str) -> str | None:
    said = table.get(key)
    if said is not None and not isinstance(said, str):
        raise ConfigError(f"{place}.{key}: is not a text")
    return said


def _not_of_browsers(action: Action, place: str) -> None:
    if action.platform == WEB:
        raise ConfigError(f"{place} runs in browsers only")


def _unmapped(action: Action, mapping: Mapping[str, Json]) -> Iterator[str]:
    """Required fields that nothing is written to."""
    for key, field in action.fields.items():
        if field.required is True and key not in mapping and not field.read_only:
            yield key


def _named_apart(chosen: Sequence[Chosen]) -> list[Chosen]:
    """The same action twice has two names, so that each can be left out alone."""
    seen: dict[str, int] = {}
    found = []
    for each in chosen:
        seen[each.name] = count = seen.get(each.name, 0) + 1
        found.append(each if count == 1 else replace(each, name=f"{each.name} {count}"))
    return found
