"""Why an event did not go somewhere, in words that an operator knows: pure."""

from collections.abc import Mapping

import orjson

from gateway.event import Json
from gateway.integrations import wish
from gateway.traits import spell

INTEGRATIONS, EVERYONE = "integrations", "integrations_all"
ALL = "all"


def rule_of_route(
    reason: str, event: Mapping[str, Json] | None, names: frozenset[str]
) -> str:
    """Of what the intake decided: ``disabled``, ``type``, ``integrations: {...}``."""
    if reason in (INTEGRATIONS, EVERYONE):
        return _integrations(event, names, everyone=reason == EVERYONE)
    return reason


def rule_of_end(
    kind: str,
    reason: str | None,
    detail: str | None,
    event: Mapping[str, Json] | None,
    names: frozenset[str],
) -> str | None:
    """Of what a worker decided; None where it was delivered."""
    if kind == "delivered":
        return None
    if kind == "filtered" and reason == INTEGRATIONS:
        return _integrations(event, names, everyone=False)
    if kind == "filtered" and reason == "when" and detail:
        return f"when: {detail}"
    return reason or kind


def _integrations(
    event: Mapping[str, Json] | None, names: frozenset[str], *, everyone: bool
) -> str:
    """The key that left it out, as it was sent; the bare word if the event is gone."""
    said = (event or {}).get("integrations")
    if not isinstance(said, Mapping):
        return INTEGRATIONS
    for key, value in said.items():
        folded = str(key).casefold()
        if (everyone and folded == ALL and value is False) or (
            not everyone and wish({folded: value}, names) is False
        ):
            return f"{INTEGRATIONS}: {_shown({key: value})}"
    return INTEGRATIONS


def _shown(value: Json) -> str:
    """JSON as people write it, with a space behind each colon."""
    ((key, said),) = value.items()
    return f"{{{orjson.dumps(key).decode()}: {orjson.dumps(said).decode()}}}"


def changes_of(event: Mapping[str, Json]) -> list[dict[str, Json]]:
    """What the gateway changed: ``{"path", "from", "to", "why"}``, with values."""
    sent = event.get("asSent")
    changes = []
    if isinstance(sent, Mapping):
        changes = [_change(path, was, event) for path, was in sent.items()]
    if event.get("timestampSource") == "corrected":
        before, now = event.get("originalTimestamp"), event.get("timestamp")
        why = "the sender's clock was ahead"
        changes.append({"path": "timestamp", "from": before, "to": now, "why": why})
    return changes


def _change(path: str, was: Json, event: Mapping[str, Json]) -> dict[str, Json]:
    now = _at(event, path)
    parent, _, name = path.rpartition(".")
    why = []
    if was["name"] != name:
        why.append(f"renamed from {parent}.{was['name']}")
    if was["value"] != now or not why:
        why.append("coerced")
    return {"path": path, "from": was["value"], "to": now, "why": " and ".join(why)}


def _at(event: Mapping[str, Json], path: str) -> Json:
    found: Json = event
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


OURS = ("asSent", "receivedAt", "source", "timestampSource", "version")


def as_sent(event: Mapping[str, Json]) -> dict[str, Json]:
    """The message as its sender wrote it: without what is ours, its own names back.

    What a batch shared with its messages stays in each.
    """
    return {k: v for k, v in spell(dict(event), "as_sent").items() if k not in OURS}
