"""The identity vectors and sequences through the Track API: HTTP in, look-up out.

What is left to the store: other channels than this one, and a person whose own
identifiers are suppressed, since suppressing deletes (D00).
"""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.path.running import Gateway
from tests.path.test_track_api import CONFIG, send
from tests.workspace.test_road import Desk
from tests.workspace.test_road_vectors import Case, settings_text
from tests.workspace.test_vectors import SEQUENCES, VECTORS

pytestmark = pytest.mark.service


def config(url: str, settings: dict[str, Any]) -> str:
    head = f'{CONFIG}[workspace]\nurl = "{url}"\napi_token = "look"\n'
    return head + settings_text(settings)


def is_reachable(vector: dict[str, Any]) -> bool:
    held = {
        (kind, person[kind]) for person in vector["people"] for kind in ("id", "email")
    }
    blocked = {(each["type"], each["value"]) for each in vector["suppressed"]}
    return vector["request"]["channel"] == "api" and not held & blocked


def grouped() -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for vector in filter(is_reachable, VECTORS):
        groups.setdefault(json.dumps(vector["settings"]), []).append(vector)
    return groups


class TrackCase(Case):
    """One vector, asked of the Track API."""

    async def call(self, method: str, path: str, body: Any) -> dict[str, Any]:
        line = f"{method} /api/v1/customers/{path}"
        status, said, message_id = await send(self.gateway, line, body)
        if status == 400:
            assert said["errors"][0]["code"] == "missing_identifier"
            return {"decision": "rejected", "failed_attribute_changes": []}
        assert (status, said) == (200, {})
        decision: dict[str, Any] = await self.desk.decided(message_id)
        return decision

    async def prepare(self) -> None:
        for person in self.vector["people"]:
            payload = dict(person["attributes"])
            path = self.own(person["id"] or person["email"])
            assert path is not None
            if person["email"] is not None:
                payload["email"] = self.own(person["email"])
            decided = await self.call("PUT", quote(path, safe=""), payload)
            self.cio_ids[person["cio_id"]] = decided["cio_id"]
            if person.get("deleted"):
                await self.call("DELETE", f"cio_{decided['cio_id']}", {})
        for each in self.vector["suppressed"]:
            value = self.own(each["value"])
            await self.call("POST", f"{quote(value or '', safe='')}/suppress", {})

    async def ask(self) -> dict[str, Any]:
        request = self.vector["request"]
        path, payload = request["path"], dict(request["payload"])
        for kind in {"id", "email"} & payload.keys():
            payload[kind] = self.own(payload[kind])
        if path.startswith("cio_"):
            path = f"cio_{self.cio_ids.get(path.removeprefix('cio_'), 'nobody')}"
        elif path:
            path = self.own(path)
        return await self.call("PUT", quote(path, safe=""), payload)

    async def check(self, decided: dict[str, Any]) -> None:
        gone = [each for each in self.vector["people"] if each.get("deleted")]
        for person in gone:
            cio_id = self.cio_ids[person["cio_id"]]
            assert await self.desk.attributes(cio_id, "cio_id") is None
        expected = self.vector["expected"]
        alive = [each for each in expected["people"] if not each.get("deleted")]
        self.vector = {**self.vector, "expected": {**expected, "people": alive}}
        await super().check(decided)


@pytest.mark.parametrize(
    ("settings", "vectors"),
    [pytest.param(k, v, id=v[0]["id"]) for k, v in grouped().items()],
)
async def test_vectors_through_the_track_api(tmp_path, url, settings, vectors):
    async with Gateway(tmp_path, config(url, json.loads(settings))) as gateway:
        for vector in vectors:
            case = TrackCase(vector, gateway)
            await case.prepare()
            await case.check(await case.ask())


def test_nearly_all_vectors_are_reachable():
    left = [vector["id"] for vector in VECTORS if not is_reachable(vector)]
    assert sum(map(len, grouped().values())) == len(VECTORS) - len(left)
    assert len(left) <= 6


def is_sequence_of_requests(sequence: dict[str, Any]) -> bool:
    """An ``operation`` blocks an identifier of somebody who lives on (D00)."""
    return all("request" in step for step in sequence["steps"])


@pytest.mark.parametrize(
    "sequence",
    [pytest.param(s, id=s["id"]) for s in SEQUENCES if is_sequence_of_requests(s)],
)
async def test_sequence_through_the_track_api(tmp_path, url, sequence):
    async with Gateway(tmp_path, config(url, sequence["settings"])) as gateway:
        desk, first = Desk(gateway), ""
        for step in sequence["steps"]:
            asked = step["request"]
            path = asked["path"].replace("{cio of step 1}", first)
            line = f"PUT /api/v1/customers/{quote(path, safe='')}"
            status, _, message_id = await send(gateway, line, asked["payload"])
            assert status == 200
            decided = await desk.decided(message_id)
            first = first or decided["cio_id"]
            assert decided["decision"] == step["result"].split()[0]
            failed = [e["identifier"] for e in decided["failed_attribute_changes"]]
            assert failed == step.get("failed", [])
        found = [await person(desk, each) for each in sequence["final_people"]]
        assert found == [
            (each["id"], each["email"], each["attributes"])
            for each in sequence["final_people"]
        ]


async def person(desk: Desk, expected: dict[str, Any]) -> tuple[Any, Any, Any]:
    kind = "id" if expected["id"] is not None else "email"
    shown = await desk.attributes(quote(expected[kind], safe=""), kind)
    attributes = {
        name: value
        for name, value in shown["attributes"].items()
        if name not in ("id", "email", "cio_id")
    }
    return shown["identifiers"]["id"], shown["identifiers"]["email"], attributes
