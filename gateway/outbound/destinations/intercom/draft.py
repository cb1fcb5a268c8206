"""What an identify or a group says of a contact or a company, before it is sent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.email import is_email
from gateway.event import Json
from gateway.outbound.contract import Delivery, laid_over
from gateway.outbound.reserved import (
    Field,
    at_ms,
    full_name,
    placed,
    text,
    unix_s,
    whole,
)

TEXT_CHARS, TAG_CHARS = 255, 100
RESERVED: Mapping[str, Field] = {
    "email": Field("email", text),
    "name": Field("name", text),
    "phone": Field("phone", text),
    "avatar": Field("avatar", text),
    "createdAt": Field("signed_up_at", unix_s),
}


COMPANY: Mapping[str, Field] = {
    "name": Field("name", text),
    "plan": Field("plan", text),
    "industry": Field("industry", text),
    "website": Field("website", text),
    "employees": Field("size", whole),
    "employeeCount": Field("size", whole),
    "monthlySpend": Field("monthly_spend", whole),
    "createdAt": Field("remote_created_at", unix_s),
}
PARTS_OF_NAME = ("firstName", "lastName")
CONTACT_FIELDS = frozenset(
    {
        *("role", "external_id", "email", "phone", "name", "avatar", "signed_up_at"),
        *("last_seen_at", "owner_id", "unsubscribed_from_emails"),
    }
)


@dataclass(slots=True)
class Draft:
    """A contact or company before it is sent; what must be told of it at the end."""

    model: Literal["contact", "company"]
    known: dict[str, Json]
    custom: dict[str, Json]
    lost: list[str]
    tags: list[str] = field(default_factory=list)

    def body(self) -> dict[str, Json]:
        """As Intercom takes it."""
        custom = {"custom_attributes": self.custom} if self.custom else {}
        return {**self.known, **custom}

    def tag(self, name: str) -> None:
        """Take an attribute that Intercom does not have out of it, and keep a tag."""
        value = self.custom.pop(name)
        if value is None or value is False:
            return
        said = name if value is True else f"{name}: {value}"
        self.tags.append(said[:TAG_CHARS])
        self.lost.append(f"traits.{name} (no such attribute: a tag)")


def contact_of(delivery: Delivery) -> Draft:
    """What an identify says of its contact."""
    body = delivery.event.body
    traits = body.get("traits") if isinstance(body.get("traits"), dict) else {}
    said = dict(traits or {})
    if company_said(said.get("company")):
        del said["company"]
    fields, own, lost = placed(said, RESERVED)
    if name := full_name(traits or {}):
        fields["name"] = name
        own = {each: said for each, said in own.items() if each not in PARTS_OF_NAME}
    user_id, context = body.get("userId"), body.get("context")
    if user_id:
        fields["external_id"] = user_id
        if is_email(user_id):
            fields.setdefault("email", user_id)
    active = not isinstance(context, dict) or context.get("active") is not False
    if active and delivery.replay is None:
        fields["last_seen_at"] = at_ms(body) // 1_000
    custom = _flat(own, lost)
    values = laid_over({**custom, **fields}, delivery.fields)
    known = {name: each for name, each in values.items() if name in CONTACT_FIELDS}
    known |= {"role": known.get("role") or ("user" if user_id else "lead")}
    if not isinstance(known.get("email", ""), str) or not known.get("email", "x"):
        del known["email"]  # it can be changed, not taken away
    own = {name: each for name, each in values.items() if name not in known}
    own.pop("email", None)
    return Draft("contact", known, own, lost)


def _flat(values: Mapping[str, Json], lost: list[str]) -> dict[str, Json]:
    """Attributes as Intercom has them: nested names joined, texts short, no lists."""
    flat: dict[str, Json] = {}
    for name, value in leaves(values, ""):
        if isinstance(value, list):
            lost.append(f"traits.{name[:60]} (a list)")
        elif isinstance(value, str) and len(value) > TEXT_CHARS:
            lost.append(f"traits.{name[:60]} (beyond {TEXT_CHARS}, cut)")
            flat.setdefault(name, value[:TEXT_CHARS])
        else:
            flat.setdefault(name, value)
    return flat


def leaves(values: Mapping[str, Json], before: str) -> Iterator[tuple[str, Json]]:
    """Every value that is no table, by its names joined."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{before}{name}_")
        elif f"{before}{name}":
            yield f"{before}{name}", value


def company_said(company: Json) -> tuple[str, dict[str, Json]] | None:
    """A company's id, which may be its name, and what is said of it."""
    said = {"name": company} if isinstance(company, str) else company
    if not isinstance(said, dict):
        return None
    named = text(said.get("id")) or text(said.get("name"))
    return (named, said) if named else None


def company_of(
    company_id: str, traits: Mapping[str, Json], fields: Mapping[str, Json]
) -> Draft:
    """What a group, or an identify's company, says of it."""
    known, own, lost = placed(dict(traits), COMPANY, nulls=False)
    own.pop("id", None)
    known["company_id"] = company_id
    values = laid_over({**_flat(own, lost), **known}, fields)
    names = {"company_id", *(each.name for each in COMPANY.values())}
    custom = {name: each for name, each in values.items() if name not in names}
    return Draft(
        "company", {n: each for n, each in values.items() if n in names}, custom, lost
    )


def query_of(draft: Draft) -> dict[str, Json]:
    """The search for who may be this contact already."""
    filters = [
        {"field": name, "operator": "=", "value": draft.known[name]}
        for name in ("external_id", "email")
        if draft.known.get(name)
    ]
    if len(filters) == 1:
        return {"query": filters[0]}
    return {"query": {"operator": "OR", "value": filters}}


def chosen(found: Json, known: Mapping[str, Json]) -> str | None:
    """By the external id, else a contact that has none, or any where we have none."""
    contacts = [
        each for each in found or () if isinstance(each, dict) and each.get("id")
    ]
    mine = known.get("external_id")
    same = [each for each in contacts if mine and each.get("external_id") == mine]
    free = [each for each in contacts if not mine or not each.get("external_id")]
    return next((str(each["id"]) for each in [*same, *free]), None)
