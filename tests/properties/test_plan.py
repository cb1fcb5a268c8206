"""A plan that is made of what was sent admits all of it, as it was sent."""

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.event import Raw
from gateway.inbound.admit import Admitted, admit, admit_outside
from gateway.inbound.plan import Plan, load_plan
from gateway.inbound.refusal import Refusal
from gateway.ledger import detect
from gateway.ledger.catalogue import Asked, catalogue
from gateway.ledger.contract import Connection
from gateway.ledger.file import FileConnection
from gateway.ledger.queries import Queries
from gateway.ledger.tallies import FOR_EVER_MS
from gateway.ledger.write import Writer
from gateway.log.contract import Record
from tests.chance import examples
from tests.inbound.samples import RECEIVED_MS, identify, message, origin
from tests.properties.test_inbound import JSON, KEY, ROUTES, VALID

PROPERTIES = st.dictionaries(st.sampled_from(["a", "b", "c"]) | KEY, JSON, max_size=4)
NAMES = st.sampled_from(["Order", "Paid", "A/B~", "\U0001f600"])
TRACKS = st.builds(
    lambda name, properties: message("track", event=name, properties=properties),
    NAMES,
    PROPERTIES | st.none(),
)
EMAIL = "ann@example.com"
FILLED = [
    identify(userId=EMAIL, traits={"plan": "a"}),
    identify(userId=EMAIL, traits={"firstName": "A", "lastName": "B", "name": None}),
    identify(userId=EMAIL, traits={"first_name": "A", "last_name": "B", "email": ""}),
]
TRACK_API = {"origin": "track", "identifiers": {"id": "user-1"}}
OUTSIDE = [
    identify(traits={"created_at": 1_760_000_000}, **TRACK_API),
    identify(traits={"created_at": "x", "age": "34"}, **TRACK_API),
]


def judged(raw: Raw, plan: Plan | None = None) -> Admitted | Refusal:
    judge = admit_outside if "origin" in raw else admit
    return judge(raw, origin(), ROUTES, plan)


@contextmanager
def ledger() -> Iterator[Connection]:
    connection = sqlite3.connect(
        ":memory:", isolation_level=None, factory=FileConnection
    )
    connection.make()
    yield connection
    connection.close()


def record(number: int, admitted: Admitted) -> Record:
    event = admitted.event
    headers = {
        "messageId": f"m{number}",
        "source": event.source,
        "receivedAt": event.received_at,
        "type": event.type,
    }
    given_ = tuple((name, text.encode()) for name, text in headers.items())
    key = event.key.encode()
    return Record("events", 0, number, key, event.to_bytes(), given_, RECEIVED_MS)


@given(st.lists(TRACKS | VALID, min_size=1, max_size=12), st.integers(1, 4))
@settings(max_examples=examples(200), deadline=None)
@example(FILLED, 1)
@example(OUTSIDE, 1)
def test_a_detected_plan_admits_every_event_that_it_was_made_of(raws, required_from):
    was, detect.REQUIRED_FROM = detect.REQUIRED_FROM, required_from
    try:
        became = [(raw, judged(raw)) for raw in raws]
        good = [(raw, each) for raw, each in became if isinstance(each, Admitted)]
        with ledger() as connection:
            records = [record(n, each) for n, (_, each) in enumerate(good)]
            Writer().take(connection, "events", records)
            asked = Asked(0, FOR_EVER_MS, "shop")
            told = catalogue(Queries(connection), asked, {})
        plan, remarks = detect.detect(told["kinds"])
    finally:
        detect.REQUIRED_FROM = was
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        file.write_text(json.dumps(plan))
        loaded = load_plan(file, on_unplanned="reject")
    for raw, _ in good:
        if raw["type"] == "track" and not raw["event"]:
            assert "left out: track: it has no name" in remarks
        else:
            result = judged(raw, loaded)
            assert isinstance(result, Admitted), (raw, plan, result)
