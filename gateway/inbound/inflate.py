"""A body without its compression, in bounded memory: gzip, deflate or none."""

import re
import zlib

from gateway.errors import MessageError

GZIP_MAGIC = b"\x1f\x8b"
GZIP_MEMBERS_MAX = 100  # each costs a copy of the rest; real clients send one
PADDING = b"\0 \t\r\n"  # behind compressed data it means nothing
JSON = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*[{\[]")
UNREAD = frozenset(
    {"br", "zstd", "compress", "x-compress", "dcb", "dcz", "aws-chunked"}
)


def inflate(body: bytes, encoding: str | None, limit: int) -> bytes:
    """The body without compression, never more than ``limit`` bytes of it.

    The bytes decide, then the header: SDKs send gzip without saying so, proxies unpack
    it and leave the header, and some write there what is no compression (``utf-8``).
    """
    if body.startswith(GZIP_MAGIC):
        return _gunzip(body, limit)
    if encoding:
        body = _by_name(body, encoding.lower(), limit)
    if len(body) > limit:
        text = f"the body is {len(body)} bytes, more than {limit}"
        raise MessageError("too_large", text)
    return body


def _by_name(body: bytes, encoding: str, limit: int) -> bytes:
    """As the header says, unless it is JSON as it stands."""
    codings = {each.strip() for each in encoding.split(",")}
    if "deflate" in codings and body[:1] not in (b"{", b"[") and not _is_plain(body):
        window = zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS
        return _member(zlib.decompressobj(window), body, limit, limit)
    if not UNREAD.isdisjoint(codings) and not _is_plain(body):
        text = "this Content-Encoding is not read; send gzip, deflate or none"
        raise MessageError("invalid_message", text)
    return body


def _is_plain(body: bytes) -> bool:
    """Whether it looks like JSON; what is compressed is hardly ever UTF-8."""
    if JSON.match(body) is None:
        return False
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _gunzip(body: bytes, limit: int) -> bytes:
    parts, room = [], limit
    for _ in range(GZIP_MEMBERS_MAX):
        member = zlib.decompressobj(zlib.MAX_WBITS + 16)
        parts.append(_member(member, body, room, limit))
        room -= len(parts[-1])
        body = member.unused_data.lstrip(PADDING)
        if not body:
            return b"".join(parts)
    raise MessageError("invalid_json", f"gzip of more than {GZIP_MEMBERS_MAX} members")


def _member(member: "zlib._Decompress", body: bytes, room: int, limit: int) -> bytes:
    """Inflate to ``room`` bytes and one more: a bomb goes no further than that."""
    try:
        part = member.decompress(body, room + 1)
    except zlib.error:
        raise MessageError("invalid_json", "the compressed body is damaged") from None
    if len(part) > room:
        text = f"the decompressed body is larger than {limit} bytes"
        raise MessageError("too_large", text)
    if not member.eof:
        raise MessageError("invalid_json", "the compressed body ends too early")
    return part
