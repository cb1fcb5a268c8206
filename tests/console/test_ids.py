"""A message has its page, and leads to what was made of it, whatever its id is."""

import asyncio
import html
import re

import pytest

from gateway.console.page import literal, segment
from gateway.outbound.when import Filter
from tests.console.test_guard import gateway, visitor  # noqa: F401 -- fixtures
from tests.whole import PATIENCE_S

IDS = ("a/b", "50%", "%2F", "{x}", "${ID}", "a?b=c#d", "it's `q`", 'a"b\\', "日本", " ")
LINK = re.compile(r'href="(/events/[^"]+)"')


async def test_every_message_that_is_listed_leads_to_its_page(gateway, visitor):  # noqa: F811
    for each in IDS:
        assert await gateway.post({"userId": "ann", "messageId": each}) == 200
    await visitor.enter()
    links: set[str] = set()
    async with asyncio.timeout(PATIENCE_S):
        while len(links) < len(IDS):
            _, text = await visitor.get("/events")
            links = {html.unescape(each) for each in LINK.findall(text)}
    assert links == {f"/events/{segment(each)}" for each in IDS}
    _, live = await visitor.get("/live")
    assert links == {html.unescape(each) for each in LINK.findall(live)}
    for link in links:
        status, text = await visitor.get(link)
        assert status == 200, link
        assert "Admitted" in text


@pytest.mark.parametrize("message_id", IDS)
def test_an_expression_means_one_id_and_no_other(message_id):
    wanted = Filter(f"messageId == {literal(message_id)}", place="where")
    assert wanted.chooses({"messageId": message_id})
    assert not wanted.chooses({"messageId": f"{message_id}x"})
