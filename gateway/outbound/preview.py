"""What one event becomes at one destination, told without sending it.

The same steps and the same request that a worker would use; `explain` and a dry replay
show it. Secrets are masked.
"""

from collections.abc import Awaitable, Callable

from gateway.event import Json
from gateway.outbound.contract import Delivery, Outcome
from gateway.outbound.gate import Ended, Gate
from gateway.outbound.kind import Shown

Render = Callable[[Delivery], Awaitable[Shown]]


async def preview(gate: Gate, render: Render, value: bytes) -> dict[str, Json]:
    """``{"sent": true, "request"}``, or ``{"sent": false, "reason"}``.

    ``requests`` are all of them where there are several. ``step`` is the one of the
    gate that ended it; not when it is the destination that has no request.
    """
    prepared = gate.prepare(value)
    if isinstance(prepared, Ended):
        end = prepared.end
        reason = end.reason if isinstance(end, Outcome) else end.detail
        return {"sent": False, "step": prepared.step, "reason": reason}
    shown = await render(prepared)
    if not shown.requests:
        return {"sent": False, "reason": shown.reason}
    several = {"requests": list(shown.requests)} if len(shown.requests) > 1 else {}
    return {"sent": True, "request": shown.requests[0], **several}
