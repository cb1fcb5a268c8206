"""Asking a running gateway, as its own command line does.

SQLite's file belongs to one process; the lock file beside it says who that is, where
its admin port is, and the token that opens it. Needs nothing of the server's side.
"""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from gateway.config import LogConfig
from gateway.errors import ConfigError, LogError
from gateway.event import Json
from gateway.log import Span, read_owner

TIMEOUT_S = 30.0


class Client:
    """One running gateway; LogError: it cannot answer, ConfigError: it will not."""

    def __init__(self, owner: Mapping[str, Any]) -> None:
        self._owner = owner

    def topics(self) -> Sequence[Mapping[str, Json]]:
        """Every topic with size, groups and lag."""
        with self._ask("/control/topics", timeout_s=TIMEOUT_S) as response:
            found: list[Mapping[str, Json]] = json.loads(response.read())
            return found

    def lines(self, topic: str, span: Span, *, follow: bool) -> Iterator[bytes]:
        """The records of a topic as JSON lines."""
        query = {"from": span.from_ms, "until": span.until_ms, "follow": int(follow)}
        given = {name: value for name, value in query.items() if value is not None}
        path = f"/control/read/{quote(topic, safe='')}?{urlencode(given)}"
        with self._ask(path, timeout_s=None if follow else TIMEOUT_S) as response:
            yield from _lines(response)

    def replay(self, asked: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
        """Run a replay there, step by step; stopping to listen stops it."""
        body = orjson.dumps(asked)
        with self._ask("/control/replay", timeout_s=None, body=body) as response:
            yield from map(orjson.loads, _lines(response))

    def _ask(
        self, path: str, *, timeout_s: float | None, body: bytes | None = None
    ) -> http.client.HTTPResponse:
        owner = self._owner
        if "admin" not in owner:
            pid = owner.get("pid")
            raise LogError(f"process {pid} holds the log and has no admin port (yet)")
        url = urlsplit(owner["admin"])
        connection = http.client.HTTPConnection(url.netloc, timeout=timeout_s)
        try:
            headers = {"Authorization": f"Bearer {owner['token']}"}
            method = "GET" if body is None else "POST"
            connection.request(method, path, body, headers)
            response = connection.getresponse()
        except OSError as error:
            raise LogError(f"the gateway at {owner['admin']}: {error}") from error
        if response.status in (http.client.NOT_FOUND, http.client.BAD_REQUEST):
            raise ConfigError(json.loads(response.read())["message"])
        if response.status != http.client.OK:
            said = _message(response.read())
            place = f"the gateway at {owner['admin']} answers {response.status}"
            raise LogError(f"{place}: {said}" if said else place)
        return response


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Each line; LogError where the answer ends before its end."""
    try:
        while piece := response.readline():
            yield piece
    except (OSError, http.client.HTTPException) as error:
        raise LogError("the answer broke off: the gateway's log says why") from error


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def running(config: LogConfig) -> Client | None:
    """The gateway that has the log open, where only one process can; else None."""
    owner = read_owner(config.path) if config.kind == "sqlite" else None
    return None if owner is None else Client(owner)
