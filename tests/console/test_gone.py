"""What the past knows and the configuration does not: what is no more there."""

import asyncio
import re

from tests.console.test_guard import gateway, visitor  # noqa: F401 -- fixtures
from tests.whole import PATIENCE_S


async def test_a_destination_that_was_removed_says_where_its_past_is(visitor):  # noqa: F811
    await visitor.enter()
    for path in ("/destinations/former", "/dead/former"):
        status, text = await visitor.get(path)
        assert status == 404
        assert "has no destination former" in text
        assert "gateway read dead.former" in text


async def test_a_replay_of_the_command_line_is_no_page_that_was_deleted(visitor):  # noqa: F811
    await visitor.enter()
    status, text = await visitor.get("/replays/20260115T101214-abcdef")
    assert status == 404
    assert "no replay 20260115T101214-abcdef" in text
    assert "deleted by its age" not in text


async def test_a_search_for_a_name_that_is_gone_keeps_it_in_its_form(visitor):  # noqa: F811
    await visitor.enter()
    path = "/events?destination=former&source=web"
    async with asyncio.timeout(PATIENCE_S):
        while (found := await visitor.get(path))[0] == 503:  # no ledger was made yet
            await asyncio.sleep(0.05)
    _, text = found
    chosen = re.findall(r"<option selected>([^<]*)", text)
    assert chosen == ["web", "former"]
