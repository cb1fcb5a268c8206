"""The identity vectors that a pipelines identify can reach: HTTP in, look-up out.

One gateway for each kind of settings; every vector has identifiers of its own. A
userId plays the path's part, traits.email is the payload's. What needs an id in the
payload, another channel or a deleted person's cio_id is proved at the store.
"""

import json
from typing import Any

import pytest

from tests.path.running import Gateway
from tests.workspace.test_road import Desk, config, identify, suppress
from tests.workspace.test_vectors import VECTORS

pytestmark = pytest.mark.service


def is_reachable(vector: dict[str, Any]) -> bool:
    """State and request can both be made with pipelines calls."""
    request, people = vector["request"], vector["people"]
    return (
        request["channel"] == "api"
        and request["path"] != ""
        and not {"id", "cio_id"} & set(request["payload"])
        and not any(person.get("deleted") for person in people)
        and not (people and vector["suppressed"])
    )


def grouped() -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for vector in filter(is_reachable, VECTORS):
        groups.setdefault(json.dumps(vector["settings"]), []).append(vector)
    return groups


def settings_text(settings: dict[str, Any]) -> str:
    """As TOML: JSON's lists and texts are, its booleans too."""
    return "".join(f"{name} = {json.dumps(v)}\n" for name, v in settings.items())


class Case:
    """One vector, with identifiers that no other has."""

    def __init__(self, vector: dict[str, Any], gateway: Gateway) -> None:
        self.vector, self.gateway, self.desk = vector, gateway, Desk(gateway)
        self.name = vector["id"].lower()
        self.cio_ids: dict[str, str] = {}
        self._count = 0

    def own(self, value: str | None) -> str | None:
        return None if value is None else f"{self.name}-{value}"

    async def send(self, user: str | None, traits: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        message_id = f"{self.name}-{self._count}"
        await identify(self.gateway, message_id, userId=user, traits=traits)
        decided: dict[str, Any] = await self.desk.decided(message_id)
        return decided

    async def prepare(self) -> None:
        for person in self.vector["people"]:
            email = person["email"]
            traits = dict(person["attributes"])
            if email is not None and person["id"] is not None:
                traits["email"] = self.own(email)
            decided = await self.send(self.own(person["id"] or email), traits)
            self.cio_ids[person["cio_id"]] = decided["cio_id"]
        for number, each in enumerate(self.vector["suppressed"]):
            user = self.own(each["value"])
            message_id = f"{self.name}-s{number}"
            await suppress(self.gateway, self.desk, message_id, user)

    async def ask(self) -> dict[str, Any]:
        request = self.vector["request"]
        path, traits = request["path"], dict(request["payload"])
        if "email" in traits:
            traits["email"] = self.own(traits["email"])
        if path.startswith("cio_"):
            known = self.cio_ids.get(path.removeprefix("cio_"), "nobody")
            return await self.send(f"cio_{known}", traits)
        return await self.send(self.own(path), traits)

    async def check(self, decided: dict[str, Any]) -> None:
        expected = self.vector["expected"]
        assert decided["decision"] == expected["result"], self.name
        failed = [
            {key: each[key] for key in ("identifier", "value", "reason")}
            | {"value": self.own(each["value"])}
            for each in expected["failed_attribute_changes"]
        ]
        assert decided["failed_attribute_changes"] == failed, self.name
        for person in expected["people"]:
            cio_id = self.cio_ids.get(person["cio_id"], decided["cio_id"])
            found = await self.desk.attributes(cio_id, "cio_id")
            names = found["identifiers"]
            assert names["id"] == self.own(person["id"]), self.name
            if person["email"] is not None:
                assert names["email"] == self.own(person["email"]), self.name
            attributes = {
                key: value
                for key, value in found["attributes"].items()
                if key not in ("id", "email", "cio_id")
            }
            shown = dict(person["attributes"])
            shown.pop("email", None)
            assert attributes == shown, self.name


@pytest.mark.parametrize(
    ("settings", "vectors"),
    [pytest.param(k, v, id=v[0]["id"]) for k, v in grouped().items()],
)
async def test_vectors_on_the_road(tmp_path, url, settings, vectors):
    given = settings_text(json.loads(settings))
    async with Gateway(tmp_path, config(url, settings=given)) as gateway:
        for vector in vectors:
            case = Case(vector, gateway)
            await case.prepare()
            await case.check(await case.ask())


def test_enough_vectors_are_reachable():
    assert sum(map(len, grouped().values())) >= 20
