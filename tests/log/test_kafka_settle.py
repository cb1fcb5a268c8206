"""Settles of one subscription on Kafka: one commit at a time, and its deadline."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.errors import LogError
from gateway.log.contract import Record
from gateway.log.kafka.settle import Offsets, Settler
from gateway.log.marks import Marks


class Commits:
    """A group with partition 0 alone, and a broker that answers when it is let."""

    def __init__(self, timeout_s: float = 30.0) -> None:
        topics = SimpleNamespace(full=lambda topic: f"x.{topic}")
        group: Any = SimpleNamespace(
            topic="to.crm", name="crm", topics=topics, timeout_s=timeout_s
        )
        self.marks = {0: Marks()}
        self.seen: list[int] = []
        self.begun = asyncio.Event()
        self.answer = asyncio.Event()
        self.settler = Settler(group, self._assigned, self._commit)

    async def _assigned(self) -> Mapping[int, Marks]:
        return self.marks

    async def _commit(self, offsets: Offsets) -> None:
        self.begun.set()
        await self.answer.wait()
        self.seen += [committed.offset for committed in offsets.values()]

    def settle(self, *offsets: int, partition: int = 0) -> "asyncio.Task[None]":
        records = [
            Record("to.crm", partition, offset, b"", b"", (), 0) for offset in offsets
        ]
        return asyncio.create_task(self.settler.settle(records))


async def test_who_settles_during_a_commit_shares_the_next_one() -> None:
    commits = Commits()
    first = commits.settle(0)
    await commits.begun.wait()
    rest = [commits.settle(offset) for offset in (3, 1, 2)]
    await asyncio.sleep(0)
    assert commits.marks[0].mark == 0  # nothing is shown before it is durable
    commits.answer.set()
    await asyncio.gather(first, *rest)
    assert commits.seen == [1, 4]
    assert commits.marks[0].mark == 4


async def test_what_is_of_a_partition_of_others_is_not_committed() -> None:
    commits = Commits()
    commits.answer.set()
    await commits.settle(5, partition=1)
    assert commits.seen == []
    assert not commits.begun.is_set()


async def test_a_commit_that_is_not_answered_marks_nothing() -> None:
    commits = Commits(timeout_s=0.01)
    with pytest.raises(LogError, match="commit of crm"):
        await commits.settle(0)
    commits.answer.set()
    await commits.settle(0)
    assert commits.seen == [1]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), asyncio.CancelledError()])
async def test_who_settles_hears_of_whatever_ends_the_commit(
    error: BaseException,
) -> None:
    commits = Commits()

    def fail() -> None:
        raise error

    commits.begun.set = fail  # type: ignore[method-assign]
    with pytest.raises(LogError, match="commit of crm"):
        await commits.settle(0)
    del commits.begun.set
    commits.answer.set()
    await commits.settle(0)
    assert commits.seen == [1]


async def test_a_rebalance_may_give_up_the_commit_under_way_even_twice() -> None:
    """The second time its deadline is over, and it has not ended yet."""
    commits = Commits()
    commits.settler.give_up()  # nothing is under way
    settled = commits.settle(0)
    await commits.begun.wait()
    commits.settler.give_up()
    await asyncio.sleep(0)
    commits.settler.give_up()
    with pytest.raises(LogError, match="commit of crm"):
        await settled
    assert commits.seen == []
    assert commits.marks[0].mark == 0
    await commits.settler.finish()
    commits.settler.give_up()
