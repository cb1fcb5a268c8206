"""Raw + Origin -> Admitted | Refusal: the four stages, in the order of their names.

Pure: whoever has a message, a route and an origin can ask what would become of it.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

from gateway.event import Checked, Event, Normalized, Origin, Raw
from gateway.inbound.check import check, planned
from gateway.inbound.normalize import normalize
from gateway.inbound.plan import Plan
from gateway.inbound.refusal import Refusal
from gateway.inbound.resolve import resolve
from gateway.inbound.route import Route, Routes, route, route_outside
from gateway.notices import Notice

Said: TypeAlias = tuple[Notice, ...]


class Admitted(NamedTuple):
    """An event, where it goes, and what each stage has to say about it."""

    event: Event
    route: Route
    checked: Said
    normalized: Said
    resolved: Said
    routed: Said

    @property
    def notices(self) -> Said:
        """Everything there is to say, in the order of the stages."""
        return self.checked + self.normalized + self.resolved + self.routed


# What ``Admitted(...)`` does, in half the time.
_admitted: Callable[[tuple[Event, Route, Said, Said, Said, Said]], Admitted] = partial(
    tuple.__new__, Admitted
)


def admit(
    raw: Raw, origin: Origin, routes: Routes, plan: Plan | None = None
) -> Admitted | Refusal:
    """What becomes of one message; only the check can refuse it."""
    checked = check(raw, plan, origin.invalid_traits)
    if isinstance(checked, Refusal):
        return checked
    message, flagged = checked
    normalized, remarked = normalize(message)
    event, dated = resolve(normalized, origin)
    decided, unknown = route(event, routes)
    return _admitted((event, decided, flagged, remarked, dated, unknown))


def admit_outside(
    raw: Raw, origin: Origin, routes: Routes, plan: Plan | None = None
) -> Admitted | Refusal:
    """The same for a message from outside pipelines (``translate`` made it).

    Its request was checked as it was sent, and its names and values stay as they are:
    what is left is the source's plan, and the last two stages.
    """
    checked = (Checked(raw), ()) if plan is None else planned(raw, plan)
    if isinstance(checked, Refusal):
        return checked
    message, flagged = checked
    event, dated = resolve(Normalized(message), origin)
    decided, unknown = route_outside(event, routes)
    return _admitted((event, decided, flagged, (), dated, unknown))
