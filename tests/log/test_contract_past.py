"""The promises of log/contract.py on what is settled; every backend keeps them."""

import pytest

from gateway.log.contract import Entry, EventLog, Past
from tests.log.backends import numbered, past, polled


@pytest.mark.parametrize("limit", [1, 3, 6, 100])
async def test_before_committed_is_the_newest_settled(
    log: EventLog, limit: int
) -> None:
    await log.append(numbered(10))
    async with log.subscribe("to.crm", group="crm") as subscription:
        records = await subscription.poll(limit=10, timeout_s=5)
        settled = [records[n] for n in (0, 1, 2, 5, 6, 9)]
        await subscription.settle(settled)
        assert await past(subscription, limit, ("source", "replay")) == [
            Past(0, each.offset, each.appended_at_ms, (b"web", b""))
            for each in settled[-limit:]
        ]
        assert list(await subscription.poll(limit=10, timeout_s=0.01)) == []


async def test_before_committed_has_the_headers_that_are_asked_for(
    log: EventLog,
) -> None:
    source = ("source", b"web")
    every = [
        (source, ("messageId", b"m1")),
        (("messageId", b"m\n2"), source, ("type", b"track")),
        (),
        (source, ("replay", b"r1")),
    ]
    await log.append([Entry("to.crm", b"ann", b"{}", headers) for headers in every])
    names = ("messageId", "replay", "source")
    async with log.subscribe("to.crm", group="crm") as subscription:
        await subscription.settle(await subscription.poll(limit=4, timeout_s=5))
        assert [each.headers for each in await past(subscription, 4, names)] == [
            (b"m1", b"", b"web"),
            (b"m\n2", b"", b"web"),
            (b"", b"", b""),
            (b"", b"r1", b"web"),
        ]
        assert [each.headers for each in await past(subscription, 1, ())] == [()]


async def test_before_committed_finds_headers_that_topics_do_not_share(
    log: EventLog,
) -> None:
    common = (("source", b"web"),)
    shared = b"{}"
    await log.append(
        [
            Entry("to.crm", b"ann", shared, (*common, ("replay", b"r1"))),
            Entry("to.other", b"ann", shared, common),
        ]
    )
    async with log.subscribe("to.crm", group="crm") as subscription:
        await subscription.settle(await subscription.poll(limit=1, timeout_s=5))
        (found,) = await past(subscription, 1, ("replay", "source"))
        assert found.headers == (b"r1", b"web")


async def test_before_committed_of_a_new_group_is_empty(log: EventLog) -> None:
    await log.append(numbered(4_500))
    async with log.subscribe("to.crm", group="crm") as subscription:
        assert await past(subscription, 10) == []
        records = await polled(subscription, 4_500)
        await subscription.settle(records)
        before = await past(subscription, 4_400)
        assert [r.offset for r in before] == [r.offset for r in records[100:]]
