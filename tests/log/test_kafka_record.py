"""Our packing of records, read by aiokafka: the oracle of the format."""

from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from gateway.log.contract import Headers
from gateway.log.kafka.wire.record import Joined, Packer, join, seal

TEXTS = st.text(max_size=40)
BYTES = st.one_of(st.binary(max_size=200), st.just(b"x" * 20_000))
HEADERS = st.lists(st.tuples(TEXTS, st.binary(max_size=300)), max_size=6).map(tuple)
EVENTS = st.tuples(st.binary(max_size=100), BYTES, HEADERS)
RECORDS = st.lists(EVENTS, min_size=1)
COUNTS = st.lists(st.integers(0, 6), min_size=1, max_size=4)  # of an entry's headers
INT32, INT64 = st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1)


def read(batch: bytes) -> tuple[Any, list[Any]]:
    records = MemoryRecords(batch)
    assert records.has_next()
    found = records.next_batch()
    assert found.validate_crc()
    assert not records.has_next()
    return found, list(found)


def packed(records: list[tuple[bytes, bytes, Headers]]) -> list[bytes]:
    packer = Packer()
    return [packer.pack(*record) for record in records]


def sealed(records: list[bytes], **changes: int) -> bytes:
    numbers = {
        "producer_id": 5,
        "epoch": 0,
        "sequence": 0,
        "time_ms": 1_790_000_000_000,
    }
    return b"".join(seal(join(records), len(records), **{**numbers, **changes}))


@given(RECORDS, INT64, st.integers(0, 2**15 - 1), INT32, st.integers(0, 2**52))
def test_aiokafka_reads_what_was_packed(
    records: list[tuple[bytes, bytes, Headers]],
    producer_id: int,
    epoch: int,
    sequence: int,
    time_ms: int,
) -> None:
    batch = seal(
        join(packed(records)),
        len(records),
        producer_id=producer_id,
        epoch=epoch,
        sequence=sequence,
        time_ms=time_ms,
    )
    frame, found = read(b"".join(batch))
    assert [(r.key, r.value or b"", tuple(r.headers)) for r in found] == records
    assert [r.offset for r in found] == list(range(len(records)))
    assert {r.timestamp for r in found} == {time_ms}
    assert (frame.producer_id, frame.producer_epoch) == (producer_id, epoch)
    assert frame.base_sequence == sequence
    assert (frame.magic, frame.is_transactional, frame.is_control_batch) == (2, 0, 0)


@given(st.lists(st.tuples(EVENTS, COUNTS), min_size=1))
def test_what_the_entries_of_an_event_share_is_packed_right(
    events: list[tuple[tuple[bytes, bytes, Headers], list[int]]],
) -> None:
    records = [
        (key, value, headers[:count])
        for (key, value, headers), counts in events
        for count in counts
    ]
    alone = [Packer().pack(*record) for record in records]
    assert packed(records) == alone


def test_after_what_is_no_record_the_next_is_packed_right() -> None:
    packer, key, value = Packer(), b"key", b"value"
    whole = packer.pack(key, value, (("a", b"1"), ("b", b"2")))
    with pytest.raises(TypeError):
        packer.pack(key, value, (("c", None),))  # type: ignore[arg-type]
    assert packer.pack(key, value, (("a", b"1"), ("b", b"2"))) == whole


def test_an_empty_value_is_no_value() -> None:
    _, (record,) = read(sealed(packed([(b"k", b"", ())])))
    assert (record.key, record.value) == (b"k", None)


def test_a_batch_of_many_small_records() -> None:
    """Beyond what is packed beforehand: indexes of three bytes."""
    _, found = read(sealed(packed([(b"%d" % n, b"v", ()) for n in range(20_000)])))
    assert [int(record.key) for record in found] == list(range(20_000))


def test_batches_of_the_same_records_share_them() -> None:
    first, second = packed([(b"k", b"v", ())]), packed([(b"k", b"w", ())])
    joined = Joined()
    one = joined.of(3, first)
    assert one == join(first)
    assert joined.of(3, list(first)) is one
    assert joined.of(4, first) == one
    assert joined.of(3, second) == join(second)
    assert joined.of(3, first + second) == join(first + second)
