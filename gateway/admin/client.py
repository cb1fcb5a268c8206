"""Asking a running gateway, as its own command line does.

SQLite's file belongs to one process; the lock file beside it says who that is, where
its admin port is, and the token that opens it. Needs nothing of the server's side.
"""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from gateway.config import LogConfig
from gateway.errors import ConfigError, LogError
from gateway.event import Json
from gateway.log import Span, read_owner

TIMEOUT_S = 30.0
PIECE_BYTES = 65_536
READY, UNREADY = "/readyz", http.client.SERVICE_UNAVAILABLE


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
        """The records of a topic that were received in a span, as JSON lines."""
        query = {"from": span.from_ms, "until": span.until_ms, "follow": int(follow)}
        given = {name: value for name, value in query.items() if value is not None}
        path = f"/control/read/{quote(topic, safe='')}?{urlencode(given)}"
        with self._ask(path, timeout_s=None if follow else TIMEOUT_S) as response:
            yield from self._lines(response)

    def replay(self, asked: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
        """Run a replay there, step by step; stopping to listen stops it."""
        body = orjson.dumps(asked)
        with self._ask("/control/replay", timeout_s=None, body=body) as response:
            yield from map(orjson.loads, self._lines(response))

    def opened_by(self, token: str) -> "Client":
        """The same gateway, asked with another token."""
        return Client({**self._owner, "token": token})

    def found(self, path: str) -> Mapping[str, Json] | None:
        """What a path of JSON says; None for what is not there."""
        with self._answer(path, timeout_s=TIMEOUT_S) as response:
            if response.status == http.client.NOT_FOUND:
                return None
            found: Mapping[str, Json] = json.loads(_ok(response, self._owner))
            return found

    def health(self) -> Mapping[str, Json]:
        """What /readyz says, ready or not."""
        with self._answer(READY, timeout_s=TIMEOUT_S) as response:
            body = response.read()
            if response.status not in (http.client.OK, UNREADY):
                raise LogError(f"{self._owner['admin']} answers {response.status}")
            told: Mapping[str, Json] = json.loads(body)
            return told

    def do(self, path: str) -> None:
        """POST to a path; returns when it is done, or begun."""
        with self._answer(path, timeout_s=TIMEOUT_S, body=b"") as response:
            _ok(response, self._owner)

    def answers(self) -> bool:
        """Whether there is anybody."""
        try:
            with self._answer(READY, timeout_s=TIMEOUT_S):
                return True
        except LogError:
            return False

    def _lines(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        """Its lines; LogError when it ends in the middle.

        ``response.readline`` would take a connection that is lost for the end.
        """
        begun = b""
        try:
            while piece := response.read1(PIECE_BYTES):
                *whole, begun = (begun + piece).split(b"\n")
                yield from (each + b"\n" for each in whole if each)
        except (OSError, http.client.HTTPException) as error:
            admin = self._owner["admin"]
            raise LogError(f"the gateway at {admin} went away: ask again") from error

    @contextmanager
    def _ask(
        self, path: str, *, timeout_s: float | None, body: bytes | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        with self._answer(path, timeout_s=timeout_s, body=body) as response:
            if response.status == http.client.NOT_FOUND:
                raise ConfigError(_said(response, self._owner))
            _check(response, self._owner)
            yield response

    @contextmanager
    def _answer(
        self, path: str, *, timeout_s: float | None, body: bytes | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        owner = self._owner
        if "admin" not in owner:
            pid = owner.get("pid")
            raise LogError(f"process {pid} holds the log and has no admin port (yet)")
        url = urlsplit(owner["admin"])
        connection = http.client.HTTPConnection(url.netloc, timeout=timeout_s)
        with closing(connection):
            try:
                headers = {"Authorization": f"Bearer {owner['token']}"}
                method = "GET" if body is None else "POST"
                connection.request(method, path, body, headers)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                message = f"the gateway at {owner['admin']}: {error}"
                raise LogError(message) from error
            yield response


def _ok(response: http.client.HTTPResponse, owner: Mapping[str, Any]) -> bytes:
    _check(response, owner)
    return response.read()


def _check(response: http.client.HTTPResponse, owner: Mapping[str, Any]) -> None:
    """Raise for what is no answer to use."""
    if response.status == http.client.BAD_REQUEST:
        raise ConfigError(_said(response, owner))
    if response.status not in (http.client.OK, http.client.ACCEPTED):
        said = _message(response.read())
        raise LogError(": ".join(filter(None, (_status(response, owner), said))))


def _said(response: http.client.HTTPResponse, owner: Mapping[str, Any]) -> str:
    """What is wrong with a question; the status where the answer has no words."""
    return _message(response.read()) or _status(response, owner)


def _status(response: http.client.HTTPResponse, owner: Mapping[str, Any]) -> str:
    return f"the gateway at {owner['admin']} answers {response.status}"


def _message(body: bytes) -> str:
    """The admin port's words; none of what it says before it reads a request."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def running(config: LogConfig) -> Client | None:
    """The gateway that has the log open, where only one process can; else None."""
    owner = read_owner(config.path) if config.kind == "sqlite" else None
    return None if owner is None else Client(owner)
