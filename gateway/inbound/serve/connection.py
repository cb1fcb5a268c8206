"""A connection of the public port: bytes to requests, answers to bytes.

aiohttp parses, bounds and times everything. What is not HTTP, never arrives or is never
read ends here in bounded time. A POST that arrives whole, as nearly all do, is answered
without the task, the request and the response that aiohttp makes for each: they would
cost more than judging the message.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, cast

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from gateway.inbound import answer
from gateway.inbound.answer import Reply
from gateway.inbound.doors.pipelines import Endpoint
from gateway.inbound.receive import Whole
from gateway.inbound.serve.head import Head, learned
from gateway.inbound.serve.listen import ENDPOINTS, Listener
from gateway.inbound.serve.parse import HEADER_BYTES_MAX, HEADERS_MAX, Parser, reason
from gateway.inbound.serve.target import origin_form
from gateway.inbound.serve.unread import Unread

# All that is not public of aiohttp's RequestHandler and used below: what a new version
# of aiohttp may change without saying so, and why pyproject.toml allows one line of it.
BORROWED = (
    "_close",  # no request is taken any more
    "_drain_waiter",  # a request whose answer waits to be read waits for this
    "_force_close",  # the same, and the transport is closed
    "_handler_waiter",  # a shutdown waits for this while a request is under way
    "_loop",
    "_messages",  # what is parsed and not taken
    "_next_keepalive_close_time",
    "_parser",
    "_pause_transport_reading",
    "_paused",  # more is unread than may be; `writing_paused` costs a call
    "_reading_paused",  # a body's buffer is full
    "_buffer_paused",  # `_messages` is full
    "_request_count",
    "_request_in_progress",
    "_resume_transport_reading",
    "_waiter",  # aiohttp's task waits for this when there is nothing to take
)
FIRST_REQUEST_SECONDS = 30.0  # from connecting to a whole head
KEEPALIVE_SECONDS = 75.0
LINGER_SECONDS = 5.0  # reading on after an early refusal, so that it is seen

QUIET = logging.getLogger("gateway.access")
QUIET.setLevel(logging.CRITICAL)  # requests are counted, not logged


class Connection(web.RequestHandler):
    """A connection that must send a whole request head in time, and hears JSON."""

    __slots__ = (
        "_answering",
        "_between",
        "_head",
        "_listener",
        "_patience",
        "_remote",
        "_unread",
    )

    def __init__(self, server: "Server", listener: Listener) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=LINGER_SECONDS,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
            access_log=QUIET,
            auto_decompress=False,
        )
        assert self._parser is not None
        self._parser = Parser(self._parser, self.force_close)  # type: ignore[assignment]  # all that aiohttp asks of one
        self._listener = listener
        self._answering = False
        self._between = True  # all that was parsed were whole requests
        self._head: Head | None = None
        self._remote: str | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._unread: Unread | None = None  # while it is connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock; aiohttp has none before the first request."""
        moving = cast("asyncio.Transport", transport)
        self._unread = Unread(moving, self._loop, self._keep)
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._remote = str(peer[0]) if isinstance(peer, tuple | list) else None
        self._patience = self._loop.call_later(FIRST_REQUEST_SECONDS, self.force_close)

    def stop_waiting(self) -> None:
        """Called at each request: from the first on, keep-alive has its own clock."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the clocks."""
        self.stop_waiting()
        super().connection_lost(exc)
        if self._unread is not None:
            self._unread.rest()
            self._unread = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP, or is too much: 400 as JSON, without aiohttp's page."""
        del status, message
        self.keep_alive(val=False)
        said = answer.refused_request(reason(exc))
        rendered = answer.wire(said, origin=None, asked=None, close=True)
        del request
        return Reply(status=said.status, wire=rendered, keep_alive=False)

    # Answers that are not read

    def pause_writing(self) -> None:
        """Too much is unread: no request is taken, nor read, until the sender reads."""
        super().pause_writing()
        self._pause_transport_reading()
        self._watch()

    def resume_writing(self) -> None:
        """Take the next request, if one waits, and read on."""
        super().resume_writing()
        if self._unread is None or self._close or self._force_close:
            return  # it is watched until it is gone
        self._unread.rest()
        self._keep()
        self.data_received(b"")
        if not (self._reading_paused or self._buffer_paused):
            self._resume_transport_reading()

    def _resume_transport_reading(self) -> None:
        if not self._paused:
            super()._resume_transport_reading()

    def _keep(self) -> None:
        """Keep-alive begins anew."""
        self._next_keepalive_close_time = self._loop.time() + KEEPALIVE_SECONDS

    def _watch(self) -> None:
        if self._unread is not None:
            self._unread.watch()

    def force_close(self) -> None:
        """Close; a close waits until all is read, but not for ever."""
        super().force_close()
        self._watch()

    async def start(self) -> None:
        """Take requests, one after the other, until the last; then it is closed."""
        await super().start()
        self._watch()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 -- aiohttp's
        """Wait for an answer that is being made, not for one that is not read."""
        reading = self._drain_waiter
        if reading is not None and not reading.done():
            reading.set_exception(ConnectionResetError())
        await super().shutdown(timeout)

    # The short way

    def data_received(self, data: bytes) -> None:
        """Parse; a POST that is all here is answered the short way.

        aiohttp's own task is the reader of ``_messages`` and waits for ``_waiter``. It
        is not woken for what is taken here, nor for what comes before that is answered:
        answers leave in the order of the requests.
        """
        reader = self._waiter
        busy = self._answering or self._paused
        free = not (busy or reader is None or reader.done())
        if free and self._between and (body := self._known(data)) is not None:
            assert self._head is not None
            self._request_count += 1
            self._take(self._head.headers, self._head.endpoint, body)
            return
        self._waiter, before = None, len(self._messages)
        try:
            super().data_received(data)
        finally:
            self._waiter = reader
        if data and self._between:  # aiohttp gives itself nothing, to look at its queue
            self._learn(data, before)
        if reader is None or not free or not self._messages:
            return
        message, payload = self._messages[0]
        endpoint = _endpoint_of(message, payload)
        if endpoint is None or len(self._messages) > 1 or self._parser is None:
            reader.set_result(None)
            return
        self._messages.clear()
        self._parser.message_consumed()
        headers = message.headers  # type: ignore[union-attr]  # no fault: _endpoint_of looked
        self._take(headers, endpoint, payload.read_nowait(-1))

    def _learn(self, data: bytes, before: int) -> None:
        """Remember the head, if these bytes were one request and no more."""
        self._head = None
        if len(self._messages) == before + 1:
            message, payload = self._messages[-1]
            if (endpoint := _endpoint_of(message, payload)) is not None:
                self._head = learned(data, message.headers, endpoint)  # type: ignore[union-attr]  # no fault: _endpoint_of looked
        self._between = self._head is not None

    def _known(self, data: bytes) -> bytes | None:
        """The body of a whole request with the head of the last one."""
        if self._head is None or self._messages or self._close or self._force_close:
            return None
        return self._head.body(data)

    def _take(
        self, headers: Mapping[str, str], endpoint: Endpoint, body: bytes
    ) -> None:
        self.stop_waiting()
        self._keep()
        self._answering = self._request_in_progress = True
        request = Whole(headers, self._remote, body)
        Flight(self, self._listener.post(request, endpoint), self._loop).go_on()

    def answered(self, wire: bytes) -> None:
        """Write the answer; then it is the next request's turn."""
        self._answering = self._request_in_progress = False
        if self.transport is not None:
            self.transport.write(wire)
            if self._close or self._force_close:
                self.transport.close()
                self._watch()
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)  # a shutdown waits for the answer
        reader = self._waiter
        if self._messages and not (self._paused or reader is None or reader.done()):
            reader.set_result(None)


class Flight:
    """A coroutine that is driven by what it waits for, without a task.

    (What an eager task is from Python 3.12 on.) It begins at once; inside it nothing
    may ask for the current task, as ``asyncio.timeout`` does.
    """

    __slots__ = ("_connection", "_loop", "_work")

    def __init__(
        self,
        connection: Connection,
        work: Coroutine[Any, None, bytes],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._connection = connection
        self._work = work
        self._loop = loop

    def go_on(self, _: "asyncio.Future[Any] | None" = None) -> None:
        """Run until it waits again, or is done."""
        try:
            awaited = self._work.send(None)
        except StopIteration as done:
            self._connection.answered(done.value)
        except BaseException:  # cancelled from within: nobody can be told
            self._connection.force_close()
            self._connection.answered(b"")
            raise
        else:
            if awaited is None:  # it lets others go first
                self._loop.call_soon(self.go_on)
            else:
                awaited._asyncio_future_blocking = False  # noqa: SLF001 -- as tasks do
                awaited.add_done_callback(self.go_on)


def _endpoint_of(message: Any, payload: StreamReader) -> Endpoint | None:
    """Whose path it is, if it may go the short way."""
    if (
        type(message) is not RawRequestMessage
        or message.method != "POST"
        or message.should_close
        or message.upgrade  # what follows it is parsed when aiohttp has answered it
        or message.version != HttpVersion11
        or not payload.is_eof()
        or hdrs.EXPECT in message.headers
    ):
        return None
    return ENDPOINTS.get(message.path.partition("?")[0])


class Server(web.Server):
    """aiohttp's server with our connections and without its magic."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener.handle, request_factory=self._request)
        self._listener = listener

    def __call__(self) -> web.RequestHandler:
        """A protocol for a new connection."""
        return Connection(self, self._listener)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: Any,
        writer: Any,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        protocol.stop_waiting()
        message = message._replace(path=origin_form(message.path))
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop)
