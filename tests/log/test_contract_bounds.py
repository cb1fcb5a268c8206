"""The promises of log/contract.py on bounds: caps, deadlines, an end that comes."""

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.errors import LogError
from gateway.log.contract import Entry, EventLog
from tests.log.backends import (
    PATIENCE_S,
    Backend,
    entry,
    numbered,
    refuse,
    scanned,
    taken,
    until,
    values,
)


async def test_append_refuses_beyond_the_cap(backend: Backend) -> None:
    async with backend.opened(waiting_bytes=100_000) as log:
        with backend.stuck(log):
            appends = [
                asyncio.create_task(log.append([entry(value="x" * 30_000)]))
                for _ in range(5)
            ]
            await until(lambda: sum(append.done() for append in appends) == 2)
            for append in appends:
                if append.done():
                    error = append.exception()
                    assert isinstance(error, LogError)
                    assert error.code == "overloaded"
            assert 90_000 <= log.waiting_bytes <= 100_000
        await asyncio.gather(*appends, return_exceptions=True)
        assert log.waiting_bytes == 0
        assert log.has_room()
        assert len(await scanned(log)) == 3


async def test_has_room_is_false_at_the_cap(backend: Backend) -> None:
    async with backend.opened(waiting_bytes=10_000) as log:
        assert log.has_room()
        with backend.stuck(log):
            # Larger than the cap, yet taken: it would never be otherwise.
            append = asyncio.create_task(log.append([entry(value="x" * 20_000)]))
            await asyncio.sleep(0)
            assert not log.has_room()
        await append
        assert log.has_room()


async def test_append_has_a_deadline(backend: Backend) -> None:
    async with backend.opened(append_timeout_s=0.1) as log:
        started = time.monotonic()
        with backend.stuck(log), pytest.raises(LogError) as caught:
            await log.append([entry(value="late")])
        assert caught.value.code == "log_unavailable"
        assert 0.09 < time.monotonic() - started < PATIENCE_S
        await taken(lambda: log.append([entry(value="next")]))
        assert values(await scanned(log))[-1] == "next"


async def test_a_failed_append_is_freed_at_once(backend: Backend) -> None:
    """Memory is flat without waiting for the collector of cycles, which is rare."""
    async with backend.opened(append_timeout_s=0.1) as log:
        gc.collect()
        gc.disable()
        try:
            with backend.stuck(log):
                refused = await refuse(log)
            await until(lambda: not any(entries() for entries in refused))
        finally:
            gc.enable()


async def test_what_waited_too_long_is_not_written_later(backend: Backend) -> None:
    async with backend.opened(append_timeout_s=0.1) as log:
        with backend.stuck(log) as stuck:
            first = asyncio.create_task(log.append([entry(value="first")]))
            await until(stuck)  # it is being written: the others wait
            being_written = log.waiting_bytes
            waiting = [asyncio.create_task(log.append(numbered(1))) for _ in range(20)]
            results = await asyncio.gather(first, *waiting, return_exceptions=True)
            assert all(isinstance(result, LogError) for result in results)
            assert log.waiting_bytes == being_written
        await taken(lambda: log.append([entry(value="next")]))
        await until(lambda: log.waiting_bytes == 0)
        assert set(values(await scanned(log))) <= {"first", "next"}


async def test_a_cancelled_append_leaves_nothing_waiting(backend: Backend) -> None:
    async with backend.opened() as log:
        with backend.stuck(log) as stuck:
            first = asyncio.create_task(log.append([entry(value="first")]))
            await until(stuck)
            being_written = log.waiting_bytes
            appends = [asyncio.create_task(log.append(numbered(1))) for _ in range(20)]
            await asyncio.sleep(0)
            assert log.waiting_bytes > being_written
            for append in appends:
                append.cancel()
            await asyncio.wait(appends)
            assert log.waiting_bytes == being_written
        await first
        await log.append([entry(value="next")])
        assert log.waiting_bytes == 0
        assert values(await scanned(log)) == ["first", "next"]


async def test_one_bad_entry_harms_only_its_append(log: EventLog) -> None:
    wrong: Any = "a text"
    bad = Entry("to.crm", b"k", b"v", (("source", wrong),))
    results = await asyncio.gather(
        log.append(numbered(1)),
        log.append([bad]),
        log.append(numbered(1, start=1)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), LogError, type(None)]
    assert values(await scanned(log)) == ["0", "1"]


async def test_ping_says_whether_an_append_would_be_taken(backend: Backend) -> None:
    async with backend.opened(append_timeout_s=0.1) as log:
        await log.ping()
        with backend.stuck(log), pytest.raises(LogError):
            await log.ping()
        await taken(log.ping)


async def test_close_finishes_what_waits(backend: Backend) -> None:
    log = await backend.open()
    appends = [asyncio.create_task(log.append(numbered(1, start=n))) for n in range(9)]
    await asyncio.sleep(0)
    await log.close()
    await asyncio.gather(*appends)
    async with backend.opened() as log:
        assert values(await scanned(log)) == [str(n) for n in range(9)]


CALLS: list[Callable[[EventLog], Awaitable[object]]] = [
    lambda log: log.append(numbered(1)),
    lambda log: log.ping(),
    lambda log: log.subscribe("to.crm", group="crm").__aenter__(),
    scanned,
]


@pytest.mark.parametrize("call", CALLS, ids=["append", "ping", "follow", "scan"])
async def test_a_closed_log_says_so(
    backend: Backend, call: Callable[[EventLog], Awaitable[object]]
) -> None:
    log = await backend.open()
    await log.close()
    await log.close()
    with pytest.raises(LogError, match="closed"):
        await call(log)


async def test_close_wakes_who_polls(backend: Backend) -> None:
    log = await backend.open()
    async with log.subscribe("to.crm", group="crm") as subscription:
        poll = asyncio.create_task(subscription.poll(limit=1, timeout_s=60))
        await asyncio.sleep(0)
        await log.close()
        with pytest.raises(LogError, match="closed"):
            await poll


async def test_close_leaves_no_thread(backend: Backend) -> None:
    before = threading.active_count()
    async with backend.opened() as log:
        await log.append(numbered(1))
        await scanned(log)
        assert threading.active_count() >= before
    assert threading.active_count() == before


async def test_close_does_not_wait_for_ever(backend: Backend) -> None:
    log = await backend.open(append_timeout_s=0.1)
    with backend.stuck(log) as stuck:
        append = asyncio.create_task(log.append(numbered(1)))
        await until(stuck)
        async with asyncio.timeout(PATIENCE_S):  # the store hangs until it has closed
            await log.close()
            with pytest.raises(LogError):
                await append
