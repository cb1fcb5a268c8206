"""Our packing of a produce request against aiokafka's codec: the oracle."""

from io import BytesIO

import pytest
from aiokafka import TopicPartition
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from hypothesis import given
from hypothesis import strategies as st

from gateway.log.kafka_request import Produce, Produced

NAMES = st.text("abcdefghijklmnopqrstuvwxyz.-_", min_size=1, max_size=30)
PLACES = st.builds(TopicPartition, NAMES, st.integers(0, 2**31 - 1))
VERSIONS = {0: (3, 12)}


@given(st.dictionaries(PLACES, st.binary(max_size=50), min_size=1, max_size=9))
def test_a_request_is_what_aiokafka_would_send(
    batches: dict[TopicPartition, bytes],
) -> None:
    by_topic: dict[str, list[tuple[int, bytes]]] = {}
    for place, batch in batches.items():
        by_topic.setdefault(place.topic, []).append((place.partition, batch))
    expected = ProduceRequest_v7(None, -1, 5000, list(by_topic.items())).encode()
    packed = Produce(batches, timeout_ms=5000).prepare(VERSIONS)
    assert packed.encode() == expected
    assert (packed.API_KEY, packed.API_VERSION) == (0, 7)


@given(
    st.dictionaries(
        PLACES, st.tuples(st.integers(-1, 99), st.integers(-1, 2**63 - 1)), max_size=9
    )
)
def test_an_answer_is_read_as_aiokafka_reads_it(
    results: dict[TopicPartition, tuple[int, int]],
) -> None:
    by_topic: dict[str, list[tuple[int, int, int, int, int]]] = {}
    for (topic, number), (code, offset) in results.items():
        by_topic.setdefault(topic, []).append((number, code, offset, 17, 3))
    data = ProduceResponse_v7(list(by_topic.items()), 0).encode()
    assert Produced.decode(BytesIO(data)).results == results
    assert Produced.decode(data).results == results


def test_a_broker_that_is_too_old_is_refused() -> None:
    with pytest.raises(NotImplementedError):
        Produce({}, timeout_ms=1).prepare({0: (0, 6)})
