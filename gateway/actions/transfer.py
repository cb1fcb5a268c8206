"""A sidecar's requests and their answers, as the gateway has them.

A body that is no UTF-8 travels as base64.
"""

import base64
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from gateway import __version__
from gateway.actions.frames import Frame
from gateway.outbound.http import NoResponse, Request, Response

ANSWER_BYTES = 4_194_304
AGENT = f"gateway/{__version__} (action-destinations)"
PHRASES: Mapping[int, str] = {each.value: each.phrase for each in HTTPStatus}
OF_THE_BODY = frozenset({"content-length", "transfer-encoding", "content-encoding"})
OF_THE_CONNECTION = frozenset({"connection", "host", "accept-encoding"})


def request_of(frame: Mapping[str, Any]) -> Request:
    """A ``fetch`` frame as a request; we are not Segment, so we say who we are."""
    headers = {
        name: value
        for name, value in frame["headers"].items()
        if name not in OF_THE_BODY | OF_THE_CONNECTION
    }
    return Request(
        url=frame["url"],
        method=frame["method"],
        headers={**headers, "user-agent": AGENT},
        body=_bytes(frame),
        answer_bytes=ANSWER_BYTES,
    )


def _bytes(frame: Mapping[str, Any]) -> bytes:
    if (encoded := frame.get("body64")) is not None:
        return base64.b64decode(encoded)
    text: str = frame.get("body", "")
    return text.encode()


def answer_of(answer: Response | NoResponse) -> Frame:
    """What came back, for the sidecar."""
    if isinstance(answer, NoResponse):
        return {"error": answer.reason}
    headers = {n: v for n, v in answer.headers.items() if n not in OF_THE_BODY}
    said = {"status": answer.status, "reason": PHRASES.get(answer.status, "")}
    return {**said, "headers": headers, **_body(answer)}


def _body(answer: Response) -> Frame:
    if not answer.body or answer.status in (204, 205, 304):
        return {}  # a Response of these may have none
    try:
        return {"body": answer.body.decode()}
    except UnicodeDecodeError:
        return {"body64": base64.b64encode(answer.body).decode()}
