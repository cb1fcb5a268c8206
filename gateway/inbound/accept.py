"""One POST, from its body to its answer: the only place in inbound that waits.

    receive -> decode -> each message: judge -> append -> 200

Every message is judged alone; good and refused ones go to the log in one append, and
the answer is sent when all of it is durable (DESIGN 4.1, 4.2).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from aiohttp import hdrs, web
from multidict import istr

from gateway.config import Limits, Source
from gateway.errors import AuthError, LogError, MessageError
from gateway.event import Json
from gateway.inbound import answer, decode
from gateway.inbound.answer import Answer
from gateway.inbound.authenticate import Keys
from gateway.inbound.cut import cut
from gateway.inbound.door import Door, Held
from gateway.inbound.inflate import inflate
from gateway.inbound.judge import Endpoint, Judge, Work
from gateway.inbound.rate import Budget
from gateway.inbound.receive import Receiver, Whole
from gateway.inbound.refusal import Fault, Refusal
from gateway.inbound.stranger import Strangers
from gateway.log.contract import EventLog
from gateway.metrics import Metrics

LARGE_BYTES = 1_000_000  # of a batch: nearly no SDK sends as much
TURN_BYTES = 200_000  # are parsed in about STALL_S
STALL_S = 0.002  # judging goes on for so long, then other requests get their turn
TOO_MUCH = "too much waits to be written; send again"
FULL = LogError(TOO_MUCH, "overloaded")  # never raised: it would keep what it passed
STRICT_MODE = istr("X-Strict-Mode")


@dataclass(slots=True, kw_only=True)
class Acceptor:
    """Everything a POST needs; one per process."""

    keys: Keys
    judge: Judge
    limits: Limits
    log: EventLog
    receiver: Receiver
    metrics: Metrics
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    doors: tuple[Door, Door] = field(init=False)  # for common batches, for large ones
    held: Held = field(default_factory=Held)
    strangers: Strangers = field(default_factory=Strangers)

    def __post_init__(self) -> None:
        waiting = self.limits.waiting_bytes // 2
        large = Door(self.limits.request_bytes, waiting)
        self.doors = Door(LARGE_BYTES, waiting), large

    async def accept(
        self, request: web.BaseRequest | Whole, endpoint: Endpoint
    ) -> Answer:
        """The answer to one POST; raises ConnectionError when nobody waits for it."""
        headers, at_ms = request.headers, time.time_ns() // 1_000_000
        work = Work(endpoint, headers, request.remote, at_ms)
        body = b""
        try:
            work.source = self.keys.in_header(headers.get(hdrs.AUTHORIZATION))
            if not self.log.has_room():
                return answer.unavailable(FULL)
            body = await self.receiver.receive(request)
            return await self._answer(work, body)
        except AuthError as error:
            return answer.unauthorized(error)
        except MessageError as error:
            # Not this one: it would hold all that was parsed until the log has written.
            refused = MessageError(error.code, str(error))
        except LogError as error:
            return answer.unavailable(error)
        return await self._refuse_request(work, body, refused)

    async def _answer(self, work: Work, body: bytes) -> Answer:
        if (late := await self._take_all(work, body)) is not None:
            return late
        if work.made_bytes > self.limits.event_bytes:  # more than one event
            self._check_that_it_fits(work)
        await self._append(work)
        return self._judged(work)

    def _check_that_it_fits(self, work: Work) -> None:
        """Raise for what the log could never hold: a resend would be refused again."""
        size, limit = work.log_bytes, self.limits.waiting_bytes
        if size > limit:
            text = f"the request is {size} bytes for the log, more than {limit}"
            raise MessageError("too_large", text)

    def _judged(self, work: Work) -> Answer:
        if not work.rejected:
            return answer.ACCEPTED
        return answer.judged(
            accepted=work.accepted,
            rejected=work.rejected,
            batch=work.endpoint.type is None,
            strict=work.headers.get(STRICT_MODE) == "1",
        )

    async def _take_all(self, work: Work, body: bytes) -> Answer | None:
        """Judge every message; the answer, if it is that the sender must wait.

        What was parsed is gone when this returns: a request that waits for the log
        holds its entries alone.
        """
        encoding = work.headers.get(hdrs.CONTENT_ENCODING)
        body = inflate(body, encoding, self.limits.request_bytes)
        if work.endpoint.type is not None and len(body) <= self.limits.message_bytes:
            return self._take_single(work, body)
        return await self._take_in_turn(work, body)

    async def _take_in_turn(self, work: Work, body: bytes) -> Answer | None:
        """As soon as there is room for what it is parsed to.

        What takes long to parse is not even parsed before others had a turn, so that
        of many that come together one after the other is.
        """
        size = len(body)
        if size <= self.limits.message_bytes:
            return await self._take_body(work, body)
        door = self.doors[size > LARGE_BYTES]
        await door.enter(size)
        try:
            if size > TURN_BYTES:
                await asyncio.sleep(0)
            return await self._take_body(work, body)
        finally:
            door.leave(size)

    async def _take_body(self, work: Work, body: bytes) -> Answer | None:
        if work.endpoint.type is not None:
            return self._take_single(work, body)
        if await self._take_cut(work, body):
            return None
        return await self._take_whole(work, body)

    def _take_single(self, work: Work, body: bytes) -> Answer | None:
        known = work.source is not None
        value, work.suspect, _ = decode.decode(
            body, self.limits, batch=False, known=known
        )
        source = work.source
        if source is None:
            found = self._own_source(work, value)
            if isinstance(found, AuthError):
                raise found
            work.source = source = found
        else:
            self._check_origin(work, source)
        if self.budgets and (late := self._spend([source])) is not None:
            return late
        work.single = body
        self.judge.take(work, 0, value, source)
        return None

    async def _take_whole(self, work: Work, body: bytes) -> Answer | None:
        """A batch that cannot be cut, or whose messages have keys of their own."""
        known = work.source is not None
        value, work.suspect, work.crowded = decode.decode(
            body, self.limits, known=known
        )
        if not known and isinstance(value, dict):
            work.source = self.keys.in_body(value.get("writeKey"))
        messages = decode.messages_of(value, self.limits)
        sources = self._sources(work, messages)  # nothing is walked for nobody
        work.batch = decode.shared(value, self.limits, suspect=work.suspect)
        if (late := self._spend(sources)) is not None:
            return late
        work.text_bytes = len(body)
        work.small = work.text_bytes <= self.limits.message_bytes
        await self._take_turns(work, each(messages), sources)
        return None

    async def _take_cut(self, work: Work, body: bytes) -> bool:
        """A batch of one source, each message parsed when its turn comes.

        False when it must be read as a whole: nothing has been taken then.
        """
        pieces = cut(body, self.limits)
        source = None if pieces is None else self._known(work, pieces.around)
        if pieces is None or source is None or source.name in self.budgets:
            return False  # a rate is about the number of messages: here, a guess
        texts = pieces.texts
        work.batch = decode.shared(pieces.around, self.limits, suspect=False)
        work.small, work.crowded = len(body) <= self.limits.message_bytes, True
        try:
            sources = [source] * len(texts)
            await self._take_turns(work, parsed(work, texts), sources)
        except orjson.JSONDecodeError:
            work.begin()
            return False
        return True

    async def _take_turns(
        self,
        work: Work,
        messages: Iterator[Json],
        sources: Sequence[Source | AuthError],
    ) -> None:
        """All messages of a batch, with a turn for other requests in between."""
        take, clock = self.judge.take, time.perf_counter
        began, held = clock(), 0
        try:
            for index, source in enumerate(sources):
                take(work, index, next(messages), source)
                if clock() - began > STALL_S:
                    held = self._hold(work, held)
                    await asyncio.sleep(0)
                    began = clock()
        finally:
            self.held.bytes -= held

    def _hold(self, work: Work, before: int) -> int:
        """What it holds for the log counts as waiting while others have their turn.

        LogError when all together would be more than may wait.
        """
        others, size = self.held.bytes - before, work.log_bytes
        room = self.limits.waiting_bytes - others - size
        if others and self.log.waiting_bytes > room:
            raise LogError(TOO_MUCH, "overloaded")
        self.held.bytes = others + size
        return size

    def _known(self, work: Work, around: Mapping[str, Json]) -> Source | None:
        """Whose all messages are, if the request says it and its origin may send."""
        try:
            source = work.source or self.keys.in_body(around.get("writeKey"))
            if source is not None:
                return source if may_send(work, source) else None
        except AuthError:
            return None
        return source

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
        if may_send(work, source):
            return
        notice = self.strangers.notice(source.name, work.headers[hdrs.ORIGIN])
        self.judge.notices.post(source.name, notice)
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

    async def _refuse_request(
        self, work: Work, body: bytes, error: MessageError
    ) -> Answer:
        """The request as a whole; kept when its sender is known (DESIGN §3)."""
        if work.source is None:
            return answer.refused_request(error)
        refusal = Refusal((Fault("", str(error), error.code),))
        work.begin()
        self.judge.take_whole(work, work.source, body, refusal)
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
        messages = self.metrics.messages
        for key, count in work.counts.items():
            messages[key] += count
        for (source, notice), times in work.notices.items():
            self.judge.notices.post(source, notice, times)


def may_send(work: Work, source: Source) -> bool:
    """Whether the page that sends, if it is one, may send to this source."""
    origin = work.headers.get(hdrs.ORIGIN)
    return origin is None or "*" in source.origins or origin in source.origins


def parsed(work: Work, texts: list[bytes]) -> Iterator[Json]:
    """The message of each text; the work knows how long the text was."""
    for text in texts:
        work.text_bytes = len(text)
        yield orjson.loads(text)


def each(messages: list[Json]) -> Iterator[Json]:
    """Each of them, dropped from the list: what is judged is needed no more."""
    for index, message in enumerate(messages):
        messages[index] = None
        yield message
