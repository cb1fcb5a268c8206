"""Holds in memory all that a batch of requests may change, while it is decided.

The store loads it, ``Known.settle`` changes it decision by decision, the store writes
what changed. Nothing here does I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gateway.event import Json
from gateway.workspace.people import (
    Activity,
    Anonymous,
    Concerned,
    Decision,
    Device,
    Failed,
    Gone,
    Identifier,
    Person,
)
from gateway.workspace.request import Request


class Decided(NamedTuple):
    """A decision as the store keeps it, and under which message id it is asked for."""

    message_id: str
    source: str
    replay: str
    decision: str
    reason: str | None
    cio_id: str | None
    failed: tuple[Failed, ...]
    at: int
    place: int


class Blocked(NamedTuple):
    """A suppressed identifier: since when, by which message, in which group.

    ``cio_id`` is of the person who had it, if there was one.
    """

    group: str
    at: int
    message_id: str
    cio_id: str


@dataclass(slots=True)
class Told:
    """An activity of this batch; whose it is may change before it is written."""

    seq: int
    activity: Activity
    owner: str | None
    anonymous_id: str | None
    at: int
    message_id: str


class Moved(NamedTuple):
    """What stored activities, devices and anonymousIds go through, in this order.

    ``verb``: "merge" (of ``source``, to ``target``), "delete" (of ``source``), "attach"
    (activities of the anonymousId ``source``, to ``target``).
    """

    verb: str
    source: str
    target: str = ""


@dataclass(slots=True)
class Known:
    """People, devices and so on of one batch, by key; and what became of them.

    ``had`` is who was in the store, as they were. A value of None in the ``changed``
    dicts: it is gone.
    """

    people: dict[Identifier, Person] = field(default_factory=dict)
    had: dict[str, Person] = field(default_factory=dict)
    suppressed: dict[Identifier, str] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    anonymous: dict[str, Anonymous] = field(default_factory=dict)
    with_activities: set[str] = field(default_factory=set)
    """anonymousIds under which the store keeps activities."""
    changed_people: dict[str, Person | None] = field(default_factory=dict)
    changed_devices: dict[str, Device | None] = field(default_factory=dict)
    changed_anonymous: dict[str, Anonymous] = field(default_factory=dict)
    changed_suppressed: dict[Identifier, Blocked | None] = field(default_factory=dict)
    moves: list[Moved] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)

    def concerned(self) -> Concerned:
        """The same as the rules see it; it follows every ``settle``."""
        return Concerned(
            people=self.people,
            suppressed=self.suppressed,
            devices=self.devices,
            anonymous=self.anonymous,
        )

    def remember(self, person: Person) -> None:
        """Take in somebody from the store."""
        self.had[person.cio_id] = person
        self._index(person)

    def settle(self, request: Request, decision: Decision, place: int) -> None:
        """Make everything as it is after this decision.

        ``place`` is the request's in the log: its activities are told in that order.
        """
        for gone in decision.gone:
            self._go(gone)
        for person in decision.people:
            self._come(person)
        at, message_id = request.received_at, request.message_id
        cio_id = decision.gone[0].person.cio_id if decision.gone else ""
        for key in decision.suppress:
            self.suppressed[key] = decision.group
            blocked = Blocked(decision.group, at, message_id, cio_id)
            self.changed_suppressed[key] = blocked
        for key in decision.lift:
            del self.suppressed[key]
            self.changed_suppressed[key] = None
        for device in decision.devices:
            self.devices[device.token] = self.changed_devices[device.token] = device
        for token in decision.devices_gone:
            del self.devices[token]
            self.changed_devices[token] = None
        for each in decision.anonymous:
            self.anonymous[each.anonymous_id] = each
            self.changed_anonymous[each.anonymous_id] = each
        if decision.attach is not None:
            self._attach(*decision.attach)
        for number, activity in enumerate(decision.activities):
            self._tell(request, activity, place + number)
        self.decided.append(
            Decided(
                message_id=message_id,
                source=request.source,
                replay=request.replay or "",
                decision=decision.result,
                reason=decision.reason,
                cio_id=decision.person,
                failed=decision.failed,
                at=at,
                place=place,
            )
        )

    def _index(self, person: Person) -> None:
        for key in person.identifiers():
            self.people[key] = person

    def _unindex(self, person: Person) -> None:
        for key in person.identifiers():
            self.people.pop(key, None)

    def _come(self, person: Person) -> None:
        before = self.people.get(Identifier("cio_id", person.cio_id))
        if before is not None:
            self._unindex(before)
        self._index(person)
        self.changed_people[person.cio_id] = person

    def _go(self, gone: Gone) -> None:
        cio_id, into = gone.person.cio_id, gone.into
        self._unindex(gone.person)
        self.changed_people[cio_id] = None
        verb = "delete" if into is None else "merge"
        self.moves.append(Moved(verb, cio_id, into or ""))
        for device in [each for each in self.devices.values() if each.owner == cio_id]:
            if into is None:
                del self.devices[device.token]
                self.changed_devices[device.token] = None
            else:
                moved = replace(device, owner=into)
                self.devices[device.token] = moved
                self.changed_devices[device.token] = moved
        for each in [a for a in self.anonymous.values() if a.owner == cio_id]:
            anonymous = replace(each, owner=into)
            self.anonymous[each.anonymous_id] = anonymous
            self.changed_anonymous[each.anonymous_id] = anonymous
        if into is None:
            self.told = [each for each in self.told if each.owner != cio_id]
        for told in self.told:
            if told.owner == cio_id:
                told.owner = into

    def _attach(self, anonymous_id: str, cio_id: str) -> None:
        """P070: what was kept under the anonymousId is the person's."""
        if anonymous_id not in self.with_activities:
            return
        self.with_activities.discard(anonymous_id)
        self.moves.append(Moved("attach", anonymous_id, cio_id))
        for told in self.told:
            if told.anonymous_id == anonymous_id and told.owner is None:
                told.owner = cio_id

    def _tell(self, request: Request, activity: Activity, seq: int) -> None:
        owner, anonymous_id = activity.owner, activity.anonymous_id
        if owner is None and anonymous_id is not None:
            self.with_activities.add(anonymous_id)
        told = Told(seq, activity, owner, anonymous_id, request.at, request.message_id)
        self.told.append(told)


def as_shown(person: Person) -> Mapping[str, Json]:
    """A person's attributes with the identifiers among them."""
    kinds = ("id", "email", "cio_id")
    named = {k: v for k in kinds if (v := person.value(k)) is not None}
    return {**person.attributes, **named}
