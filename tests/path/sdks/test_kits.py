"""What the SDK tests need is fetched once, and what is missing is named."""

import fcntl
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore

import pytest

from tests.path.sdks import kits


@pytest.mark.parametrize("name", kits.REMEDIES)
def test_a_missing_program_fails_and_says_what_to_install(monkeypatch, name):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        RuntimeError, match=f"need {name}: install {kits.REMEDIES[name]}"
    ):
        kits.program(name)


def test_a_kit_is_made_once_for_its_lock_and_again_after_a_failure(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lock = tmp_path / "lock"
    lock.write_text("1")
    made = []

    def fill(folder):
        made.append(folder)
        if len(made) == 1:
            raise RuntimeError("the network is away")
        folder.joinpath("kit").touch()

    with pytest.raises(RuntimeError):
        kits.cached("kit", [lock], fill)
    folder = kits.cached("kit", [lock], fill)
    assert kits.cached("kit", [lock], fill) == folder
    assert len(made) == 2
    lock.write_text("2")
    assert kits.cached("kit", [lock], fill) != folder
    assert len(made) == 3


def test_a_kit_is_made_once_by_all_who_want_it_at_the_same_time(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lock = tmp_path / "lock"
    lock.write_text("1")
    queue, made, flock = Semaphore(0), [], fcntl.flock

    def queued(*arguments):
        queue.release()
        flock(*arguments)

    def fill(folder):
        for _ in range(4):
            assert queue.acquire(timeout=10)  # all of them found nothing
        made.append(folder)
        folder.joinpath("kit").touch()

    monkeypatch.setattr(fcntl, "flock", queued)
    with ThreadPoolExecutor(4) as pool:
        wanted = [pool.submit(kits.cached, "kit", [lock], fill) for _ in range(4)]
        assert all(each.result().joinpath("kit").exists() for each in wanted)
    assert len(made) == 1
