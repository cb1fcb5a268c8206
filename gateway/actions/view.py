"""An event as Segment's destinations expect it: their backend adds things, so do we.

The mappings of the package read ``$.traits.first_name`` here and ``$.traits.firstName``
there, ``$.integrations.NAME.option`` under the names that Segment gives a destination,
and an email where the Track API has an identifier. ``ALIASES`` go to the sidecar, which
lets a mapping read a reserved trait under both names (``sidecar.js``).
"""

from collections.abc import Iterable, Mapping

from gateway import traits
from gateway.event import Json
from gateway.outbound.contract import Delivery

OURS = frozenset(
    {
        "asSent",
        "source",
        "version",
        "timestampSource",
        "origin",
        "identifiers",
        "action",
        "key",
    }
)
"""What the gateway writes for itself, and no destination of Segment knows."""

SAFE_OPTIONS = frozenset(
    {
        "session_id",
        "ttclid",
        "ttp",
        "click_id",
        "uuid",
        "uuid_c1",
        "gclid",
        "dclid",
        "msclkid",
        "query_id",
        "dub_id",
        "end_user_id",
        "session_attributes_encoded",
    }
)
"""What default mappings read of a browser's or phone's options, and may be believed:
ids of a click or a session, never who or which list an event is for."""


def _both(renamed: Mapping[str, str]) -> list[list[str]]:
    """Each pair of spellings, both ways."""
    return [
        [a, b]
        for one, other in renamed.items()
        for a, b in [(one, other), (other, one)]
    ]


def _aliases() -> Mapping[str, Json]:
    snake = traits.RENAMED["snake_case"]
    inside = {name: _both(pairs) for name, pairs in snake.items() if name and pairs}
    inside["company"] = _both(traits.RENAMED["camelCase"]["company"])
    return {"traits": _both(snake[""]), "inside": inside}


ALIASES = _aliases()


def view(delivery: Delivery, names: Iterable[str]) -> dict[str, Json]:
    """The event for an action; ``names`` are what ``integrations`` may call it."""
    body = delivery.event.body
    seen = {key: value for key, value in body.items() if key not in OURS}
    seen["integrations"] = (
        {name: dict(delivery.options) for name in names} if delivery.options else {}
    )
    identifiers = body.get("identifiers")
    if isinstance(identifiers, Mapping) and identifiers.get("email"):
        _with_email(seen, identifiers["email"])
    return seen


def _with_email(seen: dict[str, Json], email: Json) -> None:
    """What names a person at the Track API is a trait at Segment."""
    if seen.get("type") == "identify":
        seen["traits"] = {"email": email, **_table(seen.get("traits"))}
        return
    context = _table(seen.get("context"))
    known = {"email": email, **_table(context.get("traits"))}
    seen["context"] = {**context, "traits": known}


def _table(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
