"""What senders write otherwise and mean the same: times, PHP's objects, odd traits."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Limits, parse
from gateway.explain import as_text, explain
from gateway.inbound.check import check, reference_errors
from gateway.inbound.doors.readmit import Readmission
from gateway.inbound.refusal import Refusal
from gateway.traits import spell
from tests.inbound.house import CONFIG, GOOD, House, running
from tests.inbound.samples import accepts, admitted, identify, message, verdict

TIMES = ["timestamp", "originalTimestamp", "sentAt"]
FORMS: dict[Any, str] = {
    "2024-02-29T12:34:56+0200": "2024-02-29T12:34:56.000+02:00",
    "2024-02-29t12:34:56z": "2024-02-29T12:34:56.000Z",
    "2024-02-29 12:34:56.5Z": "2024-02-29T12:34:56.500Z",
    "2024-02-29T12:34:56,789Z": "2024-02-29T12:34:56.789Z",
    "2024-02-29 12:34:56 +0200": "2024-02-29T12:34:56.000+02:00",
    "2024-02-29T12:34:56": "2024-02-29T12:34:56.000Z",
    "2024-02-29": "2024-02-29T00:00:00.000Z",
    1709210096: "2024-02-29T12:34:56.000Z",
    1709210096.5: "2024-02-29T12:34:56.500Z",
    1709210096789: "2024-02-29T12:34:56.789Z",
    "1709210096": "2024-02-29T12:34:56.000Z",
    "1709210096789": "2024-02-29T12:34:56.789Z",
}


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("given", FORMS, ids=repr)
def test_p017_a_time_is_read_in_every_form_that_a_date_is(
    name: str, given: Any
) -> None:
    for kind in ("identify", "track", "alias"):
        raw = message(kind, **{name: given})
        accepts(raw)
        event = admitted(raw, "track" if kind == "track" else kind).event.body
        assert event[name] == FORMS[given]
        assert event["asSent"][name] == {"name": name, "value": given}
        if name != "sentAt":
            assert event["timestamp"] == FORMS[given]
            assert event["timestampSource"] == "client"


def test_p017_what_was_a_time_before_is_kept_as_sent() -> None:
    event = admitted(identify(timestamp="2024-02-29T12:34:56.1+05:30")).event.body
    assert event["timestamp"] == "2024-02-29T12:34:56.1+05:30"
    assert "asSent" not in event


def test_p017_a_time_that_cannot_be_read_names_the_form() -> None:
    checked = check(identify(timestamp="yesterday", traits=[]))
    assert isinstance(checked, Refusal)
    (fault,) = checked.faults  # of what could be read nothing is told
    assert "2026-01-15T10:13:20Z, or unix seconds" in fault.message


def test_a_clock_ahead_is_corrected_by_a_sent_at_of_any_form() -> None:
    now_ms = 1_768_472_000_000
    for sent_at in (now_ms + 60_000, (now_ms + 60_000) // 1000, "2026-01-15 10:14:20"):
        raw = identify(sentAt=sent_at, timestamp=now_ms + 59_000)
        body = admitted(raw, received_at_ms=now_ms).event.body
        assert body["timestamp"] == "2026-01-15T10:13:19.000Z"
        assert body["timestampSource"] == "corrected"


@pytest.mark.parametrize("sent_at", ["soon", "", True, {}, [], 5, "2024-02-30"])
async def test_an_unreadable_sent_at_of_a_batch_costs_the_correction_alone(
    house: House, sent_at: Any
) -> None:
    body = {"batch": [GOOD, {**GOOD, "userId": {}}], "sentAt": sent_at}
    assert (await house.post("/v1/b", body))[1]["accepted"] == 1
    (event,) = await house.events()
    assert "sentAt" not in event
    assert ("unreadable_sent_at", "backend", "", 1) in house.told()
    (kept,) = [json.loads(each.value) for each in await house.records("refused")]
    assert kept["batch"]["sentAt"] == sent_at
    again = Readmission(house.config.sources, house.acceptor.rules)
    mended = {**kept, "bytes": kept["bytes"].replace("{}", '"u"')}
    assert not isinstance(again.judge(again.read(mended)), str)


@pytest.mark.parametrize(("given", "read"), FORMS.items(), ids=repr)
async def test_the_times_of_a_batch_are_read_in_every_form(
    house: House, given: Any, read: str
) -> None:
    body = {"batch": [GOOD], "sentAt": given, "timestamp": given}
    assert (await house.post("/v1/b", body))[0] == 200
    (event,) = await house.events()
    assert (event["sentAt"], event["timestamp"]) == (read, read)


async def test_an_unreadable_time_of_a_batch_refuses_what_has_no_own(
    house: House,
) -> None:
    own = {**GOOD, "timestamp": 1709210096}
    status, said, _ = await house.post(
        "/v1/b", {"batch": [GOOD, own], "timestamp": "soon"}
    )
    assert (status, said["accepted"]) == (200, 1)
    assert said["rejected"][0]["errors"][0]["pointer"] == "/timestamp"


PLACES = {
    "traits": message("identify", traits=[]),
    "properties": message("track", properties=[]),
    "context": message("page", context=[]),
    "integrations": message("identify", integrations=[]),
    "integrations/CRM": message("identify", integrations={"CRM": []}),
    "context/traits": message("group", context={"traits": []}),
    "context/page": message("page", context={"page": [], "ip": "::1"}),
    "context/campaign": message("page", context={"campaign": []}),
    "traits/address": message("identify", traits={"address": [], "plan": "p"}),
    "traits/company": message("group", traits={"company": []}),
}


@pytest.mark.parametrize("place", PLACES)
def test_p014_an_empty_array_is_an_object_where_one_is_meant(place: str) -> None:
    raw = PLACES[place]
    accepts(raw)
    before = json.dumps(raw)
    judged = admitted(raw, raw["type"])
    assert [(n.code, n.name) for n in judged.checked] == [("empty_array", f"/{place}")]
    read: Any = judged.event.body
    for part in place.split("/"):
        read = read[part]
    assert read in ({}, {"channel": "server"})
    assert json.dumps(raw) == before


@pytest.mark.parametrize("custom", [[], [[]], {"a": []}])
def test_p014_elsewhere_an_empty_array_is_what_it_is(custom: Any) -> None:
    body = admitted(identify(traits={"tags": custom}, sdk=custom)).event.body
    assert (body["traits"]["tags"], body["sdk"]) == (custom, custom)
    assert verdict(identify(traits={"name": []})) == {("/traits/name", "type")}
    assert verdict(identify(traits=[[]])) == {("/traits", "type")}
    assert verdict(identify(userId=[])) == {("/userId", "type")}


async def test_p014_empty_arrays_of_a_batch_are_objects_too(house: House) -> None:
    body = {"batch": [{**GOOD, "context": []}], "context": {"n": 1}, "integrations": []}
    assert (await house.post("/v1/b", body))[0] == 200
    (event,) = await house.events()
    assert event["context"]["n"] == 1
    assert "integrations" not in event
    assert ("empty_array", "backend", "/integrations", 1) in house.told()


ODD = {
    "company": "Acme",
    "address": "1 Main St",
    "age": "",
    "firstName": 5,
    "lastName": {"a": [1]},
    "phone": [1],
    "birthday": {"y": 1990},
    "website": True,
}
URL = 'type = "webhook"\nsettings = {url = "https://crm.example"}'
KEEP = CONFIG.replace("[sources.old]", 'invalid_traits = "keep"\n[sources.old]')
KEEP = KEEP.replace('type = "webhook"', URL)


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("kind", ["identify", "group"])
def test_p081_a_trait_that_is_none_is_kept_where_its_source_wants_it(
    name: str, kind: str
) -> None:
    raw = message(kind, traits={name: ODD[name], "plan": "p"})
    assert {pointer for pointer, _ in verdict(raw)} == {f"/traits/{name}"}
    judged = admitted(raw, raw["type"], invalid_traits="keep")
    assert judged.event.body["traits"] == {name: ODD[name], "plan": "p"}
    assert ("invalid_trait", f"/traits/{name}") in judged.checked
    sent = spell(judged.event.body, "as_sent")
    assert sent["traits"] == {name: ODD[name], "plan": "p"}


def test_p081_all_of_them_at_once_and_in_what_they_hold() -> None:
    inner = {"address": {"city": 5}, "company": {"employee_count": "many"}}
    for traits in (ODD, inner):
        body = admitted(identify(traits=traits), invalid_traits="keep").event.body
        assert body["traits"] == traits


@pytest.mark.parametrize("name", ["", " ", "C. Person", 0, False, 5, [], {}, ["a"]])
def test_p088_a_name_of_any_kind_is_the_sender_s_own(name: Any) -> None:
    for first, last in (("firstName", "lastName"), ("first_name", "last_name")):
        traits = {first: "Cool", last: "Person", "name": name}
        body = admitted(identify(traits=traits), invalid_traits="keep").event.body
        assert body["traits"]["name"] == name
        assert type(body["traits"]["name"]) is type(name)


@pytest.mark.parametrize(
    "fields",
    [
        {"traits": "x"},
        {"traits": {"age": "", "email": 5}},
        {"traits": {"age": "", "email": " a@b.c"}},
        {"traits": {"age": ""}, "userId": {}},
        {"traits": {"age": ""}, "context": "x"},
        {"traits": {f"{n}": n for n in range(3_000)} | {"age": ""}, "context": [1]},
    ],
)
def test_p081_everything_else_is_judged_all_the_same(fields: dict[str, Any]) -> None:
    checked = check(identify(**fields), None, "keep")
    assert isinstance(checked, Refusal)
    assert not {fault.pointer for fault in checked.faults} & {"/traits/age"}
    assert reference_errors(identify(**fields))


async def test_p081_a_source_decides_for_itself_and_explain_shows_it(tmp_path) -> None:
    config = parse(KEEP, folder=Path())
    body = {**GOOD, "traits": {"company": "Acme"}}
    async with running(tmp_path, Limits(), config) as house:
        assert (await house.post("/v1/identify", body, key="dev"))[0] == 200
        assert (await house.post("/v1/identify", body, key="web"))[0] == 400
        (event,) = await house.events()
        assert event["traits"] == {"company": "Acme"}
        notice = "invalid_trait", "backend", "/traits/company", 1
        assert notice in house.told()
        kept = json.loads((await house.records("refused"))[0].value)
    web = replace(config.sources["web"], invalid_traits="keep")
    sources = {**config.sources, "web": web}
    again = Readmission(sources, house.acceptor.rules)
    assert not isinstance(again.judge(again.read(kept)), str)
    for source, said in (("backend", "check      ok"), ("web", "check      refused")):
        data = json.dumps(body).encode()
        told = as_text(await explain(config, data, source=source))
        assert said in told
        assert ("invalid_trait: /traits/company" in told) == (source == "backend")
