"""Origins whose pages may not send: told by name, as far as names are few."""

from dataclasses import dataclass, field

from gateway.notices import Notice

NAMES_MAX = 20  # of a source: whoever sends chooses them
NAME_CHARS = 100


@dataclass(slots=True)
class Strangers:
    """What each source refused so far."""

    _names: dict[str, set[str]] = field(default_factory=dict)

    def notice(self, source: str, origin: str) -> Notice:
        """The notice for a post from this origin; ``(others)`` when there are many."""
        names, name = self._names.setdefault(source, set()), origin[:NAME_CHARS]
        if name not in names and len(names) >= NAMES_MAX:
            name = "(others)"
        else:
            names.add(name)
        return Notice("origin_refused", name)
