"""A batch of records in Kafka's format 2, packed by hand.

An event goes to several topics with the same key, value and headers, so that part of
its records is packed once (``pack``) and shared; aiokafka's builder would pack it for
each. The frame around it is a few bytes a record and sixty a batch.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from google_crc32c import value as crc32c

from gateway.log.contract import Headers

MAGIC = 2
# Up to the checksum: offset, length, the leader's epoch, format, checksum.
FRAME = struct.Struct(">qiibI")
LENGTH_FROM = 12  # what the length does not count
# Under the checksum: attributes, last index, times, producer, epoch, sequence, count.
HEADER = struct.Struct(">hiqqqhii")
UNKNOWN = -1  # the leader's epoch, as producers write it
RECORD_BYTES = 20  # of a record's frame, at most


class Sealed(NamedTuple):
    """A batch in the two parts it is made of: a request has megabytes of them."""

    frame: bytes
    body: bytes

    @property
    def size(self) -> int:
        """Bytes of both."""
        return len(self.frame) + len(self.body)


def _varint(number: int) -> bytes:
    number = number << 1 if number >= 0 else (-number << 1) - 1
    packed = bytearray()
    while number > 0x7F:  # noqa: PLR2004 -- seven bits a byte
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    packed.append(number)
    return bytes(packed)


VARINTS = [_varint(number) for number in range(16_384)]
NO_VALUE = _varint(-1)
# Attributes, the time after the batch's, the index: none, none, and small mostly.
HEADS = [b"\0\0" + VARINTS[index] for index in range(4_096)]
NAMES: dict[str, bytes] = {}  # of headers, which are few
NAMES_MAX = 100


def varint(number: int) -> bytes:
    """Zigzag, as all lengths of a record are."""
    return VARINTS[number] if number < len(VARINTS) else _varint(number)


def _name(name: str) -> bytes:
    encoded = name.encode()
    packed = varint(len(encoded)) + encoded
    if len(NAMES) < NAMES_MAX:
        NAMES[name] = packed
    return packed


def pack(key: bytes, value: bytes, headers: Headers) -> bytes:
    """All of a record but its frame; an empty value is none, a tombstone.

    TypeError, AttributeError and the like for what is no entry.
    """
    parts = [varint(len(key)), key]
    parts += (varint(len(value)), value) if value else (NO_VALUE,)
    parts.append(varint(len(headers)))
    for name, text in headers:
        parts += (NAMES.get(name) or _name(name), varint(len(text)), text)
    return b"".join(parts)


def seal(
    packed: Sequence[bytes],
    *,
    producer_id: int,
    epoch: int,
    sequence: int,
    time_ms: int,
) -> Sealed:
    """A batch of these records, ready to be sent."""
    heads, lengths = HEADS, VARINTS
    parts = [b""]
    for index, record in enumerate(packed):
        head = heads[index] if index < len(heads) else b"\0\0" + _varint(index)
        size = len(head) + len(record)
        length = lengths[size] if size < len(lengths) else _varint(size)
        parts += (length, head, record)
    count = len(packed)
    parts[0] = HEADER.pack(
        0, count - 1, time_ms, time_ms, producer_id, epoch, sequence, count
    )
    body = b"".join(parts)
    length_after = FRAME.size - LENGTH_FROM + len(body)
    frame = FRAME.pack(0, length_after, UNKNOWN, MAGIC, crc32c(body))
    return Sealed(frame, body)
