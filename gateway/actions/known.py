"""What is known of each destination without its package: seen in dry runs of ours.

``known.tsv`` has a line each: whether an identify works as it is, whom it asks, how it
answers a batch, its credentials, troubles. It is of the version that is pinned.
"""

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent / "known.tsv"
IDENTIFY: Mapping[str, str] = {
    "works": "works with an identify as it is",
    "breaks": "an identify with all reserved traits breaks it: needs a mapping",
    "needs a mapping": "needs a mapping",
    "no identify by default": "takes no identify by default",
    "needs an audience": "needs the context of an audience",
    "not outside of Segment": "does not work outside of Segment",
}
KINDS: Mapping[str, str] = {
    "plain": "With a key",
    "oauth": "With OAuth",
    "audience": "Audiences: most wait for who makes events about audiences",
    "development copy": "Development copies of others",
    "Segment-internal": "Of Segment's inside: they do not run here",
    "not HTTP": "Not by HTTP: they do not run here",
}
OAUTH: Mapping[str, str] = {
    "token": "a long-lived access token of the vendor",
    "app": "an OAuth app of your own and its refresh token",
    "settings": "client credentials, in the settings",
    "env": "a user and a password, with the app's in env",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One destination."""

    directory: str
    name: str
    slug: str
    id: str
    kind: str
    """A key of ``KINDS``."""
    scheme: str
    oauth: tuple[str, ...]
    """Which of ``OAUTH`` it takes; empty where it takes none."""
    env: tuple[str, ...]
    """What its code reads from the environment."""
    transport: str
    identify: str
    """A key of ``IDENTIFY``: what an identify becomes, with nothing configured."""
    types: tuple[str, ...]
    """The other types of events that become a request with nothing configured."""
    batch: str
    """per item | all or nothing: how it answers a batch; empty without batches."""
    hosts: tuple[str, ...]
    """Whom it was seen to ask; ``*`` is of the settings."""
    cannot: str | None
    """Why it does not run here."""
    note: str

    @property
    def words(self) -> str:
        """What becomes of an identify, or why nothing does."""
        if self.cannot is not None:
            return f"does not run here: {self.cannot}"
        if self.types and self.identify == "no identify by default":
            return f"takes {', '.join(self.types)} as it is, no identify"
        return IDENTIFY[self.identify]


@functools.cache
def known() -> Mapping[str, Known]:
    """Directory -> what is known of it."""
    with FILE.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["directory"]: _known(row) for row in rows}


def cannot(directory: str) -> str | None:
    """Why a destination does not run here; nothing when it does, or is not known."""
    found = known().get(directory)
    return None if found is None else found.cannot


def directory_of(name: str) -> str | None:
    """The directory of what is called so, in any case: as in the installation."""
    return _directories().get(name.casefold())


@functools.cache
def _directories() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for key in ("directory", "slug", "id", "name"):
        for each in known().values():
            found.setdefault(getattr(each, key).casefold(), each.directory)
    return found


def _known(row: Mapping[str, str]) -> Known:
    texts = {
        key: row[key]
        for key in ("directory", "name", "slug", "id", "kind", "scheme", "transport")
    }
    return Known(
        **texts,
        oauth=tuple(filter(None, row["oauth"].split(" or "))),
        env=_list(row["env"]),
        identify=row["identify"],
        types=_list(row["types"]),
        batch=row["batch"],
        hosts=_list(row["hosts"]),
        cannot=row["cannot"] or None,
        note=row["note"],
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(", ")))
