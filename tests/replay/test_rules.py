"""A replay goes where its events would go today."""

from pathlib import Path

import orjson
import pytest

from gateway.config import parse
from gateway.event import Event
from gateway.parts import check
from gateway.replay.rules import rules_of
from gateway.replay.run import Request

CONFIG = """
[sources.web]
write_keys = ["k"]
[destinations.people]
type = "workspace"
[destinations.hook]
type = "file"
settings = { path = "events.ndjson" }
"""


@pytest.mark.parametrize(
    ("identifiers", "to", "goes"),
    [
        ({"id": "u1"}, "hook", True),
        ({"cio_id": "1"}, "hook", False),
        ({"cio_id": "1"}, "people", True),
    ],
)
def test_an_identify_by_a_cio_id_is_replayed_to_who_keeps_people_alone(
    identifiers, to, goes
):
    config = parse(CONFIG, folder=Path())
    rules = rules_of(config, check(config), Request(id="r1", to=to))
    body = {"messageId": "m", "source": "web", "type": "identify", "origin": "track"}
    at = {"receivedAt": "2026-01-01T00:00:00.000Z", "identifiers": identifiers}
    assert rules.routed(Event.from_bytes(orjson.dumps({**body, **at}))) is goes
