"""What one event becomes at one destination, told without sending it.

The same steps and the same request that a worker would use; `explain` and a dry replay
show it. Secrets are masked.
"""

from collections.abc import Awaitable, Callable, Mapping

import orjson

from gateway.event import Json
from gateway.outbound.contract import Delivery, Outcome
from gateway.outbound.gate import Ended, Gate
from gateway.outbound.kind import Shown

Render = Callable[[Delivery], Awaitable[Shown]]
TEXTS = ("body", "line")
"""What of a request is a text, and mostly JSON within."""


async def preview(
    gate: Gate, render: Render, value: bytes, only: frozenset[str] | None = None
) -> dict[str, Json]:
    """``{"sent": true, "request"}``, or ``{"sent": false, "reason"}``.

    ``requests`` are all of them where there are several. ``step`` is the one of the
    gate that ended it; not when it is the destination that has no request. ``because``
    is what a step that asks several things said no to. ``only``: of several actions
    these alone are asked, as a replay of a dead letter does.
    """
    prepared = gate.prepare(value, only=only)
    if isinstance(prepared, Ended):
        end = prepared.end
        told = {"sent": False, "step": prepared.step}
        if isinstance(end, Outcome):
            because = {"because": end.detail} if end.detail else {}
            return {**told, "reason": end.reason, **because}
        return {**told, "reason": end.detail}
    shown = await render(prepared)
    if not shown.requests:
        return {"sent": False, "reason": shown.reason}
    several = {"requests": list(shown.requests)} if len(shown.requests) > 1 else {}
    return {"sent": True, "request": shown.requests[0], **several}


def readable(request: Mapping[str, Json]) -> dict[str, Json]:
    """A request with the JSON that its texts are."""
    return {
        key: _parsed(each) if key in TEXTS else each for key, each in request.items()
    }


def _parsed(text: Json) -> Json:
    try:
        return orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError:
        return text
