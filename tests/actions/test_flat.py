"""A sidecar's memory and time do not grow with the events that it has seen."""

import asyncio
import resource
from pathlib import Path

import pytest

from gateway.outbound.contract import Delivered
from gateway.outbound.http import Request, Response
from tests.actions.fakes import Fake

PAGE = resource.getpagesize()
TICKS = 100  # a second, of /proc/PID/stat
MIB = 1024 * 1024
AT_ONCE = 32


def rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def deliver(fake: Fake, deed: str, events: int) -> None:
    left = iter(range(events))

    async def work() -> None:
        for number in left:
            assert await fake.do(deed, number, number) == Delivered(200)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    fake.said.clear()


@pytest.mark.service
async def test_answers_are_kept_nowhere(tmp_path: Path) -> None:
    """The package would keep each of them: twice what its heap may hold."""

    async def answer(request: Request) -> Response:
        return Response(status=200, body=b"x" * (MIB // 16))

    async with Fake(tmp_path) as fake:
        fake.answer = answer
        await deliver(fake, "say", AT_ONCE)
        pid = fake.pid
        await deliver(fake, "say", 4_096)
        assert fake.pid == pid
    assert fake.notices == []


@pytest.mark.service
@pytest.mark.soak
@pytest.mark.parametrize("deed", ["say", "tags"])
async def test_20_000_events_leave_it_as_it_was(tmp_path: Path, deed: str) -> None:
    async with Fake(tmp_path) as fake:
        await deliver(fake, deed, 10_000)
        pid = fake.pid
        assert pid is not None
        used, warm = cpu_s(pid), rss(pid)
        await deliver(fake, deed, 5_000)
        early = cpu_s(pid) - used
        await deliver(fake, deed, 10_000)
        used = cpu_s(pid)
        await deliver(fake, deed, 5_000)
        late = cpu_s(pid) - used
        grown = rss(pid) - warm
        assert fake.pid == pid
    print(f"{deed}: {grown / MIB:+.1f} MiB, {early / 0.005:.0f} us, {late / 0.005:.0f}")
    assert abs(grown) < 20 * MIB
    assert late < 1.5 * early
