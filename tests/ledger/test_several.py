"""Several processes on Kafka, one ledger: the mixed load, whoever of them is asked."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.test_mixed import (
    TRANSFORM,
    Answers,
    balanced,
    check,
    closed,
    config_of,
    expected_at,
    get,
    replayed,
    send,
    stories,
)
from tests.path.clustered import House
from tests.path.running import PATIENCE_S, Gateway, Webhook

pytestmark = pytest.mark.service
SHARED = "hook", "pro"  # the others have one writer each


async def shared_by(*workers: Gateway) -> None:
    """Return once every worker has partitions of what they share."""
    async with asyncio.timeout(PATIENCE_S):
        for worker in workers:
            while not await has_partitions(worker):
                await asyncio.sleep(0.1)


async def has_partitions(worker: Gateway) -> bool:
    async with worker.session.get(f"{worker.admin}/readyz") as answer:
        here = (await answer.json())["destinations"]
    return all(here[name]["lag"] is not None for name in SHARED)


async def test_every_message_is_explained_by_whoever_is_asked(
    tmp_path: Path, node: Any
):
    answers = Answers()
    (tmp_path / "clean.py").write_text(TRANSFORM)
    async with (
        Webhook() as hook,
        House(tmp_path, hook, node, config_of(hook)) as house,
    ):
        hook.judge = answers
        keeper = await house.add("worker", *SHARED, "tracks", "clean")
        async with asyncio.timeout(PATIENCE_S):
            while (await get(keeper, "/v1/ledger"))[0] != 200:
                await asyncio.sleep(0.1)
        other = await house.add("worker", *SHARED, "people")
        intake = await house.add("intake")
        await shared_by(keeper, other)
        await send(intake)

        account = await closed(keeper)
        first = await stories(keeper)
        check(first, answers)
        balanced(account)
        for line in account:
            if line["source"] == "web":
                wanted = expected_at(line["destination"])
                assert line["admitted"] == wanted.total()
                found = {kind: line[kind] for kind in wanted}
                assert found == dict(wanted), line["destination"]
        # the other reads the same file; the intake has none, and its command does
        assert await closed(other) == account
        assert await stories(other) == first
        for gateway in (keeper, other, intake):
            code, out, err = await gateway.command("explain", "valid-0")
            assert code == 0, err
            assert "hook: delivered" in out
            code, out, err = await gateway.command("account")
            assert (code, out.count(" hook ")) == (0, 2), (out, err)
            if gateway is not keeper:
                code, _, err = await gateway.command("ledger", "rebuild")
                assert code != 0
                assert keeper.process is not None
                assert f"keeps this ledger, process {keeper.process.pid}" in err

        await keeper.kill()
        code, out, err = await until_kept(other)
        assert await closed(other) == account
        assert await stories(other) == first

        await keeper.start()  # now the other way around
        assert await closed(keeper) == account
        assert await stories(keeper) == first
        await replayed(other, hook, account, first)


async def until_kept(gateway: Gateway) -> tuple[int, str, str]:
    """Make it anew there, as soon as it has taken the ledger over."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            done = await gateway.command("ledger", "rebuild")
            if done[0] == 0:
                return done
            await asyncio.sleep(0.5)
