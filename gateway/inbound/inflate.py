"""A body without its compression, in bounded memory: gzip, deflate or none."""

import zlib

from gateway.errors import MessageError

GZIP_MAGIC = b"\x1f\x8b"
GZIP_MEMBERS_MAX = 100  # each costs a copy of the rest; real clients send one


def inflate(body: bytes, encoding: str | None, limit: int) -> bytes:
    """The body without compression, never more than ``limit`` bytes of it.

    The bytes decide, then the header: SDKs send gzip without saying so, and proxies
    unpack it and leave the header.
    """
    coding = (encoding or "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip", "deflate", ""):
        text = "this Content-Encoding is not understood; use gzip, deflate or none"
        raise MessageError("invalid_message", text)
    if body.startswith(GZIP_MAGIC):
        return _gunzip(body, limit)
    if coding == "deflate" and body[:1] not in (b"{", b"["):
        window = zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS
        return _member(zlib.decompressobj(window), body, limit, limit)
    if len(body) > limit:
        text = f"the body is {len(body)} bytes, more than {limit}"
        raise MessageError("too_large", text)
    return body


def _gunzip(body: bytes, limit: int) -> bytes:
    parts, room = [], limit
    for _ in range(GZIP_MEMBERS_MAX):
        member = zlib.decompressobj(zlib.MAX_WBITS + 16)
        parts.append(_member(member, body, room, limit))
        room -= len(parts[-1])
        body = member.unused_data.lstrip(b"\0")
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
