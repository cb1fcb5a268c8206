"""``make destination NAME=crm``: a new type of destination to fill in.

One file in ``gateway/outbound/destinations/`` and one golden folder; nothing else has
to be edited. What is there already is left alone.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")
TEMPLATE = '''\
"""Sends each event to TITLE.

Say here what a user has to know: what an identify becomes there, what a track becomes,
which answers are tried again, what TITLE limits. `gateway destinations NAME` and the
docs show this text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from gateway.outbound.contract import Delivery, Takes
from gateway.outbound.http import Request, json_request
from gateway.outbound.kind import Kind, Schema, setting
from gateway.outbound.talk import one_request


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``settings = {...}`` of a NAME."""

    api_key: str = setting(
        doc="The key of the API",
        example='"${CRM_KEY}"',
        secret=True,
    )
    url: str = setting(
        doc="Where the API is",
        example='"https://NAME.example"',
        default="https://NAME.example",
    )


def request(deliveries: Sequence[Delivery], settings: Settings) -> Request | None:
    """The one request for an event; None for what TITLE has no use for."""
    (delivery,) = deliveries  # one, unless ``takes`` says batch_events
    event = delivery.event
    body = {"user": event.key, "traits": event.body.get("traits") or {}}
    authorization = f"Bearer {settings.api_key}"
    return json_request(
        f"{settings.url}/people", orjson.dumps(body), Authorization=authorization
    )


KIND = Kind(
    doc=__doc__,
    settings=Schema.of(Settings),
    takes=Takes(types=frozenset({"identify"})),
    talk=one_request(request),
)
'''
SETTINGS = {"settings": {"api_key": "0123456789"}}
EVENT = {
    "type": "identify",
    "messageId": "m-97980cfea0067-1",
    "userId": "97980cfea0067",
    "traits": {"email": "cool.person@example.com", "firstName": "Cool"},
    "context": {"channel": "server"},
    "timestamp": "2026-01-15T10:12:13.456Z",
    "timestampSource": "client",
    "receivedAt": "2026-01-15T10:12:14.100Z",
    "version": 1,
    "source": "web",
}


def scaffold(name: str, root: Path = ROOT) -> list[Path]:
    """Write what is missing of a new type; the files that were written."""
    if not NAME.fullmatch(name):
        raise SystemExit(f"{name!r}: a name is [a-z0-9_], a letter first")
    title = name.replace("_", " ").title()
    golden = root / "tests" / "golden" / "destinations" / name
    files = {
        root / "gateway" / "outbound" / "destinations" / f"{name}.py": (
            TEMPLATE.replace("TITLE", title).replace("NAME", name)
        ),
        golden / "settings.json": json.dumps(SETTINGS, indent=2) + "\n",
        golden / "identify" / "event.json": json.dumps(EVENT, indent=2) + "\n",
    }
    written = [file for file in files if not file.exists()]
    for file in written:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(files[file], encoding="utf-8")
    return written


NEXT = """\
then  ACCEPT=1 .venv/bin/python -m pytest -q tests/outbound/test_destinations.py
      read the request it wrote as if somebody else had written it
      .venv/bin/gateway send --to NAME event.json    (CONTRIBUTING.md has the steps)
"""

if __name__ == "__main__":
    for made in scaffold(sys.argv[1]):
        sys.stdout.write(f"made  {made.relative_to(ROOT)}\n")
    sys.stdout.write(NEXT)
