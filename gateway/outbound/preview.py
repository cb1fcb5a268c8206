"""What one event becomes at one destination, told without sending it.

The same gate and the same request that a worker would use; `explain` and a dry replay
show it. Secrets are masked.
"""

from collections.abc import Callable, Mapping

from gateway.event import Json
from gateway.outbound.attempt import Gate
from gateway.outbound.contract import Delivery, Outcome

Render = Callable[[Delivery], Mapping[str, Json]]


def preview(gate: Gate, render: Render, value: bytes) -> dict[str, Json]:
    """``{"sent": true, "request"}``, or ``{"sent": false, "reason"}``."""
    verdict = gate.prepare(value)
    if isinstance(verdict, Delivery):
        request = render(verdict)
        if request:
            return {"sent": True, "request": request}
        return {"sent": False, "reason": "the destination has no request for this"}
    if isinstance(verdict, Outcome):
        return {"sent": False, "reason": verdict.reason}
    return {"sent": False, "reason": verdict.detail}
