"""Which events a table of ``[[destinations.NAME.actions]]`` is for; read and asked.

``types``, ``trigger``, ``when`` and ``email_as_user_id`` mean the same at every type of
destination; what a table makes of an event is its type's own.
"""

from collections.abc import Mapping
from typing import Any

from gateway.email import is_email
from gateway.errors import ConfigError
from gateway.event import PIPELINE_TYPES, EventType, Json
from gateway.mistakes import meant
from gateway.outbound.mapping import Trigger
from gateway.outbound.when import Filter

KEYS = ("types", "trigger", "when", "email_as_user_id", "enabled")


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
        """True when it is to have it; asked for each event."""
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


def wants(table: Mapping[str, Any], trigger: Trigger | None, place: str) -> Wants:
    """What a table lets in; ConfigError for what is wrong with it."""
    when = text(table, "when", place)
    made = Wants(
        trigger,
        _types(table.get("types"), place),
        None if when is None else Filter(when, place=f"{place}.when"),
        emails=is_on(table, "email_as_user_id", place),
    )
    if table and not made.types:
        raise ConfigError(f"{place}: no event can pass both its types and its trigger")
    return made


def is_on(table: Mapping[str, Any], key: str, place: str) -> bool:
    """A switch of a table; on unless it is said."""
    said = table.get(key, True)
    if not isinstance(said, bool):
        raise ConfigError(f"{place}.{key}: is not true or false")
    return said


def text(table: Mapping[str, Any], key: str, place: str) -> str | None:
    """A text of a table, if it is there."""
    said = table.get(key)
    if said is not None and not isinstance(said, str):
        raise ConfigError(f"{place}.{key}: is not a text")
    return said


def _types(types: Any, place: str) -> frozenset[EventType] | None:
    if types is None:
        return None
    if not isinstance(types, list):
        raise ConfigError(f"{place}.types: is not a list")
    wrong = [each for each in types if each not in PIPELINE_TYPES]
    if wrong:
        known = f"{', '.join(PIPELINE_TYPES)}{meant(str(wrong[0]), PIPELINE_TYPES)}"
        raise ConfigError(f"{place}.types: {wrong[0]!r} is not one of {known}")
    return frozenset(types)
