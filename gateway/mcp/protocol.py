"""The Model Context Protocol, server's side, for tools that only look; pure.

JSON-RPC 2.0, both of its manners: since 2026-07-28 every request says in ``_meta``
which version it speaks; before, ``initialize`` agreed on one. Nothing is remembered
between two messages. What fits no request is answered with an error, as JSON-RPC wants
it; a notification never is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import orjson

from gateway import __version__
from gateway.event import Json

STATELESS = ("2026-07-28",)
HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
VERSION = "io.modelcontextprotocol/protocolVersion"
SERVER = "io.modelcontextprotocol/serverInfo"
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
UNSUPPORTED_VERSION = -32022
BATCH_MAX = 50  # messages of a JSON-RPC batch, which only 2025-03-26 has
LIST_TTL_MS = 3_600_000
NAMED: Mapping[str, Json] = {"name": "gateway", "version": __version__}
INSTRUCTIONS = (
    "Questions about what became of customer events in this gateway: what was sent, "
    "what each destination answered, what was left out and why. Nothing can be changed "
    "from here. Values of payloads are shown only with values = true."
)


class Answered(NamedTuple):
    """What a tool says; ``failed``: it could not be answered, and the text says why."""

    text: str
    failed: bool = False


Call = Callable[[str, Mapping[str, Json]], Answered | None]
"""A tool's name and its arguments -> what it says; None: there is no such tool."""


class RpcError(Exception):
    """What is wrong with a message."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


class Server:
    """Answers messages; ``tools`` are as ``tools/list`` shows them."""

    def __init__(self, tools: Sequence[Mapping[str, Json]], call: Call) -> None:
        self._tools, self._call = tools, call

    def answer(self, data: bytes) -> bytes | None:
        """What to say to one line; None: nothing."""
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError:
            return orjson.dumps(_error(None, RpcError(PARSE_ERROR, "is not JSON")))
        if not isinstance(message, list):
            said = self._one(message)
            return None if said is None else orjson.dumps(said)
        if not 1 <= len(message) <= BATCH_MAX:
            wrong = RpcError(INVALID_REQUEST, f"a batch has 1 to {BATCH_MAX} messages")
            return orjson.dumps(_error(None, wrong))
        said_of = [said for each in message if (said := self._one(each)) is not None]
        return orjson.dumps(said_of) if said_of else None

    def _one(self, message: Json) -> Mapping[str, Json] | None:
        if not isinstance(message, dict):
            return _error(None, RpcError(INVALID_REQUEST, "is not a JSON object"))
        number = message.get("id")
        if "id" not in message or ("result" in message or "error" in message):
            return None  # a notification, or the answer to a question nobody asked
        if type(number) not in (int, str):
            return _error(None, RpcError(INVALID_REQUEST, "id: no number and no text"))
        try:
            result = self._result(*_request(message))
        except RpcError as error:
            return _error(number, error)
        return {"jsonrpc": "2.0", "id": number, "result": result}

    def _result(self, method: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        if method == "initialize":
            return _initialized(params)
        meta = params.get("_meta")
        version = meta.get(VERSION) if isinstance(meta, dict) else None
        if version is None:
            return self._asked(method, params)
        if version not in STATELESS:
            raise _unsupported(version)
        kept = {"ttlMs": LIST_TTL_MS, "cacheScope": "private"}
        result = dict(self._asked(method, params))
        result |= {} if method == "tools/call" else kept
        return {**result, "resultType": "complete", "_meta": {SERVER: NAMED}}

    def _asked(self, method: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        if method == "ping":
            return {}
        if method == "server/discover":
            return {
                "supportedVersions": [*STATELESS, *HANDSHAKE],
                "capabilities": {"tools": {}},
                "instructions": INSTRUCTIONS,
            }
        if method == "tools/list":
            return {"tools": self._tools}
        if method == "tools/call":
            return self._called(params)
        raise RpcError(NO_METHOD, f"{method}: no such method")

    def _called(self, params: Mapping[str, Json]) -> Mapping[str, Json]:
        name, given = params.get("name"), params.get("arguments") or {}
        if not isinstance(name, str) or not isinstance(given, dict):
            raise RpcError(INVALID_PARAMS, "needs name, and arguments as an object")
        said = self._call(name, given)
        if said is None:
            names = ", ".join(str(each["name"]) for each in self._tools)
            raise RpcError(INVALID_PARAMS, f"{name}: no such tool; there are: {names}")
        content = [{"type": "text", "text": said.text}]
        return {"content": content, "isError": said.failed}


def _request(message: Mapping[str, Json]) -> tuple[str, Mapping[str, Json]]:
    """A request's method and its parameters."""
    method, params = message.get("method"), message.get("params", {})
    if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, 'needs jsonrpc = "2.0" and a method')
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params: is not an object")
    return method, params


def _initialized(params: Mapping[str, Json]) -> Mapping[str, Json]:
    """Agree on a version: the client's if it is known, else the newest that is."""
    wanted = params.get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in HANDSHAKE else HANDSHAKE[0],
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": NAMED,
        "instructions": INSTRUCTIONS,
    }


def _unsupported(version: Json) -> RpcError:
    supported = [*STATELESS, *HANDSHAKE]
    data = {"supported": supported, "requested": version}
    return RpcError(UNSUPPORTED_VERSION, "this version is not spoken here", data)


def _error(number: Json, error: RpcError) -> Mapping[str, Json]:
    said: dict[str, Json] = {"code": error.code, "message": error.message}
    if error.data is not None:
        said["data"] = error.data
    return {"jsonrpc": "2.0", "id": number, "error": said}
