"""One request of the Track API, from its path to its answer, down the same road.

    find -> receive -> decode -> each entity: translate -> admit -> append -> 200

What differs from a pipelines POST: who sends it (SITE_ID:API_KEY), what it becomes
(``track_api``: one request may be several messages, kept or refused together), and the
shape of the answer. Reading, limits, rate, origins, refusals and the append are those
of ``Acceptor`` and ``Judge``.
"""

from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import hdrs, web

from gateway.config import Source
from gateway.errors import AuthError
from gateway.event import Json, Origin
from gateway.inbound import answer, decode, entries, track_api
from gateway.inbound.accept import STRICT_MODE, Acceptor, each
from gateway.inbound.admit import Admitted, admit_outside
from gateway.inbound.answer import Answer
from gateway.inbound.authenticate import TrackKeys
from gateway.inbound.inflate import inflate
from gateway.inbound.judge import Endpoint, Judge, Work
from gateway.inbound.refusal import Refusal
from gateway.inbound.track_api import LABEL, Call, Ticket


class Answered(NamedTuple):
    """An answer, and what the metric of requests calls the request."""

    label: str
    answer: Answer


class TrackJudge(Judge):
    """Judges one request, or one entity of a batch: all of its messages, or none."""

    def take(
        self, work: Work, index: int, message: Json, source: Source | AuthError
    ) -> None:
        """Judge it; its entries, or its refusal, are added to the work."""
        ticket = work.endpoint.ticket
        assert ticket is not None
        assert isinstance(source, Source)
        origin = work.origins.get(source.name) or self._origin(work, source)
        spare = f"{ticket.message_id}-{index}" if index else ticket.message_id
        origin = origin._replace(spare_message_id=spare)
        verdict = self._every(work, ticket, message, source, origin)
        if isinstance(verdict, Refusal):
            sent = work.single
            if sent is None:
                sent = entries.as_json(message, suspect=work.suspect)
            self._set_aside(work, index, source, sent, verdict, spare)
            return
        work.accepted += 1
        for admitted in verdict:
            work.count(source.name, admitted.event.type, "accepted")
            for notice in admitted.notices:
                work.remark(source.name, notice)

    def take_whole(
        self, work: Work, source: Source, body: bytes, refusal: Refusal
    ) -> None:
        """A request that cannot be taken apart, under the id that its answer has."""
        assert work.endpoint.ticket is not None
        spare = work.endpoint.ticket.message_id
        self._set_aside(work, 0, source, body, refusal, spare)

    def _every(
        self, work: Work, ticket: Ticket, message: Json, source: Source, origin: Origin
    ) -> list[Admitted] | Refusal:
        """All admitted, with their entries added to the work; or why none is."""
        before, weight = len(work.entries), work.event_bytes
        try:
            verdict = self._all(work, ticket, message, source, origin)
        except Exception as error:  # noqa: BLE001 -- as in ``Judge``: it costs one request
            verdict = self._bug(error)
        if isinstance(verdict, Refusal):
            del work.entries[before:]
            work.event_bytes = weight
        return verdict

    def _all(
        self, work: Work, ticket: Ticket, message: Json, source: Source, origin: Origin
    ) -> list[Admitted] | Refusal:
        if work.made_bytes > self.made_bytes_max:
            return self._beyond(work)
        if (unfit := self._unfit(work, message)) is not None:
            return unfit
        made = track_api.messages(ticket.call, message, source.forms)
        if isinstance(made, Refusal):
            return made
        first = track_api.number(made, origin.spare_message_id)
        plan, admitted = self.plans.get(source.name), []
        for raw in made:
            verdict = admit_outside(raw, origin, self.routes, plan)
            if isinstance(verdict, Refusal):
                return verdict
            entered = self._enter(work, verdict, verdict.event.to_bytes())
            if isinstance(entered, Refusal):
                return entered
            admitted.append(entered)
        if not ticket.call.is_batch:
            ticket.message_id = first
        return admitted


class TrackAcceptor(Acceptor):
    """Answers the requests of the Track API; one per process."""

    __slots__ = ("public_url",)
    public_url: str

    async def respond(self, request: web.BaseRequest, spare: str) -> Answered:
        """The answer to a request of any method and path under the API's prefixes.

        ``spare`` is the message id of a request that brings none.
        """
        found = track_api.find(request.method, request.raw_path)
        if not isinstance(found, Call):
            return Answered(LABEL, answer.as_track(_elsewhere(found, request), spare))
        ticket = Ticket(found, spare)
        if found.operation is track_api.REGION:
            result = self._region(request.headers)
        else:
            endpoint = Endpoint(found.line, found.operation.type, ticket)
            result = await self.accept(request, endpoint)
        label = found.operation.name
        return Answered(label, answer.as_track(result, ticket.message_id))

    def _region(self, headers: Mapping[str, str]) -> Answer:
        try:
            self.keys.in_header(headers.get(hdrs.AUTHORIZATION))
        except AuthError as error:
            return answer.unauthorized(error)
        return answer.region(self.public_url)

    async def _take_all(self, work: Work, body: bytes) -> Answer | None:
        assert work.source is not None  # ``TrackKeys`` knows whose it is, or refuses it
        self._check_origin(work, work.source)
        encoding = work.headers.get(hdrs.CONTENT_ENCODING)
        body = inflate(body, encoding, self.limits.request_bytes)
        return await self._take_in_turn(work, body)

    async def _take_body(self, work: Work, body: bytes) -> Answer | None:
        ticket, source = work.endpoint.ticket, work.source
        assert ticket is not None
        assert source is not None
        value, work.suspect, work.crowded = decode.decode(
            body.strip() or track_api.EMPTY, self.limits, batch=ticket.call.is_batch
        )
        if ticket.call.is_batch:
            messages = decode.messages_of(value, self.limits)
        else:
            messages, work.single = [value], body
        sources = [source] * len(messages)
        if (late := self._spend(sources)) is not None:
            return late
        work.text_bytes = len(body)
        work.small = work.text_bytes <= self.limits.message_bytes
        await self._take_turns(work, each(messages), sources)
        return None

    def _judged(self, work: Work) -> Answer:
        ticket = work.endpoint.ticket
        return answer.tracked(
            accepted=work.accepted,
            rejected=work.rejected,
            batch=ticket is not None and ticket.call.is_batch,
            strict=work.headers.get(STRICT_MODE) == "1",
        )


def _elsewhere(allowed: tuple[str, ...] | None, request: web.BaseRequest) -> Answer:
    if allowed is None:
        return answer.not_found()
    if request.method == hdrs.METH_OPTIONS:
        return answer.preflight()
    return answer.method_not_allowed((*allowed, hdrs.METH_OPTIONS))


def beside(acceptor: Acceptor, sources: Mapping[str, Source]) -> TrackAcceptor:
    """The Track API's acceptor that shares everything with the pipelines' one."""
    judge = acceptor.judge
    track = TrackAcceptor(
        keys=TrackKeys(sources),
        judge=TrackJudge(
            routes=judge.routes,
            plans=judge.plans,
            limits=judge.limits,
            notices=judge.notices,
            trusted_proxies=judge.trusted_proxies,
        ),
        limits=acceptor.limits,
        log=acceptor.log,
        receiver=acceptor.receiver,
        metrics=acceptor.metrics,
        budgets=acceptor.budgets,
    )
    track.doors, track.held = acceptor.doors, acceptor.held
    track.public_url = ""
    return track
