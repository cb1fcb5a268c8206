"""One timer for all: who is told that its time is over, and when."""

import asyncio

from gateway.outbound.deadlines import Deadlines


class Told:
    def __init__(self) -> None:
        self.times = 0
        self.over = asyncio.Event()

    def expire(self) -> None:
        self.times += 1
        self.over.set()


async def over(each: Told) -> None:
    await asyncio.wait_for(each.over.wait(), 5.0)


async def test_each_is_told_once_and_in_the_order_of_time() -> None:
    deadlines, now_s = Deadlines(), asyncio.get_running_loop().time()
    late, soon, last = Told(), Told(), Told()
    deadlines.add(late, now_s + 0.05)
    deadlines.add(soon, now_s + 0.01)  # earlier than the timer that is set
    deadlines.add(last, now_s + 0.09)
    await over(soon)
    assert (late.times, last.times) == (0, 0)
    await over(late)
    assert last.times == 0
    await over(last)
    assert [each.times for each in (soon, late, last)] == [1, 1, 1]
    assert len(deadlines) == 0


async def test_who_has_ended_is_not_told() -> None:
    deadlines, now_s = Deadlines(), asyncio.get_running_loop().time()
    ended, other = Told(), Told()
    deadlines.add(ended, now_s + 0.01)
    deadlines.add(other, now_s + 0.03)
    deadlines.discard(ended)
    deadlines.discard(ended)
    await over(other)
    assert ended.times == 0


async def test_after_all_have_ended_the_next_is_told() -> None:
    deadlines, loop = Deadlines(), asyncio.get_running_loop()
    first = Told()
    deadlines.add(first, loop.time() + 0.01)
    deadlines.discard(first)
    await asyncio.sleep(0.03)  # the timer rings for nobody
    second = Told()
    deadlines.add(second, loop.time() + 0.01)
    await over(second)


async def test_all_can_be_told_now_and_who_ends_another_is_no_trouble() -> None:
    deadlines, until_s = Deadlines(), asyncio.get_running_loop().time() + 60.0
    second = Told()

    class First(Told):
        def expire(self) -> None:
            super().expire()
            deadlines.discard(second)

    first = First()
    deadlines.add(first, until_s)
    deadlines.add(second, until_s)
    deadlines.expire_all()
    assert (first.times, second.times) == (1, 0)
    deadlines.close()


async def test_closed_they_tell_nobody() -> None:
    deadlines, told = Deadlines(), Told()
    deadlines.add(told, asyncio.get_running_loop().time() + 0.01)
    deadlines.close()
    await asyncio.sleep(0.03)
    assert told.times == 0
