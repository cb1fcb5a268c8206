"""What a trace tells of an attempt: how it went, never what was sent; pure."""

from gateway.event import Json
from gateway.log.contract import Record
from gateway.outbound.contract import (
    Delivered,
    Outcome,
    Rejected,
    Retry,
    Skipped,
    Verdict,
)
from gateway.trace import HEADER

STATUS = "http.response.status_code"


def carried_by(record: Record) -> bytes | None:
    """The context that came with a record; None: its event is not traced."""
    for name, value in reversed(record.headers):
        if name == HEADER:
            return value
    return None


def told_of(verdict: Verdict) -> tuple[dict[str, Json], str]:
    """The attributes, and why it failed."""
    match verdict:
        case Delivered(status=status):
            return {"gateway.result": "delivered", STATUS: status}, ""
        case Skipped():
            return {"gateway.result": "skipped"}, ""
        case Retry(reason=reason, status=status):
            return {"gateway.result": "retry", STATUS: status}, reason
        case Rejected(reason=reason, status=status):
            return {"gateway.result": "rejected", STATUS: status}, reason


def ended_as(end: Outcome | Rejected) -> tuple[dict[str, Json], str]:
    """The same of what ended without a request."""
    if isinstance(end, Rejected):
        return {"gateway.result": "rejected"}, end.reason
    return {"gateway.result": end.kind, "gateway.reason": end.reason}, ""
