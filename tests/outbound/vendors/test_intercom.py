"""Intercom: one contact whoever is quicker, nothing lost for want of an attribute."""

import asyncio
from typing import Any

import orjson
import pytest

from gateway.outbound.contract import Delivered, Rejected, Retry, Skipped
from tests.outbound.fake import Answer, Asked, Fake
from tests.outbound.vendors.contract import body
from tests.outbound.vendors.talks import SETTINGS, delivery, talk

HOST = "api.intercom.io"
KNOWN = ("plan", "logins")


def errors(status: int, code: str, message: str = "m") -> Answer:
    said = {"type": "error.list", "errors": [{"code": code, "message": message}]}
    return Answer(status, orjson.dumps(said))


class Intercom:
    """Contacts, companies, tags and attributes; the search index may lag behind."""

    def __init__(self, *, lags: bool = False, known: tuple[str, ...] = KNOWN) -> None:
        self.contacts: dict[str, dict[str, Any]] = {}
        self.companies: dict[str, dict[str, Any]] = {}
        self.attached: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.events: list[Any] = []
        self.known = {("contact", name) for name in known}
        self._lags = lags

    def __call__(self, asked: Asked) -> Answer:
        if asked.headers["Authorization"] != "Bearer not-a-real-token":
            return errors(401, "unauthorized")
        said: Any = asked.json() if asked.body else None
        what = asked.path.strip("/").split("/")
        if what[0] == "contacts":
            return self._contacts(asked.method, what[1:], said)
        return self._others(asked.method, what[0], said)

    def _contacts(self, method: str, what: list[str], said: Any) -> Answer:
        match method, what:
            case "POST", ["search"]:
                return self._search(said["query"])
            case "POST", []:
                return self._create(said)
            case "PUT", [ident]:
                return self._update(ident, said)
            case "GET", ["find_by_external_id", external]:
                return self._found(external)
            case "POST", [ident, "companies"]:
                self.attached.append((ident, said["id"]))
                return Answer(200, b"{}")
            case _, [ident]:
                return Answer(200, orjson.dumps(self.contacts[ident]))
            case _:
                return Answer(404)

    def _others(self, method: str, what: str, said: Any) -> Answer:
        match method, what:
            case "GET", "data_attributes":
                found = [{"model": m, "name": n} for m, n in sorted(self.known)]
                return Answer(200, orjson.dumps({"data": found}))
            case "POST", "data_attributes":
                self.known.add((said["model"], said["name"]))
            case "POST", "companies":
                made = {**said, "id": f"c-{said['company_id']}"}
                self.companies[made["id"]] = made
                return Answer(200, orjson.dumps(made))
            case "POST", "tags":
                self.tags.append(said["name"])
            case "POST", "events":
                self.events.append(said)
                return Answer(202)
            case _:
                return Answer(404)
        return Answer(200, b"{}")

    def _search(self, query: Any) -> Answer:
        filters = query["value"] if query["operator"] == "OR" else [query]
        found = [
            contact
            for contact in self.contacts.values()
            if any(contact.get(each["field"]) == each["value"] for each in filters)
        ]
        return Answer(200, orjson.dumps({"data": [] if self._lags else found}))

    def _create(self, said: Any) -> Answer:
        for ident, other in self.contacts.items():
            for key in ("external_id", "email"):
                if said.get(key) and other.get(key) == said[key]:
                    text = "A contact matching those details already exists with id="
                    return errors(409, "conflict", text + ident)
        return self._update(f"i{len(self.contacts)}", said)

    def _update(self, ident: str, said: Any) -> Answer:
        for name in said.get("custom_attributes", {}):
            if ("contact", name) not in self.known:
                text = f"Custom attribute '{name}' does not exist"
                return errors(400, "parameter_invalid", text)
        self.contacts.setdefault(ident, {"id": ident}).update(said)
        return Answer(200, orjson.dumps(self.contacts[ident]))

    def _found(self, external: str) -> Answer:
        for each in self.contacts.values():
            if each.get("external_id") == external:
                return Answer(200, orjson.dumps(each))
        return errors(404, "not_found")


async def deliver(intercom: Intercom, *events: Any, **settings: Any) -> list[Any]:
    async with Fake(answer=intercom, stands_for=[HOST]) as vendor:
        given = {**SETTINGS["intercom"], **settings}
        verdicts: list[Any] = []
        for each in events:
            verdicts += await vendor.deliver("intercom", given, [each])
        return verdicts


async def test_a_contact_is_created_then_updated() -> None:
    intercom = Intercom()
    events = [delivery(n, userId="u1", traits={"plan": p}) for n, p in enumerate("ab")]
    assert await deliver(intercom, *events) == [Delivered(200)] * 2
    assert [each["external_id"] for each in intercom.contacts.values()] == ["u1"]
    assert intercom.contacts["i0"]["custom_attributes"] == {"plan": "b"}
    assert intercom.contacts["i0"]["role"] == "user"


async def test_search_then_create_raced_by_two_workers_leaves_one_contact() -> None:
    intercom = Intercom(lags=True)
    async with Fake(answer=intercom, stands_for=[HOST]) as vendor:
        both = await asyncio.gather(
            *(
                vendor.deliver(
                    "intercom",
                    SETTINGS["intercom"],
                    [delivery(n, userId="u1", traits={"email": "a@b.example"})],
                )
                for n in range(2)
            )
        )
    assert both == [[Delivered(200)], [Delivered(200)]]
    assert len(intercom.contacts) == 1


async def test_a_contact_of_this_email_with_another_id_is_left_alone() -> None:
    for lags in (False, True):
        intercom = Intercom(lags=lags)
        intercom.contacts["i0"] = {
            "id": "i0",
            "external_id": "other",
            "email": "a@b.example",
        }
        before = dict(intercom.contacts["i0"])
        event = delivery(userId="u1", traits={"email": "a@b.example", "plan": "pro"})
        (verdict,) = await deliver(intercom, event)
        assert intercom.contacts == {"i0": before}
        assert isinstance(verdict, Rejected)
        assert verdict.detail == "409 conflict"


async def test_a_lead_becomes_the_user_it_was() -> None:
    intercom = Intercom()
    lead = delivery(1, anonymousId="a", traits={"email": "a@b.example"})
    user = delivery(2, userId="u1", traits={"email": "a@b.example"})
    await deliver(intercom, lead)
    assert intercom.contacts["i0"]["role"] == "lead"
    await deliver(intercom, user)
    assert list(intercom.contacts) == ["i0"]
    assert intercom.contacts["i0"]["role"] == "user"
    assert intercom.contacts["i0"]["external_id"] == "u1"


async def test_who_is_a_user_stays_one_when_only_the_email_is_known() -> None:
    intercom = Intercom()
    user = delivery(1, userId="u1", traits={"email": "a@b.example"})
    later = delivery(2, anonymousId="a", traits={"email": "a@b.example"})
    await deliver(intercom, user, later)
    assert intercom.contacts["i0"]["role"] == "user"


async def test_an_attribute_that_is_not_there_is_a_tag_and_named() -> None:
    intercom = Intercom()
    traits = {"plan": "pro", "tier": "gold", "vip": True, "old": False, "none": None}
    (verdict,) = await deliver(intercom, delivery(userId="u1", traits=traits))
    assert intercom.contacts["i0"]["custom_attributes"] == {"plan": "pro"}
    assert intercom.tags == ["tier: gold", "vip"]
    named = [f"traits.{each} (no such attribute: a tag)" for each in ("tier", "vip")]
    assert verdict == Delivered(200, f"not sent: {', '.join(named)}")


async def test_an_attribute_that_is_not_there_is_created_where_that_is_wished() -> None:
    intercom = Intercom()
    event = delivery(userId="u1", traits={"tier": "gold", "seats": 4})
    (verdict,) = await deliver(intercom, event, create_attributes=True)
    assert verdict == Delivered(200)
    assert {("contact", "tier"), ("contact", "seats")} <= intercom.known
    assert intercom.contacts["i0"]["custom_attributes"] == {"tier": "gold", "seats": 4}


async def test_an_attribute_is_created_once_while_what_is_known_lasts() -> None:
    intercom, asked = Intercom(), []

    def listening(request: Asked) -> Answer:
        asked.append((request.method, request.path))
        return intercom(request)

    async with Fake(answer=listening, stands_for=[HOST]) as vendor:
        settings = {**SETTINGS["intercom"], "create_attributes": True}
        events = [delivery(n, userId=f"u{n}", traits={"tier": n}) for n in range(3)]
        verdicts = await vendor.deliver_in_turn("intercom", settings, events)
    assert verdicts == [Delivered(200)] * 3
    assert asked.count(("POST", "/data_attributes")) == 1
    assert asked.count(("GET", "/data_attributes")) == 1


async def test_more_unknown_attributes_than_are_tagged_are_named() -> None:
    intercom = Intercom()
    traits = {f"t{number}": "x" for number in range(10)}
    (verdict,) = await deliver(intercom, delivery(userId="u1", traits=traits))
    assert len(intercom.tags) == 8
    assert "traits.t9 (no such attribute)" in verdict.detail


async def test_an_attribute_that_went_away_meanwhile_is_a_tag() -> None:
    intercom = Intercom()

    def forgetful(asked: Asked) -> Answer:
        answer = intercom(asked)
        if asked.path == "/data_attributes":
            intercom.known.discard(("contact", "plan"))
        return answer

    async with Fake(answer=forgetful, stands_for=[HOST]) as vendor:
        event = delivery(userId="u1", traits={"plan": "pro", "logins": 4})
        (verdict,) = await vendor.deliver("intercom", SETTINGS["intercom"], [event])
    assert isinstance(verdict, Delivered)
    assert intercom.tags == ["plan: pro"]
    assert intercom.contacts["i0"]["custom_attributes"] == {"logins": 4}


async def test_a_company_is_kept_and_its_people_attached() -> None:
    intercom = Intercom()
    company = {"id": "acme", "name": "Acme", "employee_count": 12}
    person = delivery(1, userId="u1", traits={"company": company})
    group = delivery(2, type="group", userId="u1", groupId="ajax", traits={"name": "A"})
    stranger = delivery(3, type="group", userId="u9", groupId="ajax")
    verdicts = await deliver(intercom, person, group, stranger)
    assert intercom.attached == [("i0", "c-acme"), ("i0", "c-ajax")]
    assert intercom.companies["c-acme"]["size"] == 12
    nobody = "who belongs to it (Intercom knows nobody of this id)"
    assert verdicts[1:] == [Delivered(200), Delivered(200, f"not sent: {nobody}")]


def test_the_metadata_of_an_event_is_texts() -> None:
    properties = {
        "total": 25.5,
        "paid": True,
        "cart": {"n": 2},
        "skus": ["a"],
        "x": None,
    }
    event = delivery(type="track", userId="u", event="E", properties=properties)
    (request,) = talk("intercom", [event]).requests
    assert body(request)["metadata"] == {
        "total": "25.5",
        "paid": "true",
        "cart_n": "2",
        "skus": '["a"]',
    }


@pytest.mark.parametrize("type_", ["identify", "track"])
def test_who_has_neither_id_nor_email_is_skipped_with_the_reason(type_: str) -> None:
    (said,) = talk("intercom", [delivery(type=type_, anonymousId="a")]).said
    assert said == Skipped("Intercom knows nobody without userId or email")


async def test_a_rate_limit_is_waited_for_as_intercom_says() -> None:
    attributes = Answer(200, b'{"data":[]}')
    reset = "1000000000000"
    for header, least_s in (("99999999999", 1e9), (reset, None), ("soon", None)):
        later = Answer(429, headers={"X-RateLimit-Reset": header})
        async with Fake(attributes, later, stands_for=[HOST]) as vendor:
            event = delivery(type="track", userId="u", event="E")
            (verdict,) = await vendor.deliver("intercom", SETTINGS["intercom"], [event])
        assert isinstance(verdict, Retry)
        if least_s is None:
            assert verdict.after_s is None
        else:
            assert verdict.after_s is not None
            assert verdict.after_s > least_s


async def test_a_wrong_token_concerns_all_and_loses_nothing() -> None:
    (verdict,) = await deliver(Intercom(), delivery(userId="u"), access_token="wrong")
    assert isinstance(verdict, Retry)
    assert verdict.auth


async def test_an_event_of_a_stranger_is_a_dead_letter() -> None:
    attributes, unknown = Answer(200, b"{}"), errors(404, "not_found")
    async with Fake(attributes, unknown, stands_for=["api.au.intercom.io"]) as vendor:
        settings = {**SETTINGS["intercom"], "region": "AU"}
        event = delivery(type="track", userId="u", event="E")
        (verdict,) = await vendor.deliver("intercom", settings, [event])
    assert isinstance(verdict, Rejected)
    assert verdict.detail == "404 not_found"
