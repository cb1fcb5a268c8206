"""One POST, from its body to its answer: the only place in inbound that waits.

    receive -> the door: decode -> each message: judge -> append -> 200

Every message is judged alone; good and refused ones go to the log in one append, and
the answer is sent when all of it is durable (DESIGN 4.1, 4.2). What differs from door
to door is an ``Api``: who sends, how a body is read to messages, the answer's shape.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from aiohttp import hdrs, web

from gateway.config import Source
from gateway.errors import AuthError, LogError, MessageError, place_of
from gateway.event import Json, Origin
from gateway.inbound import answer
from gateway.inbound.answer import Answer
from gateway.inbound.authenticate import may_send
from gateway.inbound.forwarded import Network
from gateway.inbound.inflate import inflate
from gateway.inbound.intake import (
    Door,
    Judged,
    Refused,
    Rules,
    Text,
    judge,
    written,
)
from gateway.inbound.post import Post
from gateway.inbound.rate import Budget
from gateway.inbound.receipt import Asked, Receipt
from gateway.inbound.receive import Receiver, Whole
from gateway.inbound.refusal import Fault, Refusal
from gateway.inbound.stranger import Strangers
from gateway.inbound.turnstile import Held, Turnstile
from gateway.log.contract import Entry, EventLog
from gateway.metrics import Metrics
from gateway.notices import Notices
from gateway.trace import Trace, Tracer

LARGE_BYTES = 1_000_000  # of a batch: nearly no SDK sends as much
TURN_BYTES = 200_000  # are parsed in about STALL_S
STALL_S = 0.002  # judging goes on for so long, then other requests get their turn
STATUS, SERVER_ERROR = "http.response.status_code", 500
TOO_MUCH = "too much waits to be written; send again"
FULL = LogError(TOO_MUCH, "overloaded")  # never raised: it would keep what it passed

T = TypeVar("T")
A = TypeVar("A", bound=Asked)
A_contra = TypeVar("A_contra", bound=Asked, contravariant=True)


class Api(Protocol[A_contra]):
    """A door's side of a POST; ``asked`` is the endpoint that was asked."""

    def sender(self, headers: Mapping[str, str]) -> Source | None:
        """Whose all of it is, if the headers say it; AuthError when nobody's."""
        ...

    async def take(self, post: Post, asked: A_contra, body: bytes) -> Receipt | Answer:
        """Every message judged; or the answer, if it is that the sender must wait.

        MessageError for a body that cannot be taken apart, AuthError for nobody's.
        What was parsed is gone when this returns: a request that waits for the log
        holds its entries alone.
        """
        ...

    def spare(self, asked: A_contra) -> str:
        """The message id of a request that cannot be taken apart."""
        ...

    def answer(
        self, receipt: Receipt, asked: A_contra, headers: Mapping[str, str]
    ) -> Answer:
        """What is said when all of it is durable."""
        ...


@dataclass(slots=True, kw_only=True)
class Acceptor:
    """What all doors share; one per process."""

    rules: Rules
    log: EventLog
    receiver: Receiver
    metrics: Metrics
    notices: Notices
    trusted_proxies: Sequence[Network] = ()
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    turnstiles: tuple[Turnstile, Turnstile] = field(init=False)  # the second: for large
    held: Held = field(default_factory=Held)
    strangers: Strangers = field(default_factory=Strangers)
    tracer: Tracer | None = None

    def __post_init__(self) -> None:
        limits = self.rules.limits
        waiting = limits.waiting_bytes // 2
        large = Turnstile(limits.request_bytes, waiting)
        self.turnstiles = Turnstile(LARGE_BYTES, waiting), large

    def accept(
        self, request: web.BaseRequest | Whole, api: Api[A], asked: A
    ) -> Awaitable[Answer]:
        """The answer to one POST; raises ConnectionError when nobody waits for it."""
        if self.tracer is None:
            return self._accept(request, api, asked)
        return self._traced(self.tracer, request, api, asked)

    async def _traced(
        self, tracer: Tracer, request: web.BaseRequest | Whole, api: Api[A], asked: A
    ) -> Answer:
        """The same, with a span of it if it is to have one."""
        trace = tracer.begin(f"POST {asked.name}", request.headers)
        said = await self._accept(request, api, asked, trace)
        if trace is not None:
            told = {"gateway.endpoint": asked.name, STATUS: said.status}
            trace.end(told, str(said.status) if said.status >= SERVER_ERROR else "")
        return said

    async def _accept(
        self,
        request: web.BaseRequest | Whole,
        api: Api[A],
        asked: A,
        trace: Trace | None = None,
    ) -> Answer:
        headers, at_ms = request.headers, time.time_ns() // 1_000_000
        post = Post(headers, request.remote, at_ms, self.trusted_proxies)
        body = b""
        try:
            post.source = api.sender(headers)
            if not self.log.has_room():
                return answer.unavailable(FULL)
            body = await self.receiver.receive(request)
            encoding = headers.get(hdrs.CONTENT_ENCODING)
            limit = self.rules.limits.request_bytes
            taken = await api.take(post, asked, inflate(body, encoding, limit))
            if isinstance(taken, Answer):
                return taken
            taken.check_that_it_fits()
            await self.append(taken, trace)
            return api.answer(taken, asked, headers)
        except AuthError as error:
            return answer.unauthorized(error)
        except MessageError as error:
            # Not this one: it would hold all that was parsed until the log has written.
            refused = MessageError(error.code, str(error))
        except LogError as error:
            return answer.unavailable(error)
        return await self._refuse_request(post, api, asked, body, refused, trace)

    def take(
        self,
        receipt: Receipt,
        sent: Json,
        text: Text,
        door: Door,
        source: Source,
        origin: Origin,
        index: int,
        message_id: str,
    ) -> Judged:
        """Judge one message and write down what became of it.

        A message that hits a bug of ours costs none of its neighbours anything.
        """
        try:
            judged = judge(sent, text, origin, door, self.rules, receipt)
        except Exception as error:  # noqa: BLE001 -- our bug must cost one message, kept for later, not the request
            judged = self._bug(error)
        if isinstance(judged, Refused):
            kept = written(sent, text)
            receipt.set_aside(index, message_id, judged.refusal, kept, source, origin)
        else:
            receipt.take(judged)
        return judged

    async def in_turn(self, body: bytes, read: Callable[[], Awaitable[T]]) -> T:
        """Read a body as soon as there is room for what it is parsed to.

        What takes long to parse is not even parsed before others had a turn, so that
        of many that come together one after the other is.
        """
        size = len(body)
        if size <= self.rules.limits.message_bytes:
            return await read()
        turnstile = self.turnstiles[size > LARGE_BYTES]
        await turnstile.enter(size)
        try:
            if size > TURN_BYTES:
                await asyncio.sleep(0)
            return await read()
        finally:
            turnstile.leave(size)

    async def take_turns(self, receipt: Receipt, steps: Iterator[object]) -> Receipt:
        """All steps of a batch, a message each, with turns for others in between."""
        clock = time.perf_counter
        began, held = clock(), 0
        try:
            for _ in steps:
                if clock() - began > STALL_S:
                    held = self._hold(receipt, held)
                    await asyncio.sleep(0)
                    began = clock()
        finally:
            self.held.bytes -= held
        return receipt

    def check_origin(self, source: Source, headers: Mapping[str, str]) -> None:
        """AuthError when the page that sends may not send to this source."""
        origin = headers.get(hdrs.ORIGIN)
        if origin is None or may_send(source, origin):
            return
        self.notices.post(source.name, self.strangers.notice(source.name, origin))
        message = f"source {source.name} takes nothing from this origin; see `origins`"
        raise AuthError("unknown_write_key", message)

    def spend(self, sources: Sequence[Source | AuthError]) -> Answer | None:
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

    async def append(self, receipt: Receipt, trace: Trace | None = None) -> None:
        """Make all of it durable; then it is counted, and its notices are posted."""
        if not receipt.entries:
            return
        began = time.perf_counter()
        if trace is None:
            await self.log.append(receipt.entries)
        else:
            await self._append_traced(receipt.entries, trace)
        self.metrics.append_seconds.observe(time.perf_counter() - began)
        messages = self.metrics.messages
        for key, count in receipt.counts.items():
            messages[key] += count
        for (source, notice), times in receipt.notices.items():
            self.notices.post(source, notice, times)

    async def _append_traced(self, entries: Sequence[Entry], trace: Trace) -> None:
        """The trace goes with each entry, so that whoever reads it is a part of it."""
        start_ns, carried = trace.now_ns(), trace.carried
        await self.log.append(
            [e._replace(headers=(*e.headers, carried)) for e in entries]
        )
        trace.did("append", start_ns, {"gateway.entries": len(entries)})

    def _hold(self, receipt: Receipt, before: int) -> int:
        """What it holds for the log counts as waiting while others have their turn.

        LogError when all together would be more than may wait.
        """
        others, size = self.held.bytes - before, receipt.log_bytes
        room = self.rules.limits.waiting_bytes - others - size
        if others and self.log.waiting_bytes > room:
            raise LogError(TOO_MUCH, "overloaded")
        self.held.bytes = others + size
        return size

    async def _refuse_request(
        self,
        post: Post,
        api: Api[A],
        asked: A,
        body: bytes,
        error: MessageError,
        trace: Trace | None,
    ) -> Answer:
        """The request as a whole; kept when its sender is known (DESIGN §3)."""
        source = post.source
        if source is None:
            return answer.refused_request(error)
        refusal = Refusal((Fault("", str(error), error.code),))
        receipt = Receipt(asked, self.rules.limits)
        origin, spare = post.origin(source), api.spare(asked)
        receipt.set_aside(0, spare, refusal, body, source, origin)
        try:
            await self.append(receipt, trace)
        except LogError as unavailable:
            return answer.unavailable(unavailable)
        refused = answer.refused_request(error)
        return refused if receipt.rejected else answer.ACCEPTED

    def _bug(self, error: Exception) -> Refused:
        self.notices.say("bug", place=place_of(error), error=type(error).__name__)
        text = "the gateway failed on this message; it is kept"
        return Refused(Refusal((Fault("", text, "internal"),)))
