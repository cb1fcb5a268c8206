"""The door of the Track API: its requests, answered as its clients know them.

Who sends is said by SITE_ID:API_KEY. A request, or an entity of a batch, may become
several messages (``calls``), which are kept or refused together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import hdrs, web

from gateway.config import Limits, Source
from gateway.errors import AuthError, MessageError
from gateway.event import EventType, Json, Raw
from gateway.inbound import answer, decode
from gateway.inbound.accept import Acceptor
from gateway.inbound.answer import Answer
from gateway.inbound.authenticate import Keys
from gateway.inbound.decode import Decoded
from gateway.inbound.doors.track import calls, form
from gateway.inbound.doors.track.calls import LABEL, Call
from gateway.inbound.intake import Taken, Text, alone, among
from gateway.inbound.post import Post
from gateway.inbound.receipt import Receipt
from gateway.inbound.refusal import Refusal

Forms = Mapping[str, Mapping[str, str]]


class Answered(NamedTuple):
    """An answer, and what the metric of requests calls the request."""

    label: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Entity:
    """The Track API's ``Door``: a request's body, or an entity of a batch."""

    call: Call
    forms: Forms
    as_sent: bool = True

    def raws(self, sent: Json, spare: str) -> Sequence[Raw] | Refusal:
        """Its messages, under its own id or ``spare``, and what is numbered after."""
        made = calls.messages(self.call, sent, self.forms)
        if not isinstance(made, Refusal):
            calls.number(made, spare)
        return made


class Apart(NamedTuple):
    """A request taken apart: what is judged, and what is known of its text."""

    bodies: list[Json]
    text: Text


def take_apart(call: Call, body: bytes, limits: Limits) -> Apart:
    """MessageError for a body that cannot be taken apart."""
    if not call.is_batch:
        decoded = single(body, limits)
        return Apart([decoded.value], alone(body, decoded))
    decoded = decode.decode(body.strip() or calls.EMPTY, limits)
    # An entity's messages do not show how large it is: it is weighed first.
    text = among(body, decoded, limits)._replace(first=True)
    return Apart(decode.messages_of(decoded.value, limits), text)


def single(body: bytes, limits: Limits) -> Decoded:
    """A body that is no batch: JSON or a form; none is an empty one."""
    if form.is_form(body):
        if (size := len(body)) > limits.message_bytes:
            text = f"the form is {size} bytes, more than {limits.message_bytes}"
            raise MessageError("too_large", text)
        return Decoded(form.read(body, limits.nesting), suspect=True)
    return decode.decode(body.strip() or calls.EMPTY, limits, batch=False)


@dataclass(slots=True)
class Ticket:
    """One request on its way; ``message_id`` is what its answer will carry.

    The gateway's own until the sender's is read.
    """

    call: Call
    message_id: str

    @property
    def name(self) -> str:
        """Its method and path."""
        return self.call.line

    @property
    def type(self) -> EventType | None:
        """Of the messages of its operation, if they are of one type."""
        return self.call.operation.type


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackApi:
    """Answers the requests of the Track API; one per process."""

    acceptor: Acceptor
    keys: Keys
    public_url: str

    async def respond(self, request: web.BaseRequest, spare: str) -> Answered:
        """The answer to a request of any method and path under the API's prefixes.

        ``spare`` is the message id of a request that brings none.
        """
        found = calls.find(request.method, request.raw_path)
        if not isinstance(found, Call):
            return Answered(LABEL, answer.as_track(_elsewhere(found, request), spare))
        ticket = Ticket(found, spare)
        if found.operation is calls.REGION:
            result = self._region(request.headers)
        else:
            result = await self.acceptor.accept(request, self, ticket)
        label = found.operation.name
        return Answered(label, answer.as_track(result, ticket.message_id))

    def sender(self, headers: Mapping[str, str]) -> Source:
        """The source of a Basic header; nothing else says whose a request is."""
        source = self._owner(headers)
        self.acceptor.check_origin(source, headers)
        return source

    def spare(self, ticket: Ticket) -> str:
        """The id that its answer has."""
        return ticket.message_id

    def answer(
        self, receipt: Receipt, ticket: Ticket, headers: Mapping[str, str]
    ) -> Answer:
        """200 when nothing is refused; 207 for a part of a batch."""
        return answer.tracked(
            accepted=receipt.accepted,
            rejected=receipt.rejected,
            batch=ticket.call.is_batch,
            strict=answer.is_strict(headers),
        )

    async def take(self, post: Post, ticket: Ticket, body: bytes) -> Receipt | Answer:
        """Each entity judged: all of its messages, or none."""
        return await self.acceptor.in_turn(body, lambda: self._take(post, ticket, body))

    async def _take(self, post: Post, ticket: Ticket, body: bytes) -> Receipt | Answer:
        source, limits = post.source or self._owner(post.headers), self._limits
        bodies, text = take_apart(ticket.call, body, limits)
        if (late := self.acceptor.spend([source] * len(bodies))) is not None:
            return late
        receipt = Receipt(ticket, limits)
        steps = self._each(post, ticket, receipt, bodies, text, source)
        return await self.acceptor.take_turns(receipt, steps)

    def _each(
        self,
        post: Post,
        ticket: Ticket,
        receipt: Receipt,
        bodies: list[Json],
        text: Text,
        source: Source,
    ) -> Iterator[None]:
        """Each entity, dropped from the list: what is judged is needed no more."""
        door, first = Entity(ticket.call, source.forms), ticket.message_id
        for index in range(len(bodies)):
            body, bodies[index] = bodies[index], None
            spare = f"{first}-{index}" if index else first
            judged = self.acceptor.take(
                receipt,
                body,
                text,
                door,
                source,
                post.origin(source)._replace(spare_message_id=spare),
                index,
                spare,
            )
            if isinstance(judged, Taken) and not ticket.call.is_batch:
                ticket.message_id = judged.admitted[0].event.message_id
            yield

    @property
    def _limits(self) -> Limits:
        return self.acceptor.rules.limits

    def _owner(self, headers: Mapping[str, str]) -> Source:
        source = self.keys.in_header(headers.get(hdrs.AUTHORIZATION))
        if source is None:
            message = "send Authorization: Basic, base64 of SITE_ID:API_KEY"
            raise AuthError("missing_write_key", message)
        return source

    def _region(self, headers: Mapping[str, str]) -> Answer:
        try:
            self._owner(headers)
        except AuthError as error:
            return answer.unauthorized(error)
        return answer.region(self.public_url)


def _elsewhere(allowed: tuple[str, ...] | None, request: web.BaseRequest) -> Answer:
    if allowed is None:
        return answer.not_found()
    if request.method == hdrs.METH_OPTIONS:
        return answer.preflight()
    return answer.method_not_allowed((*allowed, hdrs.METH_OPTIONS))
