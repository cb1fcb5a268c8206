"""Random sequences of requests: the store has what a naive model of the rules has."""

import asyncio
import json
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from gateway.event import Event
from gateway.workspace import tables
from gateway.workspace.people import new_cio_id
from gateway.workspace.request import read
from gateway.workspace.settings import Workspace
from tests.chance import examples
from tests.workspace.conftest import apply_all
from tests.workspace.contents import rows
from tests.workspace.model import Model

AT = "2026-01-02T03:04:05.000Z"
IDS = st.sampled_from(["u1", "u2", "U2"])
EMAILS = st.sampled_from(["a@x", "A@X", "b@x"])
MESSAGES = 30
CIO_IDS = st.integers(0, 4).map(lambda n: new_cio_id("backend", f"m{n}", None))
PATHS = st.one_of(
    st.tuples(st.just("id"), IDS),
    st.tuples(st.just("email"), EMAILS),
    st.tuples(st.just("cio_id"), CIO_IDS),
)
PAYLOADS = st.fixed_dictionaries(
    {},
    optional={
        "id": IDS | st.none(),
        "email": EMAILS | st.none() | st.just(""),
        "cio_id": CIO_IDS,
        "plan": st.sampled_from(["free", "pro", None, "", {"deep": [1]}]),
        "name": st.sampled_from(["Ann", None]),
    },
)
IDENTIFIES = st.tuples(
    st.just("identify"),
    st.sampled_from(["track", "track", "track", "csv", "sync", "ui"]),
    PATHS,
    PAYLOADS,
)
ACTIONS = st.one_of(
    IDENTIFIES,
    IDENTIFIES,
    IDENTIFIES,
    st.tuples(st.sampled_from(["delete", "suppress", "unsuppress"]), PATHS),
    st.tuples(st.just("merge"), PATHS, PATHS),
)
WORKSPACES = st.builds(
    Workspace,
    identifiers=st.sampled_from([("email", "id"), ("id",)]),
    reference_people_by_cio_id=st.booleans(),
    allow_email_update_using_id=st.booleans(),
    multi_identifier_profile_merge=st.booleans(),
)


def body_of(action: tuple[Any, ...], kinds: tuple[str, ...]) -> dict[str, Any]:
    """The event of an action, as gateway/workspace/request.py defines it."""
    if action[0] != "identify":
        body = {"type": "person", "action": action[0], "origin": "track"}
        body["identifiers"] = dict([action[1]])
        return body | ({"secondary": dict([action[2]])} if len(action) > 2 else {})
    _, origin, path, payload = action
    identifiers, traits = dict([path]), dict(payload)
    for kind in ("id", "email", "cio_id"):
        usable = kind == "cio_id" or kind in kinds
        if usable and traits.get(kind) and kind not in identifiers:
            identifiers[kind] = traits.pop(kind)
    body = {"type": "identify", "origin": origin, "identifiers": identifiers}
    return body | {"traits": traits}


def is_possible(action: tuple[Any, ...], kinds: tuple[str, ...]) -> bool:
    """In an id-only workspace nobody is named by an email (D17)."""
    named = [each for each in action[1:] if isinstance(each, tuple)]
    return all(kind == "cio_id" or kind in kinds for kind, _ in named)


def told(model: Model, number: int, action: tuple[Any, ...]) -> tuple[str, list[Any]]:
    match action:
        case ("identify", origin, path, payload):
            new = new_cio_id("backend", f"m{number}", None)
            channel = "api" if origin == "track" else origin
            said: tuple[str, list[Any]] = model.identify(new, channel, path, payload)
            return said
        case ("merge", path, secondary):
            return model.merge_people(path, secondary), []
        case (verb, path):
            return getattr(model, verb)(path), []
        case _:
            raise AssertionError(action)


async def check(store, workspace: Workspace, actions, batch: int) -> None:
    async with store.writing() as connection:
        for table in tables.metadata.tables.values():
            await connection.execute(delete(table))
    kinds = workspace.identifiers
    model = Model(
        "email" in kinds,
        workspace.reference_people_by_cio_id,
        workspace.allow_email_update_using_id,
        workspace.multi_identifier_profile_merge,
    )
    requests, expected = [], []
    for number, action in enumerate(actions):
        body = body_of(action, kinds) | {
            "messageId": f"m{number}",
            "source": "backend",
            "receivedAt": AT,
        }
        event = Event.from_bytes(orjson.dumps(body))
        requests.append(read(event, kinds=frozenset(kinds), source_kind="track_api"))
        expected.append(told(model, number, action))
    await apply_all(store, requests, workspace, batch=batch)
    decided = {row["message_id"]: row for row in await rows(store, "decisions")}
    for number, (result, failures) in enumerate(expected):
        row = decided[f"m{number}"]
        assert row["decision"] == result, (number, actions[number], row["reason"])
        failed = [tuple(each.values()) for each in json.loads(row["failed"])]
        assert failed == failures, (number, actions[number])
    people = [
        {
            "cio_id": row["cio_id"],
            "id": row["id"],
            "email": row["email"],
            "attributes": json.loads(row["attributes"]),
        }
        for row in await rows(store, "people")
    ]
    assert people == sorted(model.people, key=lambda person: person["cio_id"])
    blocked = {
        (row["kind"], row["value"])
        for row in await rows(store, "suppressed")
        if row["blocked"]
    }
    assert blocked == set(model.blocked)


async def test_random_sequences_give_what_the_model_gives(store):
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=examples(100),
        suppress_health_check=list(HealthCheck),
    )
    @given(
        WORKSPACES, st.lists(ACTIONS, min_size=8, max_size=MESSAGES), st.integers(1, 10)
    )
    def run(workspace, actions, batch):
        possible = [a for a in actions if is_possible(a, workspace.identifiers)]
        work = check(store, workspace, possible, batch)
        asyncio.run_coroutine_threadsafe(work, loop).result()

    await asyncio.to_thread(run)
