"""What an event becomes at a native destination: the first table that lets it in.

``[[destinations.NAME.actions]]`` is read once, with all that is wrong with it. Of an
event a ``Shape`` makes the ``fields`` of its delivery; a type says in ``Mapped`` what
these are to it: all that it sends, or laid over what it would send.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.errors import ConfigError
from gateway.event import EventType, Json
from gateway.mistakes import Mistakes, meant, unknown
from gateway.outbound.contract import Delivery, Outcome, Rejected
from gateway.outbound.mapping import Unmappable, build, doubts, lint, parse
from gateway.outbound.mapping.coerce import kind_of
from gateway.outbound.mapping.lint import ROOT
from gateway.outbound.wants import KEYS, Wants, is_on, text, wants

Run = Callable[[Json], Json]


class Mapped(NamedTuple):
    """What a type does with what a mapping makes.

    ``whole``: it is all that is sent. Else it is laid over what the type would send,
    field by field, "" takes one out; ``fields`` are those it knows, () is any.
    """

    whole: bool = False
    fields: tuple[str, ...] = ()


def words(mapped: Mapped | None, actions: Sequence[str]) -> str:
    """What tables of ``actions`` can say at a type, for its page; "" where nothing."""
    said = []
    if actions:
        said.append(f"An `action` is one of {', '.join(actions)}.")
    if mapped is not None and mapped.whole:
        said.append("A `mapping` makes all that is sent.")
    elif mapped is not None:
        known = ", ".join(mapped.fields)
        what = f"may give {known}" if known else "is laid over what is sent"
        said.append(f"A `mapping` {what}.")
    return " ".join(said)


class Table(NamedTuple):
    """One table: whom it is for, what it makes (None: as without it), its action.

    ``number`` is where it stands in the configuration.
    """

    number: int
    wants: Wants
    run: Run | None
    action: str | None
    mapping: Mapping[str, Json]


class Shape:
    """Shapes events; its answer is that of a step of the gate."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tuple(tables)
        self.types: frozenset[EventType] = frozenset().union(
            *(each.wants.types for each in tables)
        )
        """The types of events that some table is for."""

    def __call__(self, going: Delivery) -> Delivery | Outcome | Rejected:
        """With its fields; filtered when no table lets it in; or its dead letter."""
        body, said = going.event.body, []
        for table in self._tables:
            if (why := table.wants.because(body)) is None:
                break
            said.append(f"actions[{table.number}]: {why}")
        else:
            return _left_out(said)
        if table.run is None:
            fields = None
        else:
            try:
                fields = table.run(body)
            except Unmappable as error:
                return _unmappable(table.mapping, body, error)
            if fields.__class__ is not dict:
                text = f"mapping: {kind_of(fields)} where a table is needed"
                return Rejected("rejected", text, unsent=True)
        return going.mapped(fields, table.action)


def _left_out(said: Sequence[str]) -> Outcome:
    """Which condition said no, of each table; where there is one, only that."""
    why = said[0].partition(": ")[2] if len(said) == 1 else "; ".join(said)
    return Outcome(kind="filtered", reason="trigger", detail=why)


def _unmappable(
    mapping: Mapping[str, Json], body: dict[str, Json], error: Unmappable
) -> Rejected:
    """A dead letter that names the first field at fault, and no value."""
    place = "mapping"
    for name, node in mapping.items() if ROOT not in mapping else ():
        try:
            build({name: node})(body)
        except Unmappable:
            place = f"mapping.{name}"
            break
    return Rejected("rejected", f"{place}: {error}", unsent=True)


class Reading:
    """Reads the tables of one destination; notes what is wrong with them."""

    def __init__(
        self,
        mapped: Mapped | None,
        actions: tuple[str, ...],
        takes: frozenset[EventType],
        mistakes: Mistakes,
    ) -> None:
        self._mapped = mapped
        self._actions = actions
        self._takes = takes
        self._mistakes = mistakes

    def all(self, tables: Sequence[Mapping[str, Any]], place: str) -> Shape | None:
        """What shapes its events; None where no table says anything."""
        found = []
        for number, table in enumerate(tables):
            with self._mistakes.catching():
                made = self._one(table, number, f"{place}[{number}]")
                found += [] if made is None else [made]
        return Shape(found) if tables else None

    def _one(self, table: Mapping[str, Any], number: int, place: str) -> Table | None:
        keys = (
            *(["action"] if self._actions else []),
            *KEYS,
            *([] if self._mapped is None else ["mapping"]),
        )
        if wrong := [unknown(place, key, keys) for key in table if key not in keys]:
            raise ConfigError(*wrong)
        action = self._action(table, place)
        trigger = text(table, "trigger", place)
        parsed = None
        if trigger is not None:
            parsed = parse(trigger, place=f"{place}.trigger")
        wanted = wants(table, parsed, place)
        if not wanted.types & self._takes:
            known = ", ".join(sorted(self._takes))
            raise ConfigError(f"{place}: this type takes {known} only")
        run, mapping = self._run(table, f"{place}.mapping")
        if not is_on(table, "enabled", place):
            return None
        return Table(number, wanted, run, action, mapping)

    def _action(self, table: Mapping[str, Any], place: str) -> str | None:
        if (said := text(table, "action", place)) is None or said in self._actions:
            return said
        known = f"{', '.join(self._actions)}{meant(said, self._actions)}"
        raise ConfigError(f"{place}.action: {said!r} is not one of {known}")

    def _run(
        self, table: Mapping[str, Any], place: str
    ) -> tuple[Run | None, Mapping[str, Json]]:
        mapping = table.get("mapping")
        if mapping is None or self._mapped is None:
            return None, {}
        if flaws := lint(mapping, place=place):
            raise ConfigError(*map(str, flaws))
        known = self._mapped.fields
        for name in mapping if known else ():
            if name not in known:
                self._mistakes.add(ConfigError(unknown(place, name, known)))
        for doubt in doubts(mapping, place=place):
            self._mistakes.doubt(str(doubt))
        if self._mapped.whole:  # there is nothing of the type's that "" could take out
            mapping = {name: node for name, node in mapping.items() if node != ""}
        return build(mapping, place=place), mapping
