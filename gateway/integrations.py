"""What a message's ``integrations`` object says of one destination.

A key is a destination's name, type or display name, in any case (P056): a type
addresses all its instances, a name one of them. Both halves ask here: the intake to
route, the worker for the options.
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from gateway.event import Json

Wish: TypeAlias = bool | Mapping[str, Json] | None


def names_of(
    name: str, kind: str, display_names: Iterable[str], more: Iterable[str] = ()
) -> frozenset[str]:
    """Every key that means this destination, case folded.

    ``more`` are what its type calls it beside.
    """
    return frozenset(key.casefold() for key in (name, kind, *display_names, *more))


def wish(folded: Mapping[str, Json], names: frozenset[str]) -> Wish:
    """False wins over everything, options over True; None when it is not named.

    ``folded`` has case-folded keys. A value of null says nothing.
    """
    found: Wish = None
    for name in names:
        said = folded.get(name)
        if said is False:
            return False
        if isinstance(said, dict):
            found = {**found, **said} if isinstance(found, dict) else said
        elif said is True and found is None:
            found = True
    return found
