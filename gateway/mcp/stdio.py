"""``gateway mcp``: a line in, a line out, until the input ends.

Each question is put to the gateway that runs then: it may be restarted meanwhile.
Nothing but answers is written to the output.
"""

from collections.abc import Callable, Mapping
from typing import BinaryIO

from gateway.admin.client import READY, Client
from gateway.errors import GatewayError
from gateway.event import Json
from gateway.mcp.protocol import Answered, Server
from gateway.mcp.tools import BY_NAME, TOOLS

LINE_BYTES = 1_000_000
TOO_LONG = (
    b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"too long a line"}}'
)
LEDGER = "/v1/ledger"
UNKNOWN = "nothing is known of it"
NO_LEDGER = (
    "this gateway keeps no ledger, and can tell only how its destinations are: set"
    " `enabled = true` in [ledger], or ask the process that keeps one"
)
AWAY = "no gateway runs with this configuration: start it with `gateway serve`"
Find = Callable[[], Client | None]


def answering(find: Find) -> Server:
    """Tools that ask the gateway which ``find`` finds."""

    def call(name: str, given: Mapping[str, Json]) -> Answered | None:
        tool = BY_NAME.get(name)
        if tool is None:
            return None
        if wrong := tool.wrong(given):
            return Answered("; ".join(wrong), failed=True)
        try:
            gateway = find()
            if gateway is None:
                return Answered(AWAY, failed=True)
            path = tool.path(given)
            answer = gateway.health() if path == READY else gateway.found(path)
            if answer is None:
                known = gateway.found(LEDGER) is not None
                return Answered(UNKNOWN if known else NO_LEDGER, failed=True)
        except GatewayError as error:
            return Answered(str(error), failed=True)
        return Answered(tool.told(answer, given))

    return Server([each.shown() for each in TOOLS], call)


def serve(read: BinaryIO, write: BinaryIO, find: Find) -> None:
    """Answer line by line."""
    server = answering(find)
    while line := read.readline(LINE_BYTES + 1):
        said: bytes | None = TOO_LONG
        if len(line) <= LINE_BYTES:
            said = server.answer(line) if line.strip() else None
        else:
            while line and not line.endswith(b"\n"):
                line = read.readline(LINE_BYTES)
        if said is not None:
            write.write(said + b"\n")
            write.flush()
