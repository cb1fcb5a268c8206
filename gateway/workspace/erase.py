"""Delete, suppress, unsuppress, and merge by request (D00, D19). Pure."""

from gateway.workspace import blend
from gateway.workspace.people import Activity, Concerned, Decision, Gone, Person
from gateway.workspace.request import Erase, Merge, Request


def erase(request: Request, asks: Erase, concerned: Concerned) -> Decision:
    """What becomes of a person who is to be forgotten, blocked or unblocked."""
    if request.path is None:
        return Decision(result="ignored", reason="no_identifier")
    person = concerned.people.get(request.path.key)
    if asks.action == "unsuppress":
        return _lift(request, concerned)
    if asks.action == "suppress":
        return _suppress(request, person, concerned)
    if person is None:
        return Decision(result="ignored", reason="unknown_person")
    return Decision(
        result="updated",
        reason="deleted",
        person=person.cio_id,
        gone=(Gone(person=person),),
    )


def _suppress(
    request: Request, person: Person | None, concerned: Concerned
) -> Decision:
    """D00: the person goes, and all that named it is blocked, known or not."""
    own = [] if person is None else person.identifiers()
    keys = list(dict.fromkeys(each.key for each in blend.given(request.path, *own)))
    if not keys:
        return Decision(result="ignored", reason="unknown_cio_id")
    suppressed = concerned.suppressed
    groups = [suppressed[key] for key in keys if key in suppressed]
    parts = (request.source, request.message_id, request.replay or "")
    return Decision(
        result="updated",
        reason="suppressed",
        person=None if person is None else person.cio_id,
        gone=() if person is None else (Gone(person=person),),
        suppress=tuple(key for key in keys if key not in suppressed),
        group=groups[0] if groups else "/".join(parts),
    )


def _lift(request: Request, concerned: Concerned) -> Decision:
    """What was blocked together is free together; nobody comes back (D00)."""
    suppressed = concerned.suppressed
    assert request.path is not None
    group = suppressed.get(request.path.key)
    if group is None:
        return Decision(result="ignored", reason="not_suppressed")
    together = sorted(key for key, each in suppressed.items() if each == group)
    return Decision(result="updated", reason="unsuppressed", lift=tuple(together))


def merge(request: Request, asks: Merge, concerned: Concerned) -> Decision:
    """Join the secondary to the primary; both must be there, else nothing happens."""
    if request.path is None or asks.secondary is None:
        return Decision(result="ignored", reason="no_identifier")
    primary = concerned.people.get(request.path.key)
    secondary = concerned.people.get(asks.secondary.key)
    if primary is None or secondary is None:
        return Decision(result="ignored", reason="unknown_person")
    if primary.cio_id == secondary.cio_id:
        return Decision(result="ignored", reason="same_person")
    person, failed = blend.joined(primary, secondary)
    changed = blend.change(primary, person)
    names = {
        "id": secondary.id,
        "email": secondary.email,
        "cio_id": secondary.cio_id,
    }
    told = Activity("profile_merge", {"secondary": names}, owner=person.cio_id)
    return Decision(
        result="merged",
        person=person.cio_id,
        people=(person,),
        gone=(Gone(person=secondary, into=person.cio_id),),
        failed=failed,
        activities=(
            told,
            *([] if changed is None else [changed]),
            *blend.failures(failed, person.cio_id),
        ),
    )
