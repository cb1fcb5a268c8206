"""The lists of all destinations: from what is known, so that it needs no install."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.actions import known, page
from gateway.actions.definitions import INSTALL, Installed
from gateway.event import Json
from gateway.mistakes import meant

PREFIX = "actions:"
ABSENT = f"the packages are not installed here: {INSTALL}"


def lines(found: Installed | None) -> Iterator[str]:
    """A line a destination, by kind; those that do not run here come last."""
    every = known.known()
    yield "Segment's action destinations" if found else f"After {INSTALL}"
    width = max(map(len, every)) + len(PREFIX)
    for kind, about in known.KINDS.items():
        yield ""
        yield about
        for each in every.values():
            if each.kind == kind:
                name = f"{PREFIX}{each.directory}"
                yield f"{name.ljust(width)}  {each.name}: {each.words}"


def as_json(found: Installed | None) -> dict[str, Json]:
    """``type`` -> what is known of it."""
    return {
        f"{PREFIX}{each.directory}": described(each.directory, None)
        | {"installed": found is not None and each.cannot is None}
        for each in known.known().values()
    }


def described(directory: str, found: Installed | None) -> dict[str, Any]:
    """All of one destination: the definition, and ``known`` beside it."""
    fact = known.known().get(directory)
    raw: Mapping[str, Any] = {} if found is None else found.definitions[directory]
    if fact is None:
        return dict(raw)
    return {
        "name": fact.name,
        **raw,
        "known": {
            "kind": fact.kind,
            "identify": fact.identify,
            "types": fact.types,
            "hosts": fact.hosts,
            "oauth": fact.oauth,
            "env": fact.env,
            "transport": fact.transport,
            "batch": fact.batch,
            "cannot": fact.cannot,
            "note": fact.note,
        },
    }


def directory_of(name: str, found: Installed | None) -> str | None:
    """The directory of a type, with its prefix or without, or of another name."""
    bare = name.removeprefix(PREFIX)
    return known.directory_of(bare) if found is None else found.directory(bare)


def nearest(name: str) -> str:
    """``; did you mean X?`` when one is near."""
    return meant(f"{PREFIX}{name.removeprefix(PREFIX)}", names())


def names() -> list[str]:
    """Every type."""
    return [f"{PREFIX}{each}" for each in known.known()]


def text(directory: str, found: Installed | None) -> str:
    """The page of one; without the packages it is short, and says what to do."""
    fact = known.known().get(directory)
    if found is not None:
        return page.of(found.look_up(directory), fact)
    assert fact is not None, "what is not installed is known or has no directory"
    title = f"{fact.name}  ({PREFIX}{directory})"
    return "\n".join([title, "", *page.facts(fact), "", ABSENT])
