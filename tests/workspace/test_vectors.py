"""The vectors and sequences of the identity rules, on both stores."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.event import Event
from gateway.workspace.people import new_cio_id
from gateway.workspace.request import Request, read
from gateway.workspace.store import Store
from tests.workspace.conftest import apply_all, settings_of
from tests.workspace.contents import put_person, put_suppressed, rows

FOLDER = Path(__file__).parents[1] / "identity"
VECTORS = json.loads(FOLDER.joinpath("vectors.json").read_text())["vectors"]
SEQUENCES = json.loads(FOLDER.joinpath("sequences.json").read_text())["sequences"]
AT = "2026-01-02T03:04:05.000Z"
ORIGINS = {"api": "track", "csv": "csv", "db_sync": "sync", "ui": "ui"}


def as_event(
    path: str, payload: dict[str, Any], kinds: list[str], message_id: str, channel: str
) -> Event:
    """The event that a request becomes: gateway/workspace/request.py says how."""
    if path.startswith("cio_"):
        identifiers = {"cio_id": path.removeprefix("cio_")}
    else:
        kind = "email" if "@" in path and "email" in kinds else "id"
        identifiers = {kind: path} if path else {}
    traits = dict(payload)
    for kind in ("id", "email", "cio_id"):
        if identifiers and kind not in identifiers and traits.get(kind):
            identifiers[kind] = str(traits.pop(kind))
    body = {
        "type": "identify",
        "messageId": message_id,
        "source": "backend",
        "receivedAt": AT,
        "timestamp": AT,
        "origin": ORIGINS[channel],
        "identifiers": identifiers,
        "traits": traits,
    }
    return Event.from_bytes(orjson.dumps(body))


def as_request(path, payload, settings, message_id="m1", channel="api") -> Request:
    kinds = settings["identifiers"]
    event = as_event(path, payload, kinds, message_id, channel)
    return read(event, kinds=frozenset(kinds), source_kind="track_api")


async def people_in(store: Store) -> dict[str, dict[str, Any]]:
    return {
        row["cio_id"]: {
            "id": row["id"],
            "email": row["email"],
            "attributes": json.loads(row["attributes"]),
        }
        for row in await rows(store, "people")
    }


def expected_people(people, new: str) -> dict[str, dict[str, Any]]:
    return {
        new if person["cio_id"].startswith("new") else person["cio_id"]: {
            key: person[key] for key in ("id", "email", "attributes")
        }
        for person in people
        if not person.get("deleted")
    }


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["id"]) for v in VECTORS])
async def test_vector(store, vector):
    settings, request = vector["settings"], vector["request"]
    for person in vector["people"]:
        if not person.get("deleted"):
            await put_person(store, **person)
    for each in vector["suppressed"]:
        await put_suppressed(store, each["type"], each["value"])
    asked = as_request(
        request["path"], request["payload"], settings, channel=request["channel"]
    )
    await apply_all(store, [asked], settings_of(settings))
    expected = vector["expected"]
    new = new_cio_id("backend", "m1", None)
    assert await people_in(store) == expected_people(expected["people"], new)
    (decided,) = await rows(store, "decisions")
    if expected["result"] == "rejected":  # R01: intake refuses it before
        assert (decided["decision"], decided["reason"]) == ("ignored", "no_identifier")
    else:
        assert decided["decision"] == expected["result"]
    failed = [
        {"person": decided["cio_id"], **each} for each in json.loads(decided["failed"])
    ]
    assert failed == [
        {**each, "person": new if each["person"].startswith("new") else each["person"]}
        for each in expected["failed_attribute_changes"]
    ]
    blocked = {(row["kind"], row["value"]) for row in await rows(store, "suppressed")}
    assert blocked == {(e["type"], e["value"]) for e in expected["suppressed"]}


def pipelines_request(given, settings, message_id) -> Request:
    """As ``resolve`` leaves a pipelines identify."""
    body = {k: v for k, v in given.items() if v != ""}
    body |= {"type": "identify", "messageId": message_id, "source": "web"}
    body |= {"receivedAt": AT, "timestamp": AT}
    event = Event.from_bytes(orjson.dumps(body))
    kinds = frozenset(settings["identifiers"])
    return read(event, kinds=kinds, source_kind="browser")


@pytest.mark.parametrize("sequence", [pytest.param(s, id=s["id"]) for s in SEQUENCES])
async def test_sequence(store, sequence):
    settings = sequence["settings"]
    for number, step in enumerate(sequence["steps"], 1):
        if "operation" in step:
            kind, value = step["operation"].split()[1:3]
            await put_suppressed(store, kind, value)
            continue
        message_id = f"m{number}"
        if "pipelines_identify" in step:
            given = step["pipelines_identify"]
            request = pipelines_request(given, settings, message_id)
        else:
            asked = step["request"]
            first = new_cio_id("backend", "m1", None)
            path = asked["path"].replace("{cio of step 1}", first)
            request = as_request(path, asked["payload"], settings, message_id)
        await apply_all(store, [request], settings_of(settings), first=number)
        (decided,) = [
            row
            for row in await rows(store, "decisions")
            if row["message_id"] == message_id
        ]
        assert decided["decision"] == step["result"].split()[0]
        failed = [each["identifier"] for each in json.loads(decided["failed"])]
        assert failed == step.get("failed", [])
        if "suppressed_after" in step:
            blocked = await rows(store, "suppressed")
            names = sorted(f"{row['kind']}:{row['value']}" for row in blocked)
            assert names == step["suppressed_after"]
    people = list((await people_in(store)).values())
    final = sequence["final_people"]
    assert sorted(map(repr, people)) == sorted(
        repr({key: person[key] for key in ("id", "email", "attributes")})
        for person in final
    )
