"""The look-up API of a whole gateway: people, activities and their pages, decisions."""

import pytest

from tests.path.running import Gateway
from tests.workspace.test_road import Desk, config, identify

pytestmark = pytest.mark.service


async def test_people_are_there_to_look_up(tmp_path, url):
    async with Gateway(tmp_path, config(url)) as gateway:
        desk = Desk(gateway)
        traits = {"firstName": "Ann", "createdAt": "2024-02-29T12:34:56Z", "deep": [1]}
        await identify(gateway, "m1", userId="a/b", traits=traits)
        body = {"userId": "a/b", "event": "Bought", "messageId": "m2"}
        await gateway.post("/v1/track", body)
        await desk.decided("m2")
        person = await desk.attributes("a%2Fb")
        cio_id = person["identifiers"]["cio_id"]
        assert person["attributes"] == {
            "first_name": "Ann",
            "created_at": "1709210096",
            "deep": "[1]",
            "id": "a/b",
            "cio_id": cio_id,
        }
        assert (await desk.attributes(cio_id, "cio_id"))["id"] == "a/b"
        pages, start = [], ""
        while True:
            path = f"/v1/customers/a%2Fb/activities?limit=1{start}"
            _, page = await desk.get(path)
            pages += [(each["type"], each["messageId"]) for each in page["activities"]]
            if "next" not in page:
                break
            start = f"&start={page['next']}"
        assert pages == [
            ("event", "m2"),
            ("attribute_change", "m1"),
            ("profile_create", "m1"),
        ]
        _, page = await desk.get(
            "/v1/customers/a%2Fb/activities?type=event&name=Bought"
        )
        assert [each["name"] for each in page["activities"]] == ["Bought"]
        await gateway.stop()
        assert gateway.errors() == ""


async def test_every_look_up_answers(tmp_path):
    async with Gateway(tmp_path, config("sqlite:///w.db")) as gateway:
        desk = Desk(gateway)
        await identify(
            gateway, "m1", userId="u1", traits={"email": "A@x.y", "plan": "p"}
        )
        await desk.decided("m1")
        who = {"email": "A@x.y", "id": "u1"}
        _, found = await desk.get("/v1/customers?email=a%40X.y")
        assert {**found["results"][0], **who} == found["results"][0]
        assert (await desk.get("/v1/customers?email=no%40x"))[1] == {"results": []}
        for part in ("segments", "messages", "relationships"):
            assert (await desk.get(f"/v1/customers/u1/{part}"))[0] == 200
            assert (await desk.get(f"/v1/customers/no/{part}"))[0] == 404
        assert (await desk.get("/v1/customers/no/attributes"))[0] == 404
        assert (await desk.get("/v1/customers/u1/attributes?id_type=phone"))[0] == 400
        assert (await desk.get("/v1/customers/u1/activities?limit=101"))[0] == 400
        ids = {"ids": ["u1", "no"]}
        _, several = await desk.post("/v1/customers/attributes", ids)
        assert [each["customer"]["id"] for each in several["customers"]] == ["u1"]
        match = {"attribute": {"field": "plan", "operator": "eq", "value": "p"}}
        _, found = await desk.post("/v1/customers", {"filter": {"and": [match]}})
        assert found["ids"] == ["u1"]
        _, found = await desk.post("/v1/customers", {"filter": {"not": match}})
        assert found["ids"] == []
        assert (await desk.post("/v1/customers", {"filter": 1}))[0] == 400
        pending = {"decision": "pending", "failed_attribute_changes": []}
        assert await desk.get("/v1/decisions/never") == (200, pending)


async def test_nobody_looks_up_without_the_token(tmp_path):
    async with Gateway(tmp_path, config("sqlite:///w.db")) as gateway:
        desk = Desk(gateway)
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            status, body = await desk.get("/v1/suppressed", headers)
            assert status == 401
            assert body == {"errors": [{"detail": "unauthorized", "status": 401}]}
