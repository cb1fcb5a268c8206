"""What one action's end means for its event: the wire is believed before the code.

The package's actions throw errors of many classes, and some swallow them: a few report
success on a 401, others wrap a network error as a bad payload. So the last HTTP
exchange of the action, which the gateway made itself, decides wherever there was one.

The numbers of the rows are those of the table in ``docs/explanation/actions.md``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from gateway.outbound.contract import Delivered, Rejected, Retry, Skipped, Verdict
from gateway.outbound.http import (
    CLIENT_ERROR,
    OK,
    REDIRECT,
    SERVER_ERROR,
    NoResponse,
    Request,
    Response,
    by_status,
)

LOCKED_OUT = frozenset(
    {"OAUTH_REFRESH_FAILED", "REFRESH_TOKEN_EXPIRED", "INVALID_AUTHENTICATION"}
)
INVALID = frozenset({"AggregateAjvError", "ValidationError", "AggregateError"})
MULTI_STATUS = 207
NOT_THERE = frozenset({404, 409, 410})
"""What a look-up before a create may be answered, and the action goes on from."""


class Said(NamedTuple):
    """What an action did: its error, the verdicts of its nodes, its last exchange."""

    error: Mapping[str, Any] | None
    last: tuple[Request, Response | NoResponse] | None
    nodes: Sequence[Mapping[str, Any]] | None = None


def verdict_of(action: str, said: Said) -> Verdict:
    """What became of the one event of an action."""
    answer = None if said.last is None else said.last[1]
    if said.error is not None:
        return _failed(action, said.error, answer)
    if isinstance(answer, NoResponse):
        return Retry(answer.reason)
    if answer is not None and not _is_fine(answer.status):
        return _said(
            by_status(answer), action, {"class": "it reported success"}
        )  # row 10
    if said.nodes:
        return verdict_of_node(action, said.nodes[0], answer)
    if answer is None:
        return Skipped("the action made no request")  # row 11
    return Delivered(answer.status)  # row 13


def verdicts_of(action: str, said: Said, count: int) -> Verdict | Sequence[Verdict]:
    """What became of so many events in one call: of each, or of all of them."""
    answer = None if said.last is None else said.last[1]
    if said.error is not None:
        return _failed(action, said.error, answer)
    if isinstance(answer, NoResponse):
        return Retry(answer.reason)
    nodes = said.nodes or ()
    if len(nodes) != count:
        return Retry(f"{len(nodes)} of {count} answered")
    if answer is not None and not _is_fine(answer.status):
        claimed = [each.get("status") for each in nodes]
        if all(isinstance(each, int) and each < CLIENT_ERROR for each in claimed):
            return _said(by_status(answer), action, {"class": "it reported success"})
    return [verdict_of_node(action, each, answer) for each in nodes]


def is_unknown(verdicts: Verdict | Sequence[Verdict]) -> bool:
    """A 207 for all of a batch: some may have been refused, and nobody says which."""
    return isinstance(verdicts, Sequence) and all(
        isinstance(each, Delivered) and each.status == MULTI_STATUS for each in verdicts
    )


def verdict_of_node(
    action: str, node: Mapping[str, Any], answer: Response | None
) -> Verdict:
    """What a batch, or an answer for each item, says of one event."""
    status = node.get("status")
    if not isinstance(status, int):
        return Retry("no status")
    if status < REDIRECT:
        return Delivered(status)
    error = {"class": node.get("errortype"), "message": node.get("errormessage")}
    if answer is None and CLIENT_ERROR <= status < SERVER_ERROR:
        return _rejected(action, error, status, unsent=True)
    return _said(by_status(Response(status=status)), action, error)


def _failed(
    action: str, error: Mapping[str, Any], answer: Response | NoResponse | None
) -> Verdict:
    name, code, status = _class(error), error.get("code"), error.get("status")
    if code in LOCKED_OUT or name == "InvalidAuthenticationError":
        return Retry(str(code or name), status=401, auth=True)  # row 1
    if isinstance(answer, NoResponse):
        return Retry(answer.reason)  # row 3
    if answer is not None and (later := _later(answer)) is not None:
        return later  # row 4
    answered = error.get("answered")
    if isinstance(answered, int) and answered >= REDIRECT:
        return _said(by_status(Response(status=answered)), action, error)  # row 5
    claim = status if isinstance(status, int) and status >= CLIENT_ERROR else None
    if claim is not None and (later := _later(Response(status=claim))) is not None:
        return later  # row 6
    if answer is None and (name in INVALID or claim is not None):
        return _rejected(action, error, unsent=True)  # row 7
    if isinstance(status, int) or name in INVALID:
        unsent = answer is None
        return _rejected(action, error, _status_of(answer), unsent=unsent)  # row 8
    return _rejected(action, error, _status_of(answer), bug=True)  # row 9


def _is_fine(status: int) -> bool:
    return OK <= status < REDIRECT or status in NOT_THERE


def _later(answer: Response) -> Retry | None:
    """The retry that a status asks for, if it does."""
    verdict = by_status(answer)
    return verdict if isinstance(verdict, Retry) else None


def _status_of(answer: Response | None) -> int | None:
    return None if answer is None else answer.status


def _class(error: Mapping[str, Any]) -> str:
    """The error's class; its name where its author set one."""
    name = error.get("name")
    return str(error.get("class") if name in (None, "", "Error") else name)


def _what(action: str, error: Mapping[str, Any]) -> str:
    """``ACTION: CLASS CODE``: which error it was, without a word of the event."""
    said = [str(each) for each in (_class(error), error.get("code")) if each]
    return f"{action}: {' '.join(said)}"


def _rejected(
    action: str,
    error: Mapping[str, Any],
    status: int | None = None,
    *,
    bug: bool = False,
    unsent: bool = False,
) -> Rejected:
    """A refusal; the error's own message may quote data: for the dead letter alone."""
    message = error.get("message")
    return Rejected(
        "bug" if bug else "rejected",
        _what(action, error),
        status,
        unsent=unsent,
        more={"error": str(message)} if message else None,
    )


def _said(verdict: Verdict, action: str, error: Mapping[str, Any]) -> Verdict:
    """A refusal by its status, with what the action said of it."""
    if isinstance(verdict, Rejected):
        return _rejected(action, error, verdict.status)
    return verdict


def combined(verdicts: Mapping[str, Verdict]) -> Verdict:
    """Of one event at several actions: what has to be done next wins.

    Retry, else Rejected with the names of those that refused, else Delivered; Skipped
    when none had a use for it.
    """
    found = list(verdicts.values())
    for each in found:
        if isinstance(each, Retry):
            return each
    refused = {n: each for n, each in verdicts.items() if isinstance(each, Rejected)}
    if refused:
        first = next(iter(refused.values()))
        unsent = all(each.unsent for each in refused.values())
        more = {**(first.more or {}), "actions": list(refused)}
        return replace(first, unsent=unsent, more=more)
    for each in found:
        if isinstance(each, Delivered):
            return each
    return found[0]
