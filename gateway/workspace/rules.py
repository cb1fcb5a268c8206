"""The one decision: people concerned + request + settings -> what changes. Pure.

Every rule (R..) and decision (D..) of the statements that needs no I/O is in here, in
``identify`` and in the two files beside: ``erase`` and ``happen``.
"""

from typing import assert_never

from gateway.workspace.erase import erase, merge
from gateway.workspace.happen import delete_device, happen, put_device, report
from gateway.workspace.identify import identify
from gateway.workspace.people import Concerned, Decision
from gateway.workspace.request import (
    DeleteDevice,
    Erase,
    Happened,
    Identify,
    Merge,
    Nothing,
    PutDevice,
    Report,
    Request,
)
from gateway.workspace.settings import Workspace


def decide(request: Request, concerned: Concerned, settings: Workspace) -> Decision:
    """What becomes of one request; nothing but the arguments is looked at."""
    asks = request.asks
    match asks:
        case Identify():
            return identify(request, asks, concerned, settings)
        case Happened():
            return happen(request, asks, concerned)
        case PutDevice():
            return put_device(request, asks, concerned)
        case DeleteDevice():
            return delete_device(request, asks, concerned)
        case Report():
            return report(request, asks, concerned)
        case Erase():
            return erase(request, asks, concerned)
        case Merge():
            return merge(request, asks, concerned)
        case Nothing():
            return Decision(result="ignored", reason=asks.reason)
        case _:
            assert_never(asks)
