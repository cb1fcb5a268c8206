"""What calls hold of a process together is bounded, and nobody waits for ever."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.actions.space import Room


async def waits(task: "asyncio.Task[None]") -> bool:
    for _ in range(3):
        await asyncio.sleep(0)
    return not task.done()


async def test_who_finds_too_little_waits_until_something_is_given_back() -> None:
    room = Room(10)
    await room.take(6)
    large = asyncio.create_task(room.take(5))
    assert await waits(large)
    small = asyncio.create_task(room.take(1))
    assert await waits(small)  # it would keep the large one out for ever
    room.give(6)
    assert not await waits(large)
    assert not await waits(small)


async def test_what_is_larger_than_all_waits_for_all() -> None:
    room = Room(10)
    await room.take(1)
    larger = asyncio.create_task(room.take(30))
    assert await waits(larger)
    room.give(1)
    assert not await waits(larger)
    other = asyncio.create_task(room.take(1))
    assert await waits(other)
    room.give(30)
    assert not await waits(other)


async def test_who_holds_something_takes_more_at_once() -> None:
    room = Room(10)
    await room.take(10)
    await room.take(10, at_once=True)
    other = asyncio.create_task(room.take(1))
    room.give(10)
    assert await waits(other)
    room.give(10)
    assert not await waits(other)


@pytest.mark.parametrize("given_first", [False, True])
async def test_who_waits_no_more_keeps_nothing(
    given_first: bool,  # noqa: FBT001 -- a parameter of the case
) -> None:
    room = Room(10)
    await room.take(8)
    gone, behind = (asyncio.create_task(room.take(n)) for n in (9, 2))
    assert await waits(gone)
    if given_first:
        room.give(8)  # it is its turn, and it does not know yet
    gone.cancel()
    await asyncio.wait([gone])
    assert gone.cancelled()
    assert not await waits(behind)
    assert await waits(asyncio.create_task(room.take(9)))


async def test_an_end_lets_everybody_in() -> None:
    room = Room(1)
    await room.take(1)
    tasks = [asyncio.create_task(room.take(5)) for _ in range(3)]
    assert await waits(tasks[0])
    room.open()
    assert not any([await waits(each) for each in tasks])
    await room.take(100)


@given(st.lists(st.integers(1, 30), max_size=30), st.integers(1, 20))
def test_everybody_comes_in_and_the_room_is_never_overfull(
    sizes: list[int], size: int
) -> None:
    async def all_of_them() -> None:
        room, held = Room(size), 0

        async def one(wanted: int) -> None:
            nonlocal held
            await room.take(wanted)
            held += wanted
            assert held <= size or held == wanted
            await asyncio.sleep(0)
            held -= wanted
            room.give(wanted)

        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            for each in sizes:
                tasks.create_task(one(each))
        assert held == 0

    asyncio.run(all_of_them())
