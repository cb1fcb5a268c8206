"""The door of the pipelines: `/v1/identify` and its like, one message or a batch.

Who sends is said by a write key in a header, in a batch's body, or in each message. A
batch of one source is cut, so that each message is parsed when its turn comes.
"""

import secrets
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson
from aiohttp import hdrs, web

from gateway.config import Limits, Source
from gateway.errors import AuthError, MessageError
from gateway.event import EventType, Json, Origin
from gateway.inbound import answer, decode
from gateway.inbound.accept import Acceptor
from gateway.inbound.answer import Answer
from gateway.inbound.authenticate import Keys, may_send
from gateway.inbound.cut import cut
from gateway.inbound.doors.message import SINGLE, Message, pieces_of
from gateway.inbound.entries import message_id_of
from gateway.inbound.intake import Text, alone, among
from gateway.inbound.post import Post
from gateway.inbound.receipt import Receipt
from gateway.inbound.receive import Whole
from gateway.inbound.refusal import Fault, Refusal
from gateway.inbound.salvage import Salvage, keys_in


class Endpoint(NamedTuple):
    """``name`` as in the path; ``type`` of a single message, None for a batch."""

    name: str
    type: EventType | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipelines:
    """Answers the pipelines' POSTs; one per process."""

    acceptor: Acceptor
    keys: Keys

    def accept(
        self, request: web.BaseRequest | Whole, endpoint: Endpoint
    ) -> Awaitable[Answer]:
        """The answer to one POST, as ``Acceptor.accept``."""
        return self.acceptor.accept(request, self, endpoint)

    def sender(self, headers: Mapping[str, str]) -> Source | None:
        """The source of the header's write key; None when it names no key."""
        return self.keys.in_header(headers.get(hdrs.AUTHORIZATION))

    def spare(self, endpoint: Endpoint) -> str:
        """A new id for each request."""
        del endpoint
        return secrets.token_hex(16)

    def answer(
        self, receipt: Receipt, endpoint: Endpoint, headers: Mapping[str, str]
    ) -> Answer:
        """200 when nothing is refused; else what is."""
        if not receipt.rejected:
            return answer.ACCEPTED
        return answer.judged(
            accepted=receipt.accepted,
            rejected=receipt.rejected,
            batch=endpoint.type is None,
            strict=answer.is_strict(headers),
        )

    async def take(
        self, post: Post, endpoint: Endpoint, body: bytes
    ) -> Receipt | Answer:
        """Every message judged; a large body as soon as there is room for it."""
        single = endpoint.type is not None
        if single and len(body) <= self.acceptor.rules.limits.message_bytes:
            return self._take_single(post, endpoint, body)

        async def read() -> Receipt | Answer:
            if single:
                return self._take_single(post, endpoint, body)
            return await self._take_batch(post, endpoint, body)

        return await self.acceptor.in_turn(body, read)

    @property
    def _limits(self) -> Limits:
        return self.acceptor.rules.limits

    def _take_single(
        self, post: Post, endpoint: Endpoint, body: bytes
    ) -> Receipt | Answer:
        acceptor, source = self.acceptor, post.source
        limits, known = acceptor.rules.limits, source is not None
        try:
            decoded = decode.decode(body, limits, batch=False, known=known)
        except MessageError:
            self._claim(post, body)
            raise
        if source is None:
            found = self._own_source(post, decoded.value)
            if isinstance(found, AuthError):
                raise found
            post.source = source = found
        else:
            acceptor.check_origin(source, post.headers)
        if acceptor.budgets and (late := acceptor.spend([source])):
            return late
        receipt, text = Receipt(endpoint, limits), alone(body, decoded)
        door, origin = SINGLE[endpoint.type], post.origin(source)
        self._take(receipt, 0, decoded.value, text, door, source, origin)
        return receipt

    async def _take_batch(
        self, post: Post, endpoint: Endpoint, body: bytes
    ) -> Receipt | Answer:
        taken = await self._take_cut(post, endpoint, body)
        return taken or await self._take_whole(post, endpoint, body)

    async def _take_cut(
        self, post: Post, endpoint: Endpoint, body: bytes
    ) -> Receipt | None:
        """A batch of one source; None when it must be read as a whole."""
        limits = self._limits
        pieces = cut(body, limits)
        source = None if pieces is None else self._known(post, pieces.around)
        if pieces is None or source is None or source.name in self.acceptor.budgets:
            return None  # a rate is about the number of messages: here, a guess
        batch = decode.shared(pieces.around, limits, suspect=False)
        receipt, door = Receipt(endpoint, limits, batch), Message(None, batch)
        small = len(body) <= limits.message_bytes
        short = Text(None, suspect=False, small=small, crowded=True, first=False)
        steps = self._pieces(post, receipt, pieces.texts, short, door, source)
        try:
            return await self.acceptor.take_turns(receipt, steps)
        except orjson.JSONDecodeError:
            return None

    def _pieces(
        self,
        post: Post,
        receipt: Receipt,
        texts: Sequence[bytes],
        short: Text,
        door: Message,
        source: Source,
    ) -> Iterator[None]:
        """Each message of one source, parsed when its turn comes."""
        limit, long = self._limits.message_bytes, short._replace(first=True)
        origin = post.origin(source)
        for index, piece in enumerate(texts):
            text = long if len(piece) > limit else short
            message = orjson.loads(piece)
            self._take(receipt, index, message, text, door, source, origin)
            yield

    async def _take_whole(
        self, post: Post, endpoint: Endpoint, body: bytes
    ) -> Receipt | Answer:
        """A batch that cannot be cut, or whose messages have keys of their own."""
        limits, known = self._limits, post.source is not None
        try:
            decoded = decode.decode(body, limits, known=known)
        except MessageError as error:
            self._claim(post, body)
            if post.source is None or error.code != "invalid_json":
                raise
            damage = MessageError(error.code, str(error))
            return await self._take_damaged(post, endpoint, body, damage)
        value, suspect, _ = decoded
        if decode.is_alone(value) and _says_lines(post.headers):
            value = [value]  # of one line
        if not known and isinstance(value, dict):
            post.source = self.keys.in_body(value.get("writeKey"))
        messages = decode.messages_of(value, limits)
        sources = self._sources(post, messages)  # nothing is walked for nobody
        batch = decode.shared(value, limits, suspect=suspect)
        if (late := self.acceptor.spend(sources)) is not None:
            return late
        receipt, text = Receipt(endpoint, limits, batch), among(body, decoded, limits)
        del decoded, value
        steps = self._each(post, receipt, messages, text, Message(None, batch), sources)
        return await self.acceptor.take_turns(receipt, steps)

    def _each(
        self,
        post: Post,
        receipt: Receipt,
        messages: list[Json],
        text: Text,
        door: Message,
        sources: Sequence[Source | AuthError],
    ) -> Iterator[None]:
        """Each message, dropped from the list: what is judged is needed no more."""
        for index, source in enumerate(sources):
            message, messages[index] = messages[index], None
            if isinstance(source, AuthError):
                fault = Fault("/writeKey", str(source), source.code)
                receipt.reject(index, message_id_of(message), Refusal((fault,)))
            else:
                origin = post.origin(source)
                self._take(receipt, index, message, text, door, source, origin)
            yield

    async def _take_damaged(
        self, post: Post, endpoint: Endpoint, body: bytes, damage: MessageError
    ) -> Receipt | Answer:
        """What can be saved of a batch that is no JSON; the rest is kept in pieces.

        ``damage`` is raised when nothing can: then all of it is one piece.
        """
        acceptor, limits = self.acceptor, self._limits
        receipt, saved = Receipt(endpoint, limits), Salvage(body, limits)
        await acceptor.take_turns(receipt, saved.walk())
        if not saved.found:
            raise damage
        sources = self._owners(post, saved)
        if (late := acceptor.spend(sources)) is not None:
            return late
        steps = self._saved(post, receipt, saved, sources)
        return await acceptor.take_turns(receipt, steps)

    def _saved(
        self,
        post: Post,
        receipt: Receipt,
        saved: Salvage,
        sources: Sequence[Source | AuthError],
    ) -> Iterator[None]:
        """Each piece, judged as if it had come alone with what its batch says."""
        pieces = zip(pieces_of(saved, self._limits), sources, strict=True)
        for index, (piece, source) in enumerate(pieces):
            receipt.share(piece.door.batch)
            if isinstance(source, AuthError):
                fault = Fault("/writeKey", str(source), source.code)
                receipt.reject(index, None, Refusal((fault,)))
            else:
                sent, text, door = piece
                origin = post.origin(source)
                self._take(receipt, index, sent, text, door, source, origin)
            yield

    def _take(
        self,
        receipt: Receipt,
        index: int,
        message: Json,
        text: Text,
        door: Message,
        source: Source,
        origin: Origin,
    ) -> None:
        message_id = message_id_of(message)
        if message_id is None:
            message_id = secrets.token_hex(16)
            origin = origin._replace(spare_message_id=message_id)
        self.acceptor.take(
            receipt, message, text, door, source, origin, index, message_id
        )

    def _known(self, post: Post, around: Mapping[str, Json]) -> Source | None:
        """Whose all messages are, if the request says it and its origin may send."""
        try:
            source = post.source or self.keys.in_body(around.get("writeKey"))
        except AuthError:
            return None
        origin = post.headers.get(hdrs.ORIGIN)
        if source is None or origin is None or may_send(source, origin):
            return source
        return None

    def _claim(self, post: Post, body: bytes) -> None:
        """Who sends what cannot be parsed: a key in its text says it, too.

        AuthError when the page that sends may not.
        """
        if post.source is None:
            for key in keys_in(body):
                try:
                    post.source = self.keys.find(key)
                    break
                except AuthError:
                    continue
        if post.source is not None:
            self.acceptor.check_origin(post.source, post.headers)

    def _owners(self, post: Post, saved: Salvage) -> Sequence[Source | AuthError]:
        """Whose each piece is: its own key, its envelope's, or any in the text."""
        known = post.source
        assert known is not None
        if self.sender(post.headers) is not None:
            return [known] * len(saved.pieces)
        shared = [saved.key(number) for number in range(len(saved.envelopes))]
        keys = [piece.key or shared[piece.envelope] for piece in saved.pieces]
        return [
            self._own_source(post, {"writeKey": key}) if key else known for key in keys
        ]

    def _sources(
        self, post: Post, messages: Sequence[Json]
    ) -> Sequence[Source | AuthError]:
        """Whose each message is; AuthError only when nobody's at all are."""
        if post.source is not None:
            self.acceptor.check_origin(post.source, post.headers)
            return [post.source] * len(messages)
        found = [self._own_source(post, message) for message in messages]
        known = any(isinstance(each, Source) for each in found)
        if not known and isinstance(found[0], AuthError):
            raise found[0]
        return found

    def _own_source(self, post: Post, message: Json) -> Source | AuthError:
        key = message.get("writeKey") if isinstance(message, dict) else None
        try:
            source = self.keys.in_body(key)
            if source is None:
                return AuthError("missing_write_key", "there is no write key")
            self.acceptor.check_origin(source, post.headers)
        except AuthError as error:
            return error
        return source


def _says_lines(headers: Mapping[str, str]) -> bool:
    """Whether it is a message a line: of one line nothing else tells."""
    kind = headers.get(hdrs.CONTENT_TYPE, "").lower()
    return "ndjson" in kind or "jsonl" in kind
