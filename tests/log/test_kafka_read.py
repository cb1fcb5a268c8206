"""What a reading without a group leaves behind: nothing."""

import gc
from contextlib import aclosing
from typing import Any

import pytest
from aiokafka.consumer.fetcher import PartitionRecords

from gateway.log.contract import Span
from tests.log.backends import KafkaBackend, numbered

pytestmark = pytest.mark.service


def fetched() -> int:
    """Fetches of which nobody has taken all records, kept by anything."""
    return sum(isinstance(each, PartitionRecords) for each in gc.get_objects())


async def test_a_reading_that_ends_early_keeps_nothing_of_what_it_fetched(
    kafka: KafkaBackend,
):
    """Not even until the next collection: a page or a story makes several of them."""
    async with kafka.opened() as log:
        await log.append(numbered(2_000))
        gc.collect()
        before = fetched()
        gc.disable()
        try:
            for _ in range(3):
                records: Any = log.scan("to.crm", Span())
                async with aclosing(records):
                    await anext(records)
            assert fetched() == before
        finally:
            gc.enable()
