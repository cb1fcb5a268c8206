"""The six questions: what each takes, and which path answers it; pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode

from gateway.admin.client import READY
from gateway.event import Json, unix_ms
from gateway.ledger.search import KINDS
from gateway.mcp import veil
from gateway.mcp.veil import Veil

TEXT_CHARS = 1_000  # of an argument
COUNT_MAX = 100
COUNT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What a tool takes; ``kind`` says which values."""

    name: str
    doc: str
    kind: Literal["text", "time", "count", "flag", "kind"] = "text"
    needed: bool = False

    def schema(self) -> dict[str, Json]:
        """As JSON Schema."""
        said: dict[str, Json] = {"description": self.doc}
        match self.kind:
            case "count":
                return {**said, "type": "integer", "minimum": 1, "maximum": COUNT_MAX}
            case "flag":
                return {**said, "type": "boolean"}
            case "time":
                return {**said, "type": "string", "format": "date-time"}
            case "kind":
                return {**said, "type": "string", "enum": list(KINDS)}
            case "text":
                return {**said, "type": "string", "maxLength": TEXT_CHARS}

    def wrong(self, value: Json) -> str | None:
        """What is wrong with a value, for whoever gave it."""
        match self.kind:
            case "count":
                fits = type(value) is int and 1 <= value <= COUNT_MAX
                said = f"is not a whole number from 1 to {COUNT_MAX}"
            case "flag":
                fits, said = isinstance(value, bool), "is not true or false"
            case "time":
                fits, said = _is_time(value), "is not an ISO 8601 time"
            case "kind":
                fits, said = value in KINDS, f"is not one of {', '.join(KINDS)}"
            case "text":
                fits = isinstance(value, str) and 0 < len(value) <= TEXT_CHARS
                said = f"is not a text of 1 to {TEXT_CHARS} characters"
        return None if fits else f"{self.name}: {said}"


def _is_time(value: Json) -> bool:
    try:
        unix_ms(value)
    except (TypeError, ValueError):
        return False
    return True


VALUES = Parameter(
    name="values",
    kind="flag",
    doc="Show values of payloads as they are; without it only their form",
)
SPAN = (
    Parameter(name="from", kind="time", doc="Received then or later, ISO 8601"),
    Parameter(name="until", kind="time", doc="Received before then, ISO 8601"),
)
Given = Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One question: ``path`` is where the admin port answers it."""

    name: str
    title: str
    doc: str
    parameters: Sequence[Parameter] = ()
    path: Callable[[Given], str]
    veil: Veil = veil.as_it_is

    def shown(self) -> dict[str, Json]:
        """As ``tools/list`` shows it."""
        needed = [each.name for each in self.parameters if each.needed]
        return {
            "name": self.name,
            "title": self.title,
            "description": self.doc,
            "inputSchema": {
                "type": "object",
                "properties": {each.name: each.schema() for each in self.parameters},
                "required": needed,
                "additionalProperties": False,
            },
            "annotations": {
                "title": self.title,
                "readOnlyHint": True,
                "destructiveHint": False,
                "idempotentHint": True,
                "openWorldHint": False,
            },
        }

    def wrong(self, given: Given) -> list[str]:
        """Everything that is wrong with the arguments."""
        known = {each.name: each for each in self.parameters}
        names = ", ".join(known) or "none"
        unknown = [f"{n}: unknown; known are: {names}" for n in given if n not in known]
        missing = [
            f"{name}: is missing"
            for name, each in known.items()
            if each.needed and name not in given
        ]
        values = [known[name].wrong(given[name]) for name in given if name in known]
        return [*unknown, *missing, *filter(None, values)]

    def told(self, answer: Json, given: Given) -> str:
        """What is said of the admin port's answer."""
        return veil.bounded(answer if given.get("values") else self.veil(answer))


def _story(given: Given) -> str:
    return f"/v1/events/{quote(given['message_id'], safe='')}"


def _search(given: Given) -> str:
    asked = {name: value for name, value in given.items() if name != "values"}
    return f"/v1/events?{urlencode({'limit': COUNT, **asked})}"


def _catalogue(given: Given) -> str:
    asked = {name: value for name, value in given.items() if name != "fields"}
    fields = "true" if given.get("fields") else "false"
    return f"/v1/catalogue?{urlencode({**asked, 'fields': fields})}"


def _of(path: str) -> Callable[[Given], str]:
    def asked(given: Given) -> str:
        span = {name: given[name] for name in ("from", "until") if name in given}
        return f"{path}?{urlencode(span)}" if span else path

    return asked


TOOLS = (
    Tool(
        name="explain",
        title="Explain one message",
        doc="What became of one message, by its id: whether it was admitted or refused "
        "and why, what was changed of it, and at each destination the end, the rule "
        "that left it out, and every attempt with its time, status and error.",
        parameters=(
            Parameter(name="message_id", needed=True, doc="The id of the message"),
            VALUES,
        ),
        path=_story,
        veil=veil.story,
    ),
    Tool(
        name="search_events",
        title="Search events",
        doc="Events and refused messages, the newest first, each with what became of "
        "it at each destination. A page may be short and not the last: go on with its "
        "`next` as `before`.",
        parameters=(
            Parameter(name="person", doc="userId, email or anonymousId, whole"),
            Parameter(name="source", doc="Who sent it, by its configured name"),
            Parameter(name="destination", doc="Routed there, or left out there"),
            Parameter(
                name="kind",
                kind="kind",
                doc="What became of it, with a destination: there; pending needs one",
            ),
            Parameter(name="type", doc="identify, track, page, screen, group, alias"),
            Parameter(name="text", doc="A part of the name of an event"),
            *SPAN,
            Parameter(name="limit", kind="count", doc=f"At most so many; {COUNT}"),
            Parameter(name="before", doc="The `next` of the page before"),
            VALUES,
        ),
        path=_search,
        veil=veil.events,
    ),
    Tool(
        name="account",
        title="Account",
        doc="Per source and destination: how many were admitted, and what became of "
        "them: delivered, filtered, skipped, duplicate, suppressed, dead, pending, "
        "unconfirmed, unknown. `difference` is 0 when nothing is in flight.",
        parameters=SPAN,
        path=_of("/v1/account"),
    ),
    Tool(
        name="destination_health",
        title="Health of the log and the destinations",
        doc="Whether the log takes events, and of each destination whether its worker "
        "runs, why its breaker is open, how many events wait, and what failed last.",
        path=lambda _: READY,
    ),
    Tool(
        name="catalogue",
        title="Catalogue of events",
        doc="What each source sends: types and names of events, how many, first and "
        "last, and whether the source's tracking plan has them (null: it says nothing "
        "of them). With `fields` also traits and properties: in how many of the events "
        "that were `looked` at, of which types, what they look like; ask for one "
        "source or name then, for an answer is bounded. By default of all that is "
        "kept; in whole hours, fields in whole days.",
        parameters=(
            Parameter(name="source", doc="Who sends it, by its configured name"),
            Parameter(name="name", doc="The name of an event, whole"),
            Parameter(name="fields", kind="flag", doc="Traits and properties, too"),
            *SPAN,
        ),
        path=_catalogue,
    ),
    Tool(
        name="dead_letters",
        title="Dead letters by reason",
        doc="What destinations refused for good, or what outlived its retries, in "
        "groups by destination, reason, status and error, the most open first: `open` "
        "needs somebody, `since` counts what replays of the others came to; by "
        "default of the last day. `search_events` with kind = dead finds the events.",
        parameters=(*SPAN, VALUES),
        path=_of("/v1/dead"),
        veil=veil.groups,
    ),
)
BY_NAME: Mapping[str, Tool] = {each.name: each for each in TOOLS}
