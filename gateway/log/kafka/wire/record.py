"""A batch of records in Kafka's format 2, packed by hand.

An event goes to several topics with the same key, value and headers, so that part of
its records is packed once (``Packer``) and shared; batches of the same records share
all of them (``Joined``). aiokafka's builder would pack them for each. The frame around
a record is a few bytes, around a batch sixty.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from google_crc32c import extend as crc32c_extended
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
    """A batch in two parts: its own head, and records that other batches may share."""

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


def _head(index: int) -> bytes:
    """Attributes, time after the batch's, index: none, none, and small mostly."""
    return b"\0\0" + _varint(index)


VARINTS = [_varint(number) for number in range(16_384)]
NO_VALUE = _varint(-1)
HEADS = [_head(index) for index in range(4_096)]
NAMES: dict[str, bytes] = {}  # of headers, which are few
NAMES_MAX = 100
COUNT_AT = 4  # the number of headers, among the parts of a record
HEADER_PARTS = 3


def varint(number: int) -> bytes:
    """Zigzag, as all lengths of a record are."""
    return VARINTS[number] if number < len(VARINTS) else _varint(number)


def _name(name: str) -> bytes:
    encoded = name.encode()
    packed = varint(len(encoded)) + encoded
    if len(NAMES) < NAMES_MAX:
        NAMES[name] = packed
    return packed


class Packer:
    """Packs records one after another: all of each but its frame.

    The records of one event share key, value and most headers, as the same objects:
    what the one before has, too, is packed once.
    """

    __slots__ = ("_headers", "_key", "_parts", "_value")

    def __init__(self) -> None:
        self._key = self._value = b""
        self._headers: Headers = ()
        self._parts: list[bytes] = []

    def pack(self, key: bytes, value: bytes, headers: Headers) -> bytes:
        """An empty value is none, a tombstone.

        TypeError, AttributeError and the like for what is no entry.
        """
        parts, count = self._parts, len(headers)
        if (
            parts
            and value is self._value
            and key is self._key
            and headers == self._headers[:count]
        ):
            parts[COUNT_AT] = varint(count)
            del parts[COUNT_AT + 1 + HEADER_PARTS * count :]
        else:
            self._parts = []  # until all of it is good
            parts = _parts(key, value, headers)
            self._key, self._value = key, value
        self._headers, self._parts = headers, parts
        return b"".join(parts)


def _parts(key: bytes, value: bytes, headers: Headers) -> list[bytes]:
    """A record in five parts, and three for each header."""
    small, size, most = VARINTS, len(key), len(VARINTS)  # calls cost more than the rest
    parts = [small[size] if size < most else _varint(size), key]
    parts += (varint(len(value)), value) if value else (NO_VALUE, b"")
    parts.append(varint(len(headers)))
    for name, text in headers:
        size = len(text)
        parts += (
            NAMES.get(name) or _name(name),
            small[size] if size < most else _varint(size),
            text,
        )
    return parts


def join(packed: Sequence[bytes]) -> bytes:
    """The records of a batch, each in its frame."""
    count = len(packed)
    heads = HEADS[:count] if count <= len(HEADS) else list(map(_head, range(count)))
    parts = [b""] * (3 * count)
    parts[0::3] = [
        varint(len(head) + len(record))
        for head, record in zip(heads, packed, strict=True)
    ]
    parts[1::3] = heads
    parts[2::3] = packed
    return b"".join(parts)


class Joined:
    """The records of a request, joined once where several batches have the same.

    Destinations that get the same events have them in their partitions of one number.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[Sequence[bytes], bytes]] = {}

    def of(self, partition: int, packed: Sequence[bytes]) -> bytes:
        """``join`` of these, or of the last batch of this number if it is the same."""
        last = self._last.get(partition)
        if last is None or last[0] != packed:
            last = self._last[partition] = packed, join(packed)
        return last[1]


def seal(
    records: bytes,
    count: int,
    *,
    producer_id: int,
    epoch: int,
    sequence: int,
    time_ms: int,
) -> Sealed:
    """A batch of so many joined records, ready to be sent."""
    header = HEADER.pack(
        0, count - 1, time_ms, time_ms, producer_id, epoch, sequence, count
    )
    length_after = FRAME.size - LENGTH_FROM + len(header) + len(records)
    checksum = crc32c_extended(crc32c(header), records)
    frame = FRAME.pack(0, length_after, UNKNOWN, MAGIC, checksum)
    return Sealed(frame + header, records)
