"""Events on their way to an action destination, and destinations without a file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from gateway.actions import kind, node
from gateway.actions.destination import Actions
from gateway.actions.settings import Chosen, Settings
from gateway.event import PIPELINE_TYPES, Event
from gateway.notices import Notice
from gateway.outbound.contract import Delivery
from gateway.outbound.http import Request, Response, Send
from gateway.outbound.kind import Context, unheard

AT = "2026-03-01T10:00:00.000Z"


class All:
    """Wants everything."""

    def __call__(self, event: dict[str, Any]) -> bool:
        return True

    def because(self, event: dict[str, Any]) -> str | None:
        return None


def delivery(
    number: int = 1,
    type_: str = "identify",
    options: Mapping[str, Any] | None = None,
    **body: Any,
) -> Delivery:
    """One event of one person, as a worker hands it over."""
    whole = {
        "type": type_,
        "messageId": f"m{number}",
        "userId": f"u{number}",
        "timestamp": AT,
        "receivedAt": AT,
        "source": "web",
        "version": 1,
        **body,
    }
    event = Event.from_bytes(orjson.dumps(whole))
    return Delivery(event, event.to_bytes(), options or {})


def action(slug: str, mapping: Mapping[str, Any], **more: Any) -> Chosen:
    types = frozenset(PIPELINE_TYPES)
    return Chosen(
        name=slug, slug=slug, wants=All(), types=types, mapping=mapping, **more
    )


def settings(
    directory: str, installation: Path, *actions: Chosen, **more: Any
) -> Settings:
    given = {
        "names": (directory,),
        "settings": {"key": "the secret of ours"},
        "hosts": frozenset({"a.test"}),
        **more,
    }
    return Settings(
        directory=directory, installation=installation, actions=actions, **given
    )


async def fine(request: Request) -> Response:
    return Response(
        status=200, headers={"content-type": "application/json"}, body=b"{}"
    )


def opened(
    made: Settings,
    folder: Path,
    send: Send = fine,
    tell: Callable[[Notice], None] = unheard,
) -> Actions:
    """The destination as a worker opens it."""
    return kind.opened(node.find(), made, Context("acme", folder, send, tell))
