"""One message of a request: admitted or refused, and what to append for it.

    prepare -> admit -> entries

No I/O and no waiting. What is found is added to the request's ``Work``; a message that
is refused, or that hits a bug of ours, costs none of its neighbours anything.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson
from aiohttp import hdrs

from gateway.config import Limits, Source
from gateway.errors import AuthError, place_of
from gateway.event import EventType, Json, Origin, iso
from gateway.inbound import answer, decode, entries, fit
from gateway.inbound.admit import Admitted, admit
from gateway.inbound.answer import Rejected
from gateway.inbound.check import Plan
from gateway.inbound.decode import NO_BATCH, OURS, Batch
from gateway.inbound.forwarded import Network, sender_ip
from gateway.inbound.refusal import Fault, Refusal
from gateway.inbound.route import Routes
from gateway.inbound.track_api import Ticket
from gateway.log.contract import Entry
from gateway.notices import Notice, Notices

SHRINKS_BY = 512  # bytes: nulls that are left out, a name that gets shorter
MADE_TIMES = 2  # of what a request may become is made, and refused in part; no more
REPORT_BYTES = 1_000_000  # of an answer; what is refused then is named without faults
ENTRY_BYTES = 100  # what an entry takes beside its value: an estimate


class Endpoint(NamedTuple):
    """``name`` as in the path; ``type`` of a single message, None for a batch.

    ``ticket`` is a Track API request's; then ``name`` is its method and path.
    """

    name: str
    type: EventType | None
    ticket: Ticket | None = None


class Work:
    """One request on its way: what came with it, what was found, what to append.

    ``source`` is the header's or the body's; None while each message has its own.
    ``single`` is the body of a single message, ``small`` says that no message can be
    too large; ``suspect`` and ``crowded`` are as in ``decode.Decoded``. ``text_bytes``
    is the length of the text that the message at hand was read from: its own, or all.

    Bytes that a request adds up to: ``event_bytes`` of the events it becomes,
    ``refused_bytes`` of the records of what is refused, ``told_bytes`` of its answer,
    ``made_bytes`` of all that was made of its messages, whether kept or not.
    """

    __slots__ = (
        *("accepted", "batch", "batch_kept", "counts", "crowded", "endpoint"),
        *("entries", "event_bytes", "headers", "made_bytes", "notices", "origins"),
        *("received_at_ms", "refused_bytes", "rejected", "remote", "single"),
        *("small", "source", "suspect", "text_bytes", "told_bytes"),
    )

    def __init__(
        self,
        endpoint: Endpoint,
        headers: Mapping[str, str],
        remote: str | None,
        received_at_ms: int,
    ) -> None:
        self.endpoint = endpoint
        self.headers = headers
        self.remote = remote
        self.received_at_ms = received_at_ms
        self.source: Source | None = None
        self.origins: dict[str, Origin] = {}
        self.begin()

    def begin(self) -> None:
        """As if no message had been looked at yet."""
        self.batch: Batch = NO_BATCH
        self.batch_kept: orjson.Fragment | None = None
        self.single: bytes | None = None
        self.small = self.suspect = self.crowded = False
        self.entries: list[Entry] = []
        self.event_bytes = self.refused_bytes = self.told_bytes = self.made_bytes = 0
        self.accepted = self.text_bytes = 0
        self.rejected: list[Rejected] = []
        self.counts: dict[tuple[str, str, str], int] = {}
        self.notices: dict[tuple[str, Notice], int] = {}

    @property
    def log_bytes(self) -> int:
        """What it asks the log to hold, about."""
        entries = ENTRY_BYTES * len(self.entries)
        return self.event_bytes + self.refused_bytes + entries

    def count(self, source: str, kind: str, verdict: str) -> None:
        """For the metric of messages, once they are durable."""
        key = source, kind, verdict
        self.counts[key] = self.counts.get(key, 0) + 1

    def remark(self, source: str, notice: Notice) -> None:
        """A notice of a message, to be posted once it is durable."""
        key = source, notice
        self.notices[key] = self.notices.get(key, 0) + 1


@dataclass(slots=True, kw_only=True)
class Judge:
    """What every message is judged by; one per process."""

    routes: Routes
    plans: Mapping[str, Plan]
    limits: Limits
    notices: Notices
    trusted_proxies: Sequence[Network] = ()
    made_bytes_max: int = field(init=False)

    def __post_init__(self) -> None:
        self.made_bytes_max = MADE_TIMES * self.limits.request_canonical_bytes

    def take(
        self, work: Work, index: int, message: Json, source: Source | AuthError
    ) -> None:
        """Judge one message; its entries, or its refusal, are added to the work."""
        message_id = entries.message_id_of(message)
        if isinstance(source, AuthError):
            refusal = Refusal((Fault("/writeKey", str(source), source.code),))
            _reject(work, index, message_id, refusal)
            return
        origin = work.origins.get(source.name) or self._origin(work, source)
        if message_id is None:
            origin = origin._replace(spare_message_id=secrets.token_hex(16))
        verdict = self._verdict(work, message, origin)
        if isinstance(verdict, Refusal):
            sent = work.single or entries.as_json(message, suspect=work.suspect)
            message_id = message_id or origin.spare_message_id
            self._set_aside(work, index, source, sent, verdict, message_id)
            return
        work.accepted += 1
        work.count(source.name, verdict.event.type, "accepted")
        for notice in verdict.notices:
            work.remark(source.name, notice)

    def take_whole(
        self, work: Work, source: Source, body: bytes, refusal: Refusal
    ) -> None:
        """A request that cannot be taken apart, as one refused message."""
        self._set_aside(work, 0, source, body, refusal, secrets.token_hex(16))

    def _verdict(self, work: Work, message: Json, origin: Origin) -> Admitted | Refusal:
        """Admitted, with its entries added to the work; or why not.

        A message that may be too large is weighed first: to judge and to explain it
        would cost far more. The length of a text says only nearly how large its message
        is; but that of its event is needed anyway and nearly always says enough, so
        after a short text the message is weighed last.
        """
        if work.made_bytes > self.made_bytes_max:
            return self._beyond(work)
        weighed = (
            work.single is not None
            or work.suspect
            or work.text_bytes > self.limits.message_bytes
        )
        try:
            if weighed and (unfit := self._unfit(work, message)) is not None:
                return unfit
            try:
                judged = self._judged(work, message, origin)
            except (TypeError, ValueError):  # nested too deep for the tools, perhaps
                if weighed or (unfit := self._unfit(work, message)) is None:
                    raise
                return unfit
            if not (
                weighed
                or self._surely_fits(work, message, judged)
                or (unfit := self._unfit(work, message)) is None
            ):
                return unfit
            if isinstance(judged, Refusal):
                return judged
            return self._enter(work, *judged)
        except Exception as error:  # noqa: BLE001 -- our bug must cost one message, kept for later, not the request
            return self._bug(error)

    def _bug(self, error: Exception) -> Refusal:
        self.notices.say("bug", place=place_of(error), error=type(error).__name__)
        text = "the gateway failed on this message; it is kept"
        return Refusal((Fault("", text, "internal"),))

    def _judged(
        self, work: Work, message: Json, origin: Origin
    ) -> tuple[Admitted, bytes] | Refusal:
        raw = decode.prepare(message, work.endpoint.type, work.batch)
        if isinstance(raw, Refusal):
            return raw
        plan = self.plans.get(origin.source)
        admitted = admit(raw, origin, self.routes, plan)
        if isinstance(admitted, Refusal):
            return admitted
        return admitted, admitted.event.to_bytes()

    def _beyond(self, work: Work) -> Refusal:
        """Too large, unseen: enough was made of this request that could not be kept.

        What its batch shares is put into each message, so that a small request can
        become a very large one.
        """
        limit = self.limits.request_canonical_bytes
        return _too_large("the request", work.made_bytes, limit)

    def _surely_fits(
        self, work: Work, message: Json, judged: tuple[Admitted, bytes] | Refusal
    ) -> bool:
        """Whether the event shows that the message is neither too large nor too deep.

        It does when nothing was left out of the event but what weighs little.
        """
        if isinstance(judged, Refusal):
            return False
        admitted, value = judged
        for notice in admitted.notices:
            if notice.code == "both_spellings":
                return False
        return (
            (work.small or len(value) + SHRINKS_BY <= self.limits.message_bytes)
            and OURS.isdisjoint(message)
            and fit.brackets(value) <= self.limits.nesting
        )

    def _unfit(self, work: Work, message: Json) -> Refusal | None:
        """Too large, or holding what no event can; None for nearly all."""
        suspect, limit = work.suspect, self.limits.message_bytes
        if work.single is not None:
            size = len(work.single)
        elif work.small and not work.crowded:
            size = 0
        else:
            size, deep = fit.weigh(message, self.limits.nesting, limit)
            suspect = suspect or deep
        if size > limit:
            return _too_large("the message", size, limit)
        if suspect and (faults := fit.flaws(message, self.limits.nesting)):
            return Refusal.of(faults)
        return None

    def _enter(
        self, work: Work, admitted: Admitted, value: bytes
    ) -> Admitted | Refusal:
        size, limits = len(value), self.limits
        work.made_bytes += size
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
        work.count(source.name, work.endpoint.type or "batch", "refused")
        for fault in refusal.faults:
            work.remark(source.name, Notice("refused", fault.code))
        entry = entries.of_refused(
            sent,
            refusal,
            origin=work.origins.get(source.name) or self._origin(work, source),
            message_id=message_id,
            endpoint=work.endpoint.name,
            batch=self._kept(work, sent),
        )
        work.entries.append(entry)
        work.refused_bytes += len(entry.value)
        work.made_bytes += work.batch.size + len(sent)
        if source.on_invalid == "reject":
            _reject(work, index, message_id, refusal)

    def _kept(self, work: Work, sent: bytes) -> orjson.Fragment | None:
        """What the batch shares, for a record in full; None when it must be brief.

        Of one request as many bytes are kept in full as it may become events; what the
        batch shares would else be kept with every message.
        """
        size = work.batch.size + min(len(sent), entries.REFUSED_BYTES_MAX)
        if work.refused_bytes + size > self.limits.request_canonical_bytes:
            return None
        if work.batch_kept is None:
            work.batch_kept = entries.of_batch(work.batch)
        return work.batch_kept

    def _origin(self, work: Work, source: Source) -> Origin:
        """What the intake knows beside the messages, once per source and request."""
        origin = work.origins[source.name] = Origin(
            source=source.name,
            kind=source.kind,
            received_at=iso(work.received_at_ms),
            received_at_ms=work.received_at_ms,
            spare_message_id="",
            ip=sender_ip(work.remote, work.headers, self.trusted_proxies),
            user_agent=_readable(work.headers.get(hdrs.USER_AGENT)),
            clock_skew=source.clock_skew,
        )
        return origin


def _reject(work: Work, index: int, message_id: str | None, refusal: Refusal) -> None:
    """Name it in the answer: with its faults, while there is room for them."""
    if work.told_bytes > REPORT_BYTES:
        refusal = refusal.in_brief()
    rejected = answer.rejected(index, message_id, refusal)
    work.told_bytes += rejected.size
    work.rejected.append(rejected)


def _readable(header: str | None) -> str | None:
    """A header's text without the bytes that are no UTF-8: JSON cannot hold those."""
    if header is None or header.isascii():
        return header
    return header.encode("utf-8", "replace").decode()


def _too_large(what: str, size: int, limit: int) -> Refusal:
    text = f"{what} is {size} bytes, more than {limit}"
    return Refusal((Fault("", text, "too_large"),))
