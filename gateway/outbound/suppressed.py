"""Whom no worker may send (DESIGN §7): asked before every attempt.

Empty until the workspace publishes the topic ``suppressed``; what follows that topic
will keep the identifiers here.
"""

from collections.abc import Iterable

from gateway.event import Event


class Suppressed:
    """The suppressed identifiers, ``email:VALUE`` and ``id:VALUE``."""

    def __init__(self, identifiers: Iterable[str] = ()) -> None:
        self._identifiers = set(identifiers)

    def is_suppressed(self, event: Event) -> bool:
        """True when this event's person must not be sent anything."""
        return bool(self._identifiers) and not self._identifiers.isdisjoint(
            names(event)
        )


def names(event: Event) -> Iterable[str]:
    """The identifiers an event names its person by, as the topic spells them."""
    if user_id := event.body.get("userId"):
        yield f"id:{user_id}"
        yield f"email:{str(user_id).lower()}"
    traits = event.body.get("traits")
    email = traits.get("email") if isinstance(traits, dict) else None
    if isinstance(email, str):
        yield f"email:{email.lower()}"
