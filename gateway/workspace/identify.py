"""Add or update a person: R01-R23 and the decisions D00-D30 on them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gateway.workspace import blend
from gateway.workspace.happen import attach_device
from gateway.workspace.people import (
    Activity,
    Anonymous,
    Concerned,
    Decision,
    Device,
    Failed,
    Gone,
    Identifier,
    Person,
    new_cio_id,
)
from gateway.workspace.request import Identify, Request
from gateway.workspace.settings import Workspace


def identify(
    request: Request, asks: Identify, concerned: Concerned, settings: Workspace
) -> Decision:
    """Who it is, whether that may be, and what changes."""
    path = request.path
    if path is None:
        return _nobody_named(request, asks, concerned, settings)
    named = [path, *asks.given]
    cio_ids = {each.value for each in named if each.kind == "cio_id"}
    if len(cio_ids) > 1:  # D21
        return Decision(result="ignored", reason="cio_ids_differ")
    wanted = blend.given(*named)
    by_cio_id = bool(cio_ids)
    if by_cio_id:
        person = concerned.people.get(Identifier("cio_id", *cio_ids))
        if person is None:  # R02, R03: no other identifier is looked at
            return Decision(result="ignored", reason="unknown_cio_id")
    else:
        person = _found(wanted, concerned)
    blocked = _blocked(wanted, person if by_cio_id else None, concerned)
    if blocked is not None:
        return blocked
    if person is None and asks.update_only:
        return Decision(result="ignored", reason="update_only")
    draft = Draft(request, asks, concerned, settings, by_cio_id=by_cio_id, old=person)
    for identifier in wanted:
        draft.want(identifier)
    return draft.decision()


def _found(wanted: Sequence[Identifier], concerned: Concerned) -> Person | None:
    """D08: the path's person, else that of a payload identifier of another kind."""
    path, *payload = wanted
    for each in (path, *(other for other in payload if other.kind != path.kind)):
        if (person := concerned.people.get(each.key)) is not None:
            return person
    return None


def _blocked(
    wanted: Sequence[Identifier], person: Person | None, concerned: Concerned
) -> Decision | None:
    """R04, R23: ignored, and the request's other identifiers are blocked too.

    D02: with a cio_id the person's own identifiers count as well; the reason says which
    of the two it was.
    """
    suppressed = concerned.suppressed
    keys = list(dict.fromkeys(each.key for each in wanted))
    own = [] if person is None else person.identifiers()
    for reason, names in (("suppressed_in_request", keys), ("suppressed_person", own)):
        groups = [suppressed[name] for name in names if name in suppressed]
        if groups:
            return Decision(
                result="ignored_and_suppressed",
                reason=reason,
                person=None if person is None else person.cio_id,
                suppress=tuple(key for key in keys if key not in suppressed),
                group=groups[0],
            )
    return None


def _nobody_named(
    request: Request, asks: Identify, concerned: Concerned, settings: Workspace
) -> Decision:
    """P069: an anonymous identify is ignored, or its traits are kept for later."""
    anonymous_id = request.anonymous_id
    if anonymous_id is None:
        return Decision(result="ignored", reason="no_identifier")
    if settings.anonymous_traits == "ignore":
        return Decision(result="ignored", reason="anonymous")
    known = concerned.anonymous.get(anonymous_id) or Anonymous(
        anonymous_id=anonymous_id
    )
    owner = concerned.people.get(Identifier("cio_id", known.owner or ""))
    if owner is None:
        traits, failed = blend.updated(known.traits, asks.attributes)
        kept = Anonymous(anonymous_id=anonymous_id, traits=traits)
        return Decision(
            result="updated",
            reason="kept_anonymous",
            anonymous=(kept,),
            failed=failed,
        )
    attributes, failed = blend.filled(owner.attributes, asks.attributes)
    person = replace(owner, attributes=attributes)
    changed = blend.change(owner, person, asks.attributes)
    activities = blend.failures(failed, owner.cio_id)
    return Decision(
        result="updated",
        person=owner.cio_id,
        people=(person,) if changed else (),
        failed=failed,
        activities=(*([changed] if changed else []), *activities),
    )


@dataclass(slots=True)
class Draft:
    """A person as the request would have it, identifier by identifier."""

    request: Request
    asks: Identify
    concerned: Concerned
    settings: Workspace
    by_cio_id: bool = field(kw_only=True)
    old: Person | None = field(kw_only=True)
    person: Person = field(init=False)
    failed: list[Failed] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    fresh: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        request = self.request
        self.person = self.old or Person(
            cio_id=new_cio_id(request.source, request.message_id, request.replay),
            created_at=request.received_at,
        )
        self.failed += self.asks.wrong

    def want(self, identifier: Identifier) -> None:
        """Give the person this identifier, or note why not (D06, D22)."""
        kind, value = identifier
        current = self.person.value(kind)
        if current is not None and Identifier(kind, current).key == identifier.key:
            return  # D10: the stored spelling stays
        owner = self.concerned.people.get(identifier.key)
        taken = (
            owner is not None
            and owner.cio_id != self.person.cio_id
            and all(owner.cio_id != gone.person.cio_id for gone in self.gone)
        )
        if taken and owner is not None and self._may_merge(owner):
            self.person, failed = blend.joined(self.person, owner)
            self.failed += failed
            self.gone.append(Gone(person=owner, into=self.person.cio_id))
            return
        reason = "belongs_to_other_person" if taken else self._refusal(kind, current)
        if reason is not None:
            self.failed.append(Failed(kind, value, reason))
            return
        self.fresh.add(kind)
        self.person = (
            replace(self.person, email=value)
            if kind == "email"
            else replace(self.person, id=value)
        )

    def _refusal(self, kind: str, current: str | None) -> str | None:
        """Why an identifier that is nobody else's may not be set; None: it may."""
        settings, channel = self.settings, self.request.channel
        if current is None:  # set at any time, by any method
            return None
        if kind in self.fresh:  # D09: the path's value was stored just now
            return "identifier_already_set"
        if channel in ("csv", "sync"):  # R19, R20, D18
            return "channel_cannot_change_identifier"
        by_cio_id = self.by_cio_id or channel == "ui"  # D27
        if "email" not in settings.identifiers:  # R09, R10
            may = by_cio_id and settings.reference_people_by_cio_id
            return None if may else "id_immutable"
        if by_cio_id:  # R07
            return None
        if kind == "email" and settings.allow_email_update_using_id and self._by_id():
            return None  # R14
        return "needs_cio_id"  # R13, R15

    def _by_id(self) -> bool:
        """The request names the person by the id that it had before."""
        had = None if self.old is None else self.old.id
        named = (self.request.path, *self.asks.given)
        return had is not None and Identifier("id", had) in named

    def _may_merge(self, other: Person) -> bool:
        """R17, D07: only what is complementary, and never by cio_id (R08)."""
        if not self.settings.multi_identifier_profile_merge or self.by_cio_id:
            return False
        if self.old is None:
            return False
        kinds = self.settings.identifiers
        both = [k for k in kinds if self.person.value(k) and other.value(k)]
        return not both

    def decision(self) -> Decision:
        """Everything that changes."""
        request, old = self.request, self.old
        cio_id, anonymous_id = self.person.cio_id, request.anonymous_id
        attributes, failed = blend.updated(self.person.attributes, self.asks.attributes)
        self.failed += failed
        names = dict.fromkeys(self.asks.attributes)
        anonymous: tuple[Anonymous, ...] = ()
        if anonymous_id is not None and self.settings.anonymous_traits == "keep":
            known = self.concerned.anonymous.get(anonymous_id)
            if known is not None and known.owner is None:
                attributes, failed = blend.filled(attributes, known.traits)
                self.failed += failed
                names |= dict.fromkeys(known.traits)
            mine = Anonymous(anonymous_id=anonymous_id, owner=cio_id)
            anonymous = () if known == mine else (mine,)
        self.person = replace(self.person, attributes=attributes)
        device, device_activities = self._device()
        changed = blend.change(old, self.person, None if self.gone else names)
        self.person = blend.seen(self.person, request.seen_at)
        activities = [
            *([Activity("profile_create", {}, owner=cio_id)] if old is None else []),
            *[_merged(each) for each in self.gone],
            *([changed] if changed is not None else []),
            *blend.failures(self.failed, cio_id),
            *device_activities,
        ]
        return Decision(
            result="added" if old is None else "merged" if self.gone else "updated",
            person=cio_id,
            people=() if self.person is old else (self.person,),
            gone=tuple(self.gone),
            failed=tuple(self.failed),
            devices=() if device is None else (device,),
            anonymous=anonymous,
            attach=None if anonymous_id is None else (anonymous_id, cio_id),
            activities=tuple(activities),
        )

    def _device(self) -> tuple[Device | None, list[Activity]]:
        """F004: the phone in the person's hand is the person's from now on."""
        if self.asks.token is None:
            return None, []
        return attach_device(
            self.request, self.asks, self.person.cio_id, self.concerned
        )


def _merged(gone: Gone) -> Activity:
    data = {"secondary": _names(gone.person)}
    return Activity("profile_merge", data, owner=gone.into)


def _names(person: Person) -> dict[str, str | None]:
    return {"id": person.id, "email": person.email, "cio_id": person.cio_id}
