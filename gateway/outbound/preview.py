"""What one event becomes at one destination, told without sending it.

The same steps and the same request that a worker would use; `explain` and a dry replay
show it. Secrets are masked.
"""

from collections.abc import Callable, Mapping

from gateway.event import Json
from gateway.outbound.contract import Delivery, Outcome
from gateway.outbound.gate import Ended, Gate

Render = Callable[[Delivery], Mapping[str, Json]]


def preview(gate: Gate, render: Render, value: bytes) -> dict[str, Json]:
    """``{"sent": true, "request"}``, or ``{"sent": false, "reason"}``.

    ``step`` is the one of the gate that ended it; not when it is the destination that
    has no request.
    """
    prepared = gate.prepare(value)
    if isinstance(prepared, Ended):
        end = prepared.end
        reason = end.reason if isinstance(end, Outcome) else end.detail
        return {"sent": False, "step": prepared.step, "reason": reason}
    request = render(prepared)
    if request:
        return {"sent": True, "request": request}
    return {"sent": False, "reason": "the destination has no request for this"}
