"""How far a group is behind: the ends of its partitions, asked for now and then.

What comes in: marks. What goes out: what is left above them, and whether retention will
soon delete some of it. A paused reader fetches nothing, so the ends are asked for.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from gateway.log.kafka.marks import Group
from gateway.log.kafka.read import ANSWER_S
from gateway.log.marks import Marks

OVERDUE = 0.8  # of the retention: from then on /readyz says so (DESIGN §6)
ENDS_S = 5.0  # how often the ends are asked for


class Ends:
    """The ends of the partitions of one topic, as far as heard of."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._full = group.topics.full(group.topic)
        self.known: dict[int, int] = {}
        self.overdue = False
        """What is not settled is so old that retention will soon delete it."""

    def lag(
        self,
        marks: Mapping[int, Marks],
        fetched: Callable[[TopicPartition], int | None],
    ) -> int:
        """From the ends last heard of: ``fetched``, written from here, or asked for."""
        lag = 0
        for number, mark in marks.items():
            tp = TopicPartition(self._full, number)
            written = self._group.appender.ends.get(tp, 0)
            end = max(fetched(tp) or 0, written, self.known.get(number, 0))
            lag += max(end - mark.mark - mark.above, 0)
        return lag

    async def refresh(
        self, consumer: AIOKafkaConsumer, marks: Mapping[int, Marks]
    ) -> None:
        """Ask the brokers; those that do not answer are asked the next time."""
        places = [TopicPartition(self._full, number) for number in marks]
        retention_s = self._group.topics.retention_s(self._group.topic)
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_S):  # behind a fetch that waits
                ends = await consumer.end_offsets(places)
                self.known |= {tp.partition: end for tp, end in ends.items()}
                if retention_s is None:
                    self.overdue = False
                    return
                old_ms = int((time.time() - OVERDUE * retention_s) * 1000)
                young = await consumer.offsets_for_times(dict.fromkeys(places, old_ms))
            self.overdue = any(
                marks[tp.partition].mark < (at.offset if at else ends[tp])
                for tp, at in young.items()
            )
