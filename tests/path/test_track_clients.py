"""The Track API's real clients, unmodified, over https: people, devices, activities.

What a client was told to say is looked up at the other end.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.path.running import Gateway, Webhook, until
from tests.path.sdks import kits
from tests.path.sdks.track import kit
from tests.workspace.test_road import Desk

pytestmark = pytest.mark.service

AT = 1_709_210_096
TOKEN = "tok/1:APA"
CONFIG = """\
[server]
listen = "127.0.0.1:0"
admin_listen = "127.0.0.1:0"
private_destinations = ["127.0.0.0/8"]
tls_certificate = "{folder}/cert.pem"
tls_key = "{folder}/key.pem"
[sources.backend]
kind = "track_api"
site_id = "site"
api_keys = ["key"]
[destinations.people]
type = "workspace"
[destinations.hook]
type = "webhook"
settings = {{ url = "{hook}" }}
[workspace]
url = "sqlite:///people.db"
api_token = "look"
"""


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    kits.certify(folder)
    return folder


@pytest.fixture
async def hook():
    async with Webhook() as webhook:
        yield webhook


@pytest.fixture
async def gateway(tmp_path, certified, hook):
    text = CONFIG.format(folder=certified, hook=hook.url)
    async with Gateway(tmp_path, text) as running:
        yield running


async def drive_node(gateway, certified, package, calls, key="key"):
    port = int(gateway.url.rpartition(":")[2])
    options: dict[str, Any] = {"url": f"{gateway.url}/api/v1", "retry": {}}
    if package.endswith("4"):  # it leaves out its url's port: the option is https's
        options = {"url": "https://127.0.0.1/api/v1", "port": port}
    given = {"package": package, "options": options, "calls": calls, "key": key}
    command: list[str | Path] = [kits.program("node"), kit.node() / "drive.js"]
    return await kit.drive(command, given, certified / "ca.pem")


async def drive_python(gateway, certified, calls, key="key"):
    port = int(gateway.url.rpartition(":")[2])
    given = {"port": port, "key": key, "calls": calls}
    command = [kit.python(), kit.HERE / "drive.py"]
    return await kit.drive(command, given, certified / "ca.pem")


COMMON = [
    ["identify", "user-1", {"email": "Ann@Example.com", "firstName": "Ann", "n": None}],
    ["identify", "a/b c+d?é%", {"x": 1}],
    ["identify", "lead@example.com", {"first_name": "Some", "created_at": AT}],
    ["identify", "lead@example.com", {"id": "customer-9"}],
    ["identify", "gone", {}],
    ["identify", "blocked", {}],
    ["identify", "old", {"only": "here"}],
    ["track", "user-1", {"name": "purchase", "data": {"price": 23.45}}],
    ["trackAnonymous", "anon-1", {"name": "viewed", "data": {"a": 1}}],
    ["trackAnonymous", "", {"name": "invite", "data": {"recipient": "x@y.z"}}],
    ["trackPageView", "user-1", "https://example.com/x?y=1"],
    ["addDevice", "user-1", TOKEN, "ios", {"last_used": AT, "app_version": "1"}],
    ["addDevice", "user-1", "tok-2", "android"],
    ["deleteDevice", "user-1", "tok-2"],
    ["trackPush", {"delivery_id": "d1", "device_id": TOKEN, "event": "opened"}],
    ["destroy", "gone"],
    ["suppress", "blocked"],
    ["mergeCustomers", "id", "user-1", "id", "old"],
]  # fmt: skip
PERSON = {"type": "person", "identifiers": {"id": "user-2"}}
NEWER = [
    ["batch", [{**PERSON, "action": "identify", "attributes": {"plan": "x"}},
               {**PERSON, "action": "event", "name": "e", "attributes": {"a": 1}}]],
    ["batch", [{**PERSON, "action": "fly"}, {**PERSON, "action": "identify"}]],
    ["entity", {**PERSON, "action": "identify", "attributes": {"plan": "pro"}}],
    ["addCustomersToSegment", 7, ["user-1", "user-2"]],
    ["removeCustomersFromSegment", 7, ["Ann@Example.com"], "email"],
    ["submitForm", "form-1", {"email": "form@example.com", "name": "F"}],
    ["reportMetric", {"delivery_id": "d1", "metric": "bounced", "recipient": TOKEN}],
    ["unsubscribe", "d1"],
]  # fmt: skip


async def settled(hook, desk, name) -> None:
    """Everything before the event of this name has been applied."""
    await until(lambda: any(e.get("event") == name for e in hook.received))
    (last,) = [e for e in hook.received if e.get("event") == name]
    await desk.decided(last["messageId"])


async def check_people(desk) -> None:
    ann = await desk.attributes("user-1")
    assert ann["identifiers"]["email"] == "Ann@Example.com"
    assert ann["attributes"]["firstName"] == "Ann"
    assert ann["attributes"]["only"] == "here"  # merged into her
    assert "n" not in ann["attributes"]
    (device,) = ann["devices"]
    assert (device["id"], device["platform"]) == (TOKEN, "ios")
    assert device["last_used"] == AT
    assert device["attributes"]["app_version"] == "1"
    odd = await desk.attributes("a%2Fb%20c%2Bd%3F%C3%A9%25")
    assert odd["attributes"]["x"] == "1"
    lead = await desk.attributes("customer-9")
    assert lead["identifiers"]["email"] == "lead@example.com"
    assert lead["attributes"]["created_at"] == str(AT)
    for nobody in ("gone", "blocked", "old"):
        assert await desk.attributes(nobody) is None
    _, body = await desk.get("/v1/suppressed")
    assert [each["identifier"] for each in body["suppressed"]] == ["id:blocked"]
    _, body = await desk.get("/v1/customers/user-1/activities?limit=100")
    found = {(each["type"], each.get("name")) for each in body["activities"]}
    assert {("event", "purchase"), ("page", "https://example.com/x?y=1")} <= found


def check_events(hook) -> None:
    events = {e.get("event"): e for e in hook.received if e["type"] == "track"}
    assert events["viewed"]["anonymousId"] == "anon-1"
    assert events["viewed"]["properties"] == {"a": 1}
    assert "userId" not in events["invite"]
    assert events["Device Deleted"]["context"]["device"] == {"token": "tok-2"}
    assert not [e for e in hook.received if e["type"] == "person"]
    first = hook.received[0]
    assert first["origin"] == "track"
    assert first["source"] == "backend"


@pytest.mark.parametrize("package", ["customerio-node-4", "customerio-node-5"])
async def test_npm_customerio_node(gateway, hook, certified, package):
    end = [["track", "user-1", {"name": "end"}]]
    results = await drive_node(gateway, certified, package, [*COMMON, *end])
    assert results == [[True, {}]] * len(results)
    desk = Desk(gateway)
    await settled(hook, desk, "end")
    await check_people(desk)
    check_events(hook)
    ann = await desk.attributes("user-1")
    assert ann["devices"][0]["attributes"]["_last_status"] == "sent"
    lift = [["unsuppress", "blocked"], ["identify", "blocked", {"again": True}]]
    lift += [["track", "user-1", {"name": "lifted"}]]
    results = await drive_node(gateway, certified, package, lift)
    await settled(hook, desk, "lifted")
    assert (await desk.attributes("blocked"))["attributes"]["again"] == "true"


async def test_npm_customerio_node_5_beyond(gateway, hook, certified):
    package = "customerio-node-5"
    end = [["track", "user-1", {"name": "end"}]]
    calls = [*COMMON, *NEWER, ["getAccountRegion"], *end]
    results = await drive_node(gateway, certified, package, calls)
    assert all(ok for ok, _ in results), results
    answers = dict(zip([str(call) for call in calls], results, strict=True))
    errors = answers[str(NEWER[1])][1]["errors"]
    assert [(e["batch_index"], e["field"]) for e in errors] == [(0, "action")]
    assert answers[str(["getAccountRegion"])][1]["url"] == gateway.url
    desk = Desk(gateway)
    await settled(hook, desk, "end")
    await check_people(desk)
    assert (await desk.attributes("user-2"))["attributes"]["plan"] == "pro"
    form = await desk.attributes("form@example.com", "email")
    assert form["attributes"]["name"] == "F"
    _, body = await desk.get("/v1/customers/user-2/activities?limit=100")
    kinds = [each["type"] for each in body["activities"]]
    assert "event" in kinds
    assert "segment_add" in kinds
    ann = await desk.attributes("user-1")
    assert ann["devices"][0]["attributes"]["_last_status"] == "bounced"


@pytest.mark.parametrize("package", ["customerio-node-4", "customerio-node-5"])
async def test_npm_customerio_node_reads_our_errors(gateway, certified, package):
    calls = [["identify", "u", {"email": "a@x.y "}], ["identify", "u", {}]]
    results = await drive_node(gateway, certified, package, calls)
    assert results[0][1]["status"] == 400
    assert results[0][1]["message"].startswith("/email: must not be")
    assert results[1] == [True, {}]
    results = await drive_node(gateway, certified, package, calls[1:], key="wrong")
    assert results[0][1]["status"] == 401
    assert "site id and API key" in results[0][1]["message"]


PYTHON = [
    ["identify", ["user-1"], {"email": "Ann@Example.com", "firstName": "Ann"}],
    ["identify", ["a/b c+d?é%"], {"x": 1}],
    ["identify", ["lead@example.com"],
     {"created_at": {"$date": "2024-02-29T12:34:56+00:00"}}],
    ["identify", ["customer-9"], {"email": "lead@example.com"}],
    ["identify", ["gone"], {}],
    ["identify", ["blocked"], {}],
    ["identify", ["old"], {"only": "here"}],
    ["identify", [42], {"x": None}],
    ["track", ["user-1", "purchase", {"price": 23.45}],
     {"id": "01HB4HBDKTFWYZCK01DMRSWRFD",
      "timestamp": {"$date": "2024-02-29T12:34:56+00:00"}}],
    ["track_anonymous", ["anon-1", "viewed", {"a": 1}], {}],
    ["track_anonymous", [None, "invite", {"recipient": "x@y.z"}], {}],
    ["pageview", ["user-1", "https://example.com/x?y=1"], {"referrer": "r"}],
    ["backfill", ["user-1", "back", AT], {"a": 1}],
    ["add_device", ["user-1", TOKEN, "ios"],
     {"last_used": AT, "attributes": {"app_version": "1"}}],
    ["add_device", ["user-1", "tok-2", "android"], {}],
    ["delete_device", ["user-1", "tok-2"], {}],
    ["delete", ["gone"], {}],
    ["suppress", ["blocked"], {}],
    ["merge_customers", ["id", "user-1", "id", "old"], {}],
    ["batch", [[{**PERSON, "action": "identify", "attributes": {"plan": "x"}},
                {**PERSON, "action": "add_device",
                 "device": {"id": "tok-3", "platform": "ios"}}]], {}],
]  # fmt: skip


async def test_pypi_customerio(gateway, hook, certified):
    calls = [*PYTHON, ["track", ["user-1", "end"], {}]]
    results = await drive_python(gateway, certified, calls)
    assert results == [[True, 200, "{}"]] * len(calls)
    desk = Desk(gateway)
    await settled(hook, desk, "end")
    await check_people(desk)
    check_events(hook)
    assert await desk.attributes("42") is not None
    (device,) = (await desk.attributes("user-2"))["devices"]
    assert device["id"] == "tok-3"
    events = {e.get("event"): e for e in hook.received if e["type"] == "track"}
    assert events["purchase"]["messageId"] == "01HB4HBDKTFWYZCK01DMRSWRFD"
    happened = datetime.fromtimestamp(AT, UTC)
    for name in ("purchase", "back"):
        assert datetime.fromisoformat(events[name]["timestamp"]) == happened


async def test_pypi_customerio_reads_our_errors(gateway, certified):
    bad = [
        ["batch", [[{**PERSON, "action": "fly"}, {**PERSON, "action": "delete"}]], {}]
    ]
    results = await drive_python(gateway, certified, bad)
    assert results[0][:2] == [True, 207]
    bad = [["add_device", ["u", "tok", "web"], {}]]
    ((ok, said),) = await drive_python(gateway, certified, bad)
    assert not ok
    assert said.startswith("400: ")
    ((ok, said),) = await drive_python(gateway, certified, PYTHON[:1], key="wrong")
    assert not ok
    assert said.startswith("401: ")
