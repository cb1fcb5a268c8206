"""Records as the log gives them, for tests that need no gateway."""

from typing import Any

import orjson

from gateway.event import iso
from gateway.log.contract import Record

AT_MS = 1_768_472_000_000  # 2026-01-15T10:13:20Z


class Made:
    """Makes records, each at the next offset of its topic."""

    def __init__(self) -> None:
        self._offsets: dict[str, int] = {}

    def _record(
        self, topic: str, key: str, value: Any, headers: dict[str, str], at: int
    ) -> Record:
        offset = self._offsets[topic] = self._offsets.get(topic, -1) + 1
        given = tuple((name, text.encode()) for name, text in headers.items())
        return Record(
            topic, 0, offset, key.encode(), orjson.dumps(value), given, at + 5
        )

    def event(
        self,
        message_id: str,
        *,
        at: int = AT_MS,
        to: tuple[str, ...] = ("crm",),
        no: dict[str, str] | None = None,
        source: str = "web",
        kind: str = "identify",
        person: str = "u1",
        **more: Any,
    ) -> Record:
        route = orjson.dumps({"to": to, "no": no or {}}).decode()
        headers = self._headers(message_id, source, at) | {"type": kind, "route": route}
        body = {"messageId": message_id, "type": kind, **more}
        return self._record("events", person, body, headers, at)

    def end(
        self,
        message_id: str,
        *,
        at: int = AT_MS,
        destination: str = "crm",
        kind: str = "delivered",
        source: str = "web",
        replay: str | None = None,
        **more: Any,
    ) -> Record:
        value = {
            "messageId": message_id,
            "source": source,
            "destination": destination,
            "personKey": "u1",
            "kind": kind,
            "reason": None,
            "attempts": 1,
            "firstAttemptAt": iso(at + 10),
            "at": iso(at + 30),
            "replay": replay,
            "status": 200,
            **more,
        }
        headers = self._headers(message_id, source, at)
        if replay is not None:
            headers["replay"] = replay
        return self._record("outcomes", "u1", value, headers, at + 30)

    def refused(
        self,
        message_id: str,
        *,
        at: int = AT_MS,
        source: str = "web",
        code: str = "type",
    ) -> Record:
        fault = {"pointer": "/traits/email", "message": "is no text", "code": code}
        value = {
            "messageId": message_id,
            "endpoint": "identify",
            "userAgent": "sdk/1",
            "bytes": "{}",
            "errors": [fault],
        }
        headers = self._headers(message_id, source, at)
        return self._record("refused", message_id, value, headers, at)

    def _headers(self, message_id: str, source: str, at: int) -> dict[str, str]:
        return {"messageId": message_id, "source": source, "receivedAt": iso(at)}
