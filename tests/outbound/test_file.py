import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.errors import ConfigError
from gateway.outbound import destinations
from gateway.outbound.contract import Delivered, Retry
from gateway.outbound.destinations import file
from tests.outbound.but import but

HOUR_S = 3_600.0


def configured(settings: Any, folder: Path) -> Any:
    return destinations.load("file").configured(settings, name="inbox", folder=folder)


async def refuse(_: Any) -> Any:
    raise AssertionError("a file sends no request")


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[Any]:
    made: Any = configured({"path": "data/inbox.ndjson", **settings}, folder).open(
        refuse
    )
    try:
        yield made
    finally:
        await made.close()


def inbox(folder: Path) -> Path:
    return folder / "data" / "inbox.ndjson"


def ids(path: Path) -> list[str]:
    return [orjson.loads(line)["messageId"] for line in path.read_bytes().splitlines()]


async def test_one_event_a_line_in_the_order_given(
    tmp_path: Path, delivery: Any
) -> None:
    async with opened(tmp_path) as made:
        batch = [delivery(number) for number in range(3)]
        assert await made.deliver(batch) == [Delivered()] * 3
        assert await made.deliver([delivery(3)]) == [Delivered()]
    content = inbox(tmp_path).read_bytes()
    assert content.splitlines()[0] == batch[0].value
    assert content.endswith(b"}\n")
    assert ids(inbox(tmp_path)) == ["m0", "m1", "m2", "m3"]


async def test_lines_are_synced_before_they_count(
    tmp_path: Path, delivery: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def sync(descriptor: int) -> None:
        synced.append(threading.current_thread().name)
        os.fstat(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    async with opened(tmp_path) as made:
        await made.deliver([delivery(1)])
        assert len(synced) == 2  # the lines, and the name of the new file
        await made.deliver([delivery(2)])
        assert len(synced) == 3
    assert {name.split("_")[0] for name in synced} == {"file-inbox"}
    assert not [each for each in threading.enumerate() if "file-inbox" in each.name]


async def test_a_file_is_readable_by_its_owner_only(
    tmp_path: Path, delivery: Any
) -> None:
    async with opened(tmp_path) as made:
        await made.deliver([delivery(1)])
    assert inbox(tmp_path).stat().st_mode & 0o777 == 0o600
    assert inbox(tmp_path).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("cut", [b'{"messageId":"hal', b"\x00\x00\x00", b"x" * 200_000])
async def test_a_line_cut_by_a_crash_is_removed(
    tmp_path: Path, delivery: Any, cut: bytes
) -> None:
    async with opened(tmp_path) as made:
        await made.deliver([delivery(1)])
    with inbox(tmp_path).open("ab") as broken:
        broken.write(cut)
    async with opened(tmp_path) as made:
        await made.deliver([delivery(2)])
    assert ids(inbox(tmp_path)) == ["m1", "m2"]


async def test_a_file_that_is_nothing_but_a_cut_line_begins_anew(
    tmp_path: Path, delivery: Any
) -> None:
    inbox(tmp_path).parent.mkdir()
    inbox(tmp_path).write_bytes(b'{"cut')
    async with opened(tmp_path) as made:
        await made.deliver([delivery(1)])
    assert ids(inbox(tmp_path)) == ["m1"]


async def test_a_whole_line_without_its_end_is_kept(
    tmp_path: Path, delivery: Any
) -> None:
    inbox(tmp_path).parent.mkdir()
    inbox(tmp_path).write_bytes(delivery(1).value)
    async with opened(tmp_path) as made:
        await made.deliver([delivery(2)])
    assert ids(inbox(tmp_path)) == ["m1", "m2"]


async def test_what_a_crash_left_unsettled_is_not_written_again(
    tmp_path: Path, delivery: Any
) -> None:
    async with opened(tmp_path) as made:
        await made.deliver([delivery(number) for number in range(5)])
    async with opened(tmp_path) as made:  # 2, 3, 4 come again: they were not settled
        again = [delivery(number) for number in (2, 3)]
        assert await made.deliver(again) == [Delivered()] * 2
        await made.deliver([delivery(4), delivery(5)])
        assert ids(inbox(tmp_path)) == [f"m{number}" for number in range(6)]
        await made.deliver([delivery(4)])  # and from then on nothing is left out
    assert ids(inbox(tmp_path)) == [*(f"m{number}" for number in range(6)), "m4"]


@pytest.mark.parametrize("call", ["write", "fsync"])
async def test_a_full_disk_is_a_retry_and_leaves_no_half_line(
    tmp_path: Path, delivery: Any, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    async with opened(tmp_path) as made:
        await made.deliver([delivery(1)])
        real = getattr(os, call)

        def fail(descriptor: int, *data: Any) -> int:
            if data:
                real(descriptor, data[0][:10])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, call, fail)
        verdicts = await made.deliver([delivery(2), delivery(3)])
        assert verdicts == [Retry("OSError: No space left on device")] * 2
        monkeypatch.undo()
        assert ids(inbox(tmp_path)) == ["m1"]
        await made.deliver([delivery(2), delivery(3)])
    assert ids(inbox(tmp_path)) == ["m1", "m2", "m3"]


async def test_a_path_that_cannot_be_written_is_a_retry(
    tmp_path: Path, delivery: Any
) -> None:
    inbox(tmp_path).mkdir(parents=True)
    async with opened(tmp_path) as made:
        (verdict,) = await made.deliver([delivery(1)])
    assert isinstance(verdict, Retry)
    assert verdict.reason.startswith("IsADirectoryError")


async def test_it_turns_before_it_gets_too_large(tmp_path: Path, delivery: Any) -> None:
    size = len(delivery(1).value) + 1
    async with opened(tmp_path, rotate_size=f"{3 * size} B") as made:
        for number in range(7):
            await made.deliver([delivery(number)])
    files = sorted(inbox(tmp_path).parent.iterdir())
    assert [ids(each) for each in files] == [
        ["m6"],
        ["m0", "m1", "m2"],
        ["m3", "m4", "m5"],
    ]
    assert all(each.stat().st_size <= 3 * size for each in files)


async def test_a_batch_larger_than_the_file_may_be_is_not_split(
    tmp_path: Path, delivery: Any
) -> None:
    async with opened(tmp_path, rotate_size="10 B") as made:
        await made.deliver([delivery(1), delivery(2)])
    assert ids(inbox(tmp_path)) == ["m1", "m2"]


def test_it_turns_when_its_period_is_over(tmp_path: Path) -> None:
    path = tmp_path / "inbox.ndjson"
    lines = file.Lines(path=path, rotate_size=None, rotate_every_s=HOUR_S)
    ten = 10 * HOUR_S
    for at_s, text in [(ten, b"1\n"), (ten + 3_599, b"2\n"), (ten + 3_600, b"3\n")]:
        lines.append([text], at_s)
        os.utime(path, (at_s, at_s))
    assert path.read_bytes() == b"3\n"
    (turned,) = tmp_path.glob("inbox.ndjson.*")
    assert turned.name == "inbox.ndjson.19700101T110000.000Z"
    assert turned.read_bytes() == b"1\n2\n"


def test_two_turns_in_one_millisecond_overwrite_nothing(tmp_path: Path) -> None:
    path = tmp_path / "inbox.ndjson"
    lines = file.Lines(path=path, rotate_size=1, rotate_every_s=None)
    for number in range(4):
        lines.append([b"%d\n" % number], 5.0)
    written = sorted(each.read_bytes() for each in tmp_path.iterdir())
    assert written == [b"0\n", b"1\n", b"2\n", b"3\n"]


async def test_equal_lines_of_a_mapping_are_all_written_after_a_restart_too(
    tmp_path: Path, delivery: Any
) -> None:
    for number in range(2):
        async with opened(tmp_path) as made:
            mapped = but(delivery(number), fields={"plan": "pro"})
            assert await made.deliver([mapped]) == [Delivered()]
    assert inbox(tmp_path).read_bytes() == b'{"plan":"pro"}\n' * 2


async def test_a_file_moved_away_is_begun_anew(tmp_path: Path, delivery: Any) -> None:
    async with opened(tmp_path) as made:
        await made.deliver([delivery(1)])
        inbox(tmp_path).rename(tmp_path / "moved")
        await made.deliver([delivery(2)])
    assert ids(inbox(tmp_path)) == ["m2"]


async def test_closing_waits_for_what_is_being_written(
    tmp_path: Path, delivery: Any
) -> None:
    async with opened(tmp_path) as made:
        writing = asyncio.create_task(made.deliver([delivery(1)]))
        await asyncio.sleep(0)
    assert ids(inbox(tmp_path)) == ["m1"]
    assert await writing == [Delivered()]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "path: missing"),
        ({"path": " "}, "path: ' ' is not a path"),
        ({"path": "a", "rotate_size": "big"}, "rotate_size: 'big' is not a size"),
        ({"path": "a", "rotate_every": "10"}, "rotate_every: '10' is not a duration"),
        ({"path": "a", "rotate": "1h"}, "rotate: unknown key; known are: path,"),
    ],
)
def test_a_mistake_names_the_key(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(settings, Path())
    assert str(caught.value).startswith(f"destinations.inbox.settings.{words}")
