"""The look-up API of a whole gateway: people, activities and their pages, decisions."""

import pytest

from tests.path.running import Gateway
from tests.workspace.test_road import Desk, config, identify, suppress

pytestmark = pytest.mark.service


async def test_people_are_there_to_look_up(tmp_path, url):
    async with Gateway(tmp_path, config(url)) as gateway:
        desk = Desk(gateway)
        traits = {"firstName": "Ann", "createdAt": "2024-02-29T12:34:56Z", "deep": [1]}
        await identify(gateway, "m1", userId="a/{b}", traits=traits)
        body = {"userId": "a/{b}", "event": "Bought", "messageId": "m2"}
        await gateway.post("/v1/track", body)
        await desk.decided("m2")
        person = await desk.attributes("a%2F%7Bb%7D")
        cio_id = person["identifiers"]["cio_id"]
        assert person["attributes"] == {
            "first_name": "Ann",
            "created_at": "1709210096",
            "deep": "[1]",
            "id": "a/{b}",
            "cio_id": cio_id,
        }
        assert (await desk.attributes(cio_id, "cio_id"))["id"] == "a/{b}"
        pages, start = [], ""
        while True:
            path = f"/v1/customers/a%2F%7Bb%7D/activities?limit=1{start}"
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
            "/v1/customers/a%2F%7Bb%7D/activities?type=event&name=Bought"
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


NOT_FOR_PEOPLE = """\
when = "event != 'Left out'"
"""


async def test_what_the_workspace_never_got_says_why(tmp_path):
    text = config("sqlite:///w.db").replace(
        'type = "workspace"\n', f'type = "workspace"\n{NOT_FOR_PEOPLE}'
    )
    async with Gateway(tmp_path, text) as gateway:
        desk = Desk(gateway)
        await post(gateway, "m1", "/v1/alias", userId="u1", previousId="u0")
        left_out = {"integrations": {"people": False}}
        await post(gateway, "m2", "/v1/track", userId="u1", event="E", **left_out)
        await post(gateway, "m3", "/v1/track", userId="u1", event="Left out")
        bad = {"messageId": "m4", "userId": "u1", "event": 7}
        assert (await gateway.post("/v1/track", bad))[0] == 400
        seen = {name: await desk.decided(name) for name in ("m1", "m2", "m3", "m4")}
        assert {name: each["decision"] for name, each in seen.items()} == {
            "m1": "ignored",
            "m2": "not_routed",
            "m3": "not_routed",
            "m4": "refused",
        }
        assert seen["m1"]["reason"] == "alias"
        assert seen["m2"]["reason"] == "integrations"
        assert seen["m3"]["reason"] == "when"
        assert seen["m4"]["reason"].startswith("/event: ")
        assert seen["m4"]["errors"][0]["pointer"] == "/event"
        for each in seen.values():
            assert each["source"] == "web"
            assert each["failed_attribute_changes"] == []
        status, body = await desk.get("/v1/decisions/never")
        assert status == 404
        assert "since 20" in body["errors"][0]["detail"]
        assert body["meta"]["error"] == body["errors"][0]["detail"]
        assert (await desk.get("/v1/decisions/m1?source=phone"))[0] == 404


async def test_an_event_waits_while_the_workspace_does(tmp_path):
    text = config("sqlite:///w.db").replace(
        'type = "workspace"\n', 'type = "workspace"\npaused = true\n'
    )
    async with Gateway(tmp_path, text) as gateway:
        await identify(gateway, "m1", userId="u1")
        status, body = await Desk(gateway).get("/v1/decisions/m1")
        assert (status, body["decision"]) == (200, "pending")


async def test_nobody_looks_up_without_the_token(tmp_path):
    async with Gateway(tmp_path, config("sqlite:///w.db")) as gateway:
        desk = Desk(gateway)
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            status, body = await desk.get("/v1/suppressed", headers)
            assert status == 401
            errors = [{"detail": "unauthorized", "status": 401}]
            assert body == {"errors": errors, "meta": {"error": "unauthorized"}}


async def post(gateway, message_id, path, **fields):
    status, _ = await gateway.post(path, {"messageId": message_id, **fields})
    assert status == 200


async def test_activities_by_type_with_their_reason_and_message(tmp_path):
    async with Gateway(tmp_path, config("sqlite:///w.db")) as gateway:
        desk = Desk(gateway)
        phone = {"device": {"token": "tok", "type": "ios"}}
        report = {"metric": "bounced", "deliveryId": "d1", "recipient": "tok"}
        await identify(gateway, "m1", userId="u1", traits={"email": "a@x.y"})
        await identify(gateway, "m0", userId="u2")
        await identify(gateway, "m2", userId="u2", traits={"email": "A@x.y", "n": 1})
        who = {"userId": "u2"}
        await post(gateway, "m3", "/v1/track", event="Bought", **who)
        url = {"url": "https://shop.example/a"}
        await post(gateway, "m4", "/v1/page", name="Home", properties=url, **who)
        await post(gateway, "m5", "/v1/screen", name="Cart", **who)
        put = "Device Created or Updated"
        await post(gateway, "m6", "/v1/track", event=put, context=phone, **who)
        sent = "Report Delivery Event"
        await post(
            gateway, "m7", "/v1/track", event=sent, properties=report, anonymousId="d1"
        )
        await post(gateway, "m8", "/v1/group", groupId="acme", **who)
        await desk.decided("m8")

        async def told(query=""):
            path = f"/v1/customers/u2/activities?limit=100{query}"
            return (await desk.get(path))[1]["activities"]

        assert [(each["type"], each["messageId"]) for each in await told()] == [
            ("add_relationship", "m8"),
            ("bounced_push", "m7"),
            ("device_change", "m6"),
            ("screen", "m5"),
            ("page", "m4"),
            ("event", "m3"),
            ("failed_attribute_change", "m2"),
            ("attribute_change", "m2"),
            ("attribute_change", "m0"),
            ("profile_create", "m0"),
        ]
        (failed,) = await told("&type=failed_attribute_change")
        assert failed["reason"] == "belongs_to_other_person"
        assert failed["data"]["identifier"] == "email"
        changed, added = await told("&type=attribute_change")
        assert changed["data"] == {"n": {"from": None, "to": "1"}}
        assert added["data"] == {"id": {"from": None, "to": "u2"}}
        (page,) = await told("&type=page&name=Home")
        assert page["url"] == url["url"]
        (bounced,) = await told("&type=bounced_push")
        assert bounced["delivery_id"] == "d1"
        (device,) = (await desk.attributes("u2"))["devices"]
        assert device["attributes"]["_last_status"] == "bounced"


async def test_people_and_the_blocked_come_in_pages(tmp_path, url):
    """Each once, whatever the size of a page."""
    async with Gateway(tmp_path, config(url)) as gateway:
        desk = Desk(gateway)
        names = [f"u{number}" for number in range(5)]
        for name in names:
            await identify(gateway, f"m-{name}", userId=name, traits={"plan": "p"})
            await suppress(gateway, desk, f"s-{name}", f"blocked-{name}")
        match = {"attribute": {"field": "plan", "operator": "eq", "value": "p"}}
        found, start = [], ""
        while True:
            path = f"/v1/customers?limit=2&start={start}"
            _, page = await desk.post(path, {"filter": match})
            assert len(page["ids"]) <= 2
            found += page["ids"]
            if "next" not in page:
                break
            start = page["next"]
        assert sorted(found) == names
        blocked, start = [], ""
        while True:
            _, page = await desk.get(f"/v1/suppressed?limit=2&start={start}")
            blocked += [each["identifier"] for each in page["suppressed"]]
            if "next" not in page:
                break
            start = page["next"]
        assert blocked == [f"id:blocked-{name}" for name in names]
