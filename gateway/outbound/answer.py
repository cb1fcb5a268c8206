"""One answer for each request: how aiohttp's client hears its connections.

aiohttp queues whatever arrives on a connection, and the next request takes its answer
from there: a second answer that comes late, while the connection waits for its next
use, would judge another event. Here what nobody asked for closes the connection.

Borrowed from aiohttp beyond its documentation: ``client_proto.ResponseHandler``
and the connector's ``_factory``, which makes a handler for each connection.
"""

import functools
from asyncio import AbstractEventLoop
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

FINAL = 200  # 1xx announce, and are no answer


class OneAnswer(ResponseHandler):
    """A connection's protocol that hears one final answer for each request."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        super().__init__(loop)
        self._owed = False
        self._body: Any = None

    def set_response_params(self, **params: Any) -> None:
        """A request is about to be written here: its answer is owed."""
        self._owed = True
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """What an answer is made of; more than that ends the connection."""
        if data and not self._owed and (self._body is None or self._body.is_eof()):
            self.force_close()
            if self.transport is not None:
                self.transport.close()
            return
        super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """A head was read: a message, and the stream that its body comes in."""
        message, body = data
        if message.code >= FINAL:
            self._owed, self._body = False, body
        super().feed_data(data, size)


class Connector(aiohttp.TCPConnector):
    """Connections for a session that hear one answer for each request."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        make: Any = functools.partial(OneAnswer, loop=self._loop)
        self._factory = make
