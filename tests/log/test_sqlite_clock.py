"""A clock that is wrong for a while costs no record, and heals when it is set right."""

import pytest

from gateway.log.contract import Entry
from gateway.log.sqlite.log import SqliteLog
from tests.log.backends import Clock, SqliteBackend, count, numbered, scanned, upkeep

TEN_YEARS_S = 315_360_000.0
HOUR_S, DAY_S = 3_600.0, 86_400.0
KEPT = ("events", "to.crm", "outcomes", "dead.crm", "refused")


async def some_of_each(log: SqliteLog, number: int) -> None:
    await log.append([Entry(topic, b"k", b"%d" % number) for topic in KEPT])


def jumps(sqlite: SqliteBackend) -> list[int]:
    return [f["seconds"] for code, f in sqlite.told if code == "log_clock_jumped"]


@pytest.mark.parametrize("back", [True, False])
async def test_a_clock_that_jumps_ahead_deletes_nothing_for_an_hour(
    sqlite: SqliteBackend, *, back: bool
) -> None:
    clock = Clock()
    async with sqlite.opened(clock=clock, retention_s=7 * DAY_S) as log:
        await some_of_each(log, 1)
        await upkeep(log)
        clock.wrong_by = TEN_YEARS_S
        for number in range(5):
            clock.now += HOUR_S / 6
            await some_of_each(log, number)
            await upkeep(log)
        if back:
            clock.wrong_by = 0.0
        await upkeep(log)
        for topic in KEPT:
            assert len(await scanned(log, topic)) == 6
        assert jumps(sqlite) == [TEN_YEARS_S, -TEN_YEARS_S][: 1 + back]
        clock.now += HOUR_S  # nobody has set it right: then it is as late as it says
        await upkeep(log)
        await upkeep(log)
        assert len(await scanned(log, "outcomes")) == (6 if back else 5)


@pytest.mark.parametrize("restarts", [False, True])
async def test_retention_works_again_after_a_clock_was_ahead(
    sqlite: SqliteBackend, *, restarts: bool
) -> None:
    clock = Clock()
    log = await sqlite.open(clock=clock, retention_s=7 * DAY_S)
    await some_of_each(log, 0)
    await upkeep(log)
    clock.wrong_by = TEN_YEARS_S
    for number in range(1, 700):
        await some_of_each(log, number)
    clock.wrong_by = 0.0
    await some_of_each(log, 700)
    if restarts:
        await log.close()
        log = await sqlite.open(clock=clock, retention_s=7 * DAY_S)
    await upkeep(log)
    newest = (await scanned(log, "outcomes"))[-1]
    assert newest.appended_at_ms > (clock() + TEN_YEARS_S - 1) * 1000  # never falling
    clock.now += HOUR_S + 1
    await upkeep(log)
    await some_of_each(log, 701)
    for topic in KEPT:
        times = [record.appended_at_ms for record in await scanned(log, topic)]
        assert len(times) == 702
        assert times == sorted(times)
        assert times[0] == 1_700_000_000_000
        assert times[1] == times[-1] == clock() * 1000
    from_ms = int((clock.now - 60) * 1000)
    assert len(await scanned(log, "dead.crm", from_ms=from_ms)) == 701
    clock.now += 8 * DAY_S
    for _ in range(3):
        await upkeep(log)
        clock.now += 2
    assert not await scanned(log, "outcomes")
    assert not await scanned(log, "dead.crm")
    assert count(sqlite, "records") == 702  # to.crm: nobody has read it yet
    await log.close()


async def test_a_clock_that_was_never_set_takes_no_time_back(
    sqlite: SqliteBackend,
) -> None:
    """A machine without a battery starts in 1970: it is the clock that is behind."""
    clock = Clock()
    async with sqlite.opened(clock=clock) as log:
        await log.append(numbered(3))
    clock.wrong_by = -1_700_000_000.0
    async with sqlite.opened(clock=clock) as log:
        clock.now += 2 * HOUR_S
        await upkeep(log)
        await log.append(numbered(1, start=3))
        times = [record.appended_at_ms for record in await scanned(log)]
        assert times == [1_700_000_000_000] * 4
        assert len(jumps(sqlite)) == 1


async def test_a_small_correction_is_no_jump(sqlite: SqliteBackend) -> None:
    clock = Clock()
    async with sqlite.opened(clock=clock, retention_s=HOUR_S) as log:
        await log.append(numbered(1, "outcomes"))
        await upkeep(log)
        clock.wrong_by = -2.0
        await log.append(numbered(1, "outcomes"))
        first, second = await scanned(log, "outcomes")
        assert first.appended_at_ms == second.appended_at_ms  # monotonic
        clock.now += HOUR_S + 5
        await upkeep(log)
        assert not await scanned(log, "outcomes")
        assert not jumps(sqlite)
