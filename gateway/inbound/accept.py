"""One POST, from its body to its answer: the only place in inbound that waits.

    receive -> decode -> each message: prepare -> admit -> entries -> append -> 200

Every message is judged alone; good and refused ones go to the log in one append, and
the answer is sent when all of it is durable (DESIGN 4.1, 4.2).
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from aiohttp import web

from gateway.config import Limits, Source
from gateway.errors import AuthError, LogError, MessageError, place_of
from gateway.event import EventType, Json, Origin, iso
from gateway.inbound import answer, decode, entries
from gateway.inbound.admit import Admitted, admit
from gateway.inbound.answer import Answer, Rejected
from gateway.inbound.authenticate import Keys
from gateway.inbound.check import Plan
from gateway.inbound.decode import Batch
from gateway.inbound.rate import Budget
from gateway.inbound.receive import Network, Receiver, sender_ip
from gateway.inbound.refusal import Fault, Refusal
from gateway.inbound.route import Routes
from gateway.log.contract import Entry, EventLog
from gateway.metrics import Metrics
from gateway.notices import Notice, Notices

STALL_S = 0.002  # judging goes on for so long, then other requests get their turn


class Endpoint(NamedTuple):
    """``name`` as in the path; ``type`` of a single message, None for a batch."""

    name: str
    type: EventType | None


@dataclass(slots=True, kw_only=True)
class Work:
    """One request on its way: what came with it, what was found, what to append.

    ``source`` is the header's or the body's; None while each message has its own.
    ``single`` is the body of a single message, ``small`` says that no message can be
    too large; ``suspect`` and ``crowded`` are as in ``decode.Decoded``.
    """

    endpoint: Endpoint
    headers: Mapping[str, str]
    remote: str | None
    received_at_ms: int
    source: Source | None = None
    batch: Batch = field(default_factory=Batch)
    single: bytes | None = None
    small: bool = False
    suspect: bool = False
    crowded: bool = False
    origins: dict[str, Origin] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    event_bytes: int = 0
    accepted: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)


@dataclass(slots=True, kw_only=True)
class Acceptor:
    """Everything a POST needs; one per process."""

    keys: Keys
    routes: Routes
    plans: Mapping[str, Plan]
    limits: Limits
    log: EventLog
    receiver: Receiver
    metrics: Metrics
    notices: Notices
    trusted_proxies: Sequence[Network] = ()
    budgets: Mapping[str, Budget] = field(default_factory=dict)

    async def accept(self, request: web.BaseRequest, endpoint: Endpoint) -> Answer:
        """The answer to one POST; raises ConnectionError when nobody waits for it."""
        work = Work(
            endpoint=endpoint,
            headers=request.headers,
            remote=request.remote,
            received_at_ms=time.time_ns() // 1_000_000,
        )
        body = b""
        try:
            work.source = self.keys.in_header(request.headers.get("Authorization"))
            self._check_room()
            body = await self.receiver.receive(request)
            return await self._judge(work, body)
        except AuthError as error:
            return answer.unauthorized(error)
        except MessageError as error:
            return await self._refuse_request(work, body, error)
        except LogError as error:
            return answer.unavailable(error)

    def _check_room(self) -> None:
        if not self.log.has_room():
            raise LogError("too much waits to be written; send again", "overloaded")

    async def _judge(self, work: Work, body: bytes) -> Answer:
        body = decode.inflate(
            body, work.headers.get("Content-Encoding"), self.limits.request_bytes
        )
        value, work.suspect, work.crowded = decode.decode(body, self.limits)
        if work.source is None and isinstance(value, dict):
            work.source = self.keys.in_body(value.get("writeKey"))
        messages, work.batch = decode.split(value, work.endpoint.type, self.limits)
        sources = self._sources(work, messages)
        if (late := self._spend(sources)) is not None:
            return late
        work.single = body if work.endpoint.type is not None else None
        work.small = len(body) <= self.limits.message_bytes
        began = time.perf_counter()
        for index, (message, source) in enumerate(zip(messages, sources, strict=True)):
            self._take(work, index, message, source)
            if time.perf_counter() - began > STALL_S:
                await asyncio.sleep(0)
                began = time.perf_counter()
        await self._append(work)
        return answer.judged(
            accepted=work.accepted,
            rejected=work.rejected,
            batch=work.endpoint.type is None,
            strict=work.headers.get("X-Strict-Mode") == "1",
        )

    def _sources(
        self, work: Work, messages: Sequence[Json]
    ) -> Sequence[Source | AuthError]:
        """Whose each message is; AuthError only when nobody's at all are."""
        if work.source is not None:
            self._check_origin(work, work.source)
            return [work.source] * len(messages)
        found = [self._own_source(work, message) for message in messages]
        known = any(isinstance(each, Source) for each in found)
        if not known and isinstance(found[0], AuthError):
            raise found[0]
        return found

    def _own_source(self, work: Work, message: Json) -> Source | AuthError:
        key = message.get("writeKey") if isinstance(message, dict) else None
        try:
            source = self.keys.in_body(key)
            if source is None:
                return AuthError("missing_write_key", "there is no write key")
            self._check_origin(work, source)
        except AuthError as error:
            return error
        return source

    def _check_origin(self, work: Work, source: Source) -> None:
        origin = work.headers.get("Origin")
        if origin is None or "*" in source.origins or origin in source.origins:
            return
        message = f"source {source.name} takes nothing from this origin; see `origins`"
        raise AuthError("unknown_write_key", message)

    def _spend(self, sources: Sequence[Source | AuthError]) -> Answer | None:
        """The 429 when a source sends more than its ``rate``; None when it may."""
        if not self.budgets:
            return None
        names = Counter(each.name for each in sources if isinstance(each, Source))
        now_s = time.monotonic()
        for name, messages in names.items():
            budget = self.budgets.get(name)
            if budget and (wait_s := budget.spend(messages, now_s)) > 0:
                return answer.rate_limited(name, wait_s)
        return None

    def _take(
        self, work: Work, index: int, message: Json, source: Source | AuthError
    ) -> None:
        """Judge one message; its entries, or its refusal, are added to the work."""
        message_id = entries.message_id_of(message)
        if isinstance(source, AuthError):
            refusal = Refusal((Fault("/writeKey", str(source), source.code),))
            work.rejected.append(answer.rejected(index, message_id, refusal))
            return
        origin = self._origin(work, source)
        if message_id is None:
            origin = replace(origin, spare_message_id=secrets.token_hex(16))
        verdict = self._verdict(work, message, origin)
        if isinstance(verdict, Refusal):
            sent = work.single or entries.as_json(message, suspect=work.suspect)
            message_id = message_id or origin.spare_message_id
            self._set_aside(work, index, source, sent, verdict, message_id)
            return
        event = verdict.event
        work.accepted += 1
        work.counts[source.name, event.type, "accepted"] += 1
        for notice in verdict.notices:
            self.notices.post(source.name, notice)

    def _verdict(self, work: Work, message: Json, origin: Origin) -> Admitted | Refusal:
        """Admitted, with its entries added to the work; or why not."""
        try:
            if (unfit := self._unfit(work, message)) is not None:
                return unfit
            raw = decode.prepare(message, work.endpoint.type, work.batch)
            if isinstance(raw, Refusal):
                return raw
            plan = self.plans.get(origin.source)
            admitted = admit(raw, origin, self.routes, plan)
            if isinstance(admitted, Refusal):
                return admitted
            return self._enter(work, admitted)
        except Exception as error:  # noqa: BLE001 -- our bug must cost one message, kept for later, not the request
            self.notices.say("bug", place=place_of(error), error=type(error).__name__)
            text = "the gateway failed on this message; it is kept"
            return Refusal((Fault("", text, "internal"),))

    def _unfit(self, work: Work, message: Json) -> Refusal | None:
        """Too large, or holding what no event can; None for nearly all."""
        suspect, limit = work.suspect, self.limits.message_bytes
        if work.single is not None:
            size = len(work.single)
        elif work.small and not work.crowded:
            size = 0
        else:
            size, deep = decode.weigh(message, self.limits.nesting)
            suspect = suspect or deep
        if size > limit:
            return _too_large("the message", size, limit)
        if suspect and (faults := decode.flaws(message, self.limits.nesting)):
            return Refusal.of(faults)
        return None

    def _enter(self, work: Work, admitted: Admitted) -> Admitted | Refusal:
        value = admitted.event.to_bytes()
        size, limits = len(value), self.limits
        if size > limits.event_bytes:
            return _too_large("the event with its context", size, limits.event_bytes)
        if work.event_bytes + size > limits.request_canonical_bytes:
            total = work.event_bytes + size
            return _too_large("the request", total, limits.request_canonical_bytes)
        work.event_bytes += size
        work.entries += entries.of_event(admitted.event, value, admitted.route)
        return admitted

    def _set_aside(
        self,
        work: Work,
        index: int,
        source: Source,
        sent: bytes,
        refusal: Refusal,
        message_id: str,
    ) -> None:
        work.counts[source.name, work.endpoint.type or "batch", "refused"] += 1
        for fault in refusal.faults:
            self.notices.post(source.name, Notice("refused", fault.code))
        work.entries.append(
            entries.of_refused(
                sent,
                refusal,
                origin=self._origin(work, source),
                message_id=message_id,
                endpoint=work.endpoint.name,
                batch=work.batch.as_sent(),
            )
        )
        if source.on_invalid == "reject":
            work.rejected.append(answer.rejected(index, message_id, refusal))

    async def _refuse_request(
        self, work: Work, body: bytes, error: MessageError
    ) -> Answer:
        """The request as a whole; kept when its sender is known (DESIGN §3)."""
        if work.source is None:
            return answer.refused_request(error)
        refusal = Refusal((Fault("", str(error), error.code),))
        message_id = secrets.token_hex(16)
        self._set_aside(work, 0, work.source, body, refusal, message_id)
        try:
            await self._append(work)
        except LogError as unavailable:
            return answer.unavailable(unavailable)
        return answer.refused_request(error) if work.rejected else answer.ACCEPTED

    async def _append(self, work: Work) -> None:
        if not work.entries:
            return
        began = time.perf_counter()
        await self.log.append(work.entries)
        self.metrics.append_seconds.observe(time.perf_counter() - began)
        self.metrics.messages.update(work.counts)

    def _origin(self, work: Work, source: Source) -> Origin:
        """What the intake knows beside the messages, once per source and request."""
        origin = work.origins.get(source.name)
        if origin is None:
            proxies = self.trusted_proxies
            forwarded = work.headers.get("X-Forwarded-For") if proxies else None
            origin = work.origins[source.name] = Origin(
                source=source.name,
                kind=source.kind,
                received_at=iso(work.received_at_ms),
                received_at_ms=work.received_at_ms,
                spare_message_id="",
                ip=sender_ip(work.remote, forwarded, proxies),
                user_agent=_readable(work.headers.get("User-Agent")),
                clock_skew=source.clock_skew,
            )
        return origin


def _readable(header: str | None) -> str | None:
    """A header's text without the bytes that are no UTF-8: JSON cannot hold those."""
    if header is None or header.isascii():
        return header
    return header.encode("utf-8", "replace").decode()


def _too_large(what: str, size: int, limit: int) -> Refusal:
    text = f"{what} is {size} bytes, more than {limit}"
    return Refusal((Fault("", text, "too_large"),))
