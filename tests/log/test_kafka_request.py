"""Our produce request against the codec and the connection of aiokafka: the oracle."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError
from aiokafka.protocol.produce import (
    ProduceRequest,
    ProduceRequest_v7,
    ProduceResponse_v7,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.log.kafka.wire.record import Sealed
from gateway.log.kafka.wire.request import JOINED_MAX, Produced, post, request

NAMES = st.text("abcdefghijklmnopqrstuvwxyz.-_", min_size=1, max_size=30)
PLACES = st.builds(TopicPartition, NAMES, st.integers(0, 2**31 - 1))
SEALED = st.builds(Sealed, st.binary(max_size=20), st.binary(max_size=50))
PLACE = TopicPartition("events", 3)
VERSIONS = {0: (3, 12)}


class Writer:
    """What a connection writes to."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, parts: list[bytes]) -> None:
        self.written += b"".join(parts)


class Broken(Writer):
    def write(self, data: bytes) -> None:
        del data
        raise ConnectionResetError


def connection(
    writer: Writer | None, versions: dict[int, tuple[int, int]] = VERSIONS
) -> Any:
    """A connection of aiokafka that is open, as far as writing goes."""
    made = AIOKafkaConnection("127.0.0.1", 9092, client_id="gateway-é")
    made._writer, made._versions = writer, versions
    return made


def by_topic(
    batches: dict[TopicPartition, Sealed],
) -> list[tuple[str, list[tuple[int, bytes]]]]:
    found: dict[str, list[tuple[int, bytes]]] = {}
    for place, sealed in batches.items():
        found.setdefault(place.topic, []).append((place.partition, b"".join(sealed)))
    return list(found.items())


@given(st.dictionaries(PLACES, SEALED, min_size=1, max_size=9))
def test_a_request_is_what_aiokafka_would_send(
    batches: dict[TopicPartition, Sealed],
) -> None:
    expected = ProduceRequest_v7(None, -1, 5000, by_topic(batches)).encode()
    assert b"".join(request(batches, timeout_ms=5000)) == expected


@pytest.mark.parametrize("size", [10, JOINED_MAX])
async def test_it_is_written_as_aiokafka_writes_it_and_answered(size: int) -> None:
    batches = {PLACE: Sealed(b"frame", b"x" * size)}
    ours, theirs = Writer(), Writer()
    other = connection(theirs)
    sent = other.send(
        ProduceRequest(
            transactional_id=None,
            required_acks=-1,
            timeout=5000,
            topics=by_topic(batches),
        ),
        expect_response=True,
    )
    sent.close()
    mine = connection(ours)
    answer = post(mine, request(batches, timeout_ms=5000))
    # aiokafka takes the newest version it knows: the same but for the number of it.
    assert ours.written[:6] + theirs.written[6:8] + ours.written[8:] == theirs.written
    number = mine._requests[0][0]
    data = ProduceResponse_v7([("events", [(3, 0, 41, -1, 0)])], 0).encode()
    mine._handle_frame(number.to_bytes(4, "big") + data)
    assert (await answer).results == {PLACE: (0, 41)}
    assert not mine._requests


async def test_a_lost_connection_is_an_error_of_the_request() -> None:
    parts = request({PLACE: Sealed(b"frame", b"body")}, timeout_ms=1)
    with pytest.raises(KafkaConnectionError):
        post(connection(None), parts)
    broken = connection(Broken())
    broken._read_task = SimpleNamespace(done=lambda: True)
    with pytest.raises(KafkaConnectionError):
        post(broken, parts)
    assert not broken.connected()


@given(
    st.dictionaries(
        PLACES, st.tuples(st.integers(-1, 99), st.integers(-1, 2**63 - 1)), max_size=9
    )
)
def test_an_answer_is_read_as_aiokafka_reads_it(
    results: dict[TopicPartition, tuple[int, int]],
) -> None:
    by_name: dict[str, list[tuple[int, int, int, int, int]]] = {}
    for (topic, number), (code, offset) in results.items():
        by_name.setdefault(topic, []).append((number, code, offset, 17, 3))
    data = ProduceResponse_v7(list(by_name.items()), 0).encode()
    assert Produced.decode(BytesIO(data)).results == results
    assert Produced.decode(data).results == results


async def test_a_broker_that_is_too_old_is_refused() -> None:
    old = connection(Writer(), {0: (0, 6)})
    with pytest.raises(IncompatibleBrokerVersion, match="not 7"):
        post(old, [b""])
