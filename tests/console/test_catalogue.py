"""What events are called and made of, and which of it no plan has, on a page."""

import asyncio
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.config import parse
from gateway.console import catalogue
from tests.console.test_guard import CONFIG, visiting
from tests.whole import PATIENCE_S, running

PLAN = {"events": {"Order": {"properties": {"total": {"type": "number"}}}}}
PLANNED = CONFIG.replace("[destinations", 'schema = "plan.json"\n[destinations')
OUTSIDE = "not in the plan"


def track(number: int, name: str = "Order", **properties: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "userId": "u1",
        "messageId": f"m{number}",
        "event": name,
        "properties": properties,
    }


async def page(
    folder: Path,
    config: str,
    *messages: Any,
    query: str = "range=all",
    words: str = "Order",
) -> str:
    """The page, once it has these words."""
    (folder / "plan.json").write_text(json.dumps(PLAN))
    whole = parse(config, folder=folder, environment={})
    async with running(whole) as gateway, visiting(gateway) as visitor:
        await visitor.enter()
        if messages:
            assert await gateway.post({"batch": [*messages]}, "/v1/batch") == 200
        async with asyncio.timeout(PATIENCE_S):
            while True:
                _, text = await visitor.get(f"/catalogue?{query}")
                if words in text:
                    return text
                await asyncio.sleep(0.05)


def summaries(text: str) -> list[str]:
    """What is said of each kind while it is closed."""
    found = re.findall(r"<summary>(.*?)</summary>", text, re.DOTALL)
    return [re.sub(r"<[^>]*>|\s+", " ", each) for each in found]


async def test_events_and_fields_outside_the_plan_are_marked(tmp_path: Path) -> None:
    sent = [track(1, total=5, note="Ann"), track(2, total=6), track(3, "Ordr", x=1)]
    text = await page(tmp_path, PLANNED, *sent)
    typo, order = summaries(text)
    assert "Ordr" in typo
    assert OUTSIDE in typo
    assert f"1 {OUTSIDE}" in order
    assert "1 of these is not in the tracking plan" in text
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", text, re.DOTALL)
    told = {re.findall(r"<code>(.*?)</code>", row)[0]: row for row in rows}
    assert OUTSIDE in told["properties.note"]
    assert OUTSIDE not in told["properties.total"]
    assert "xxx" in told["properties.note"]
    assert "50" in told["properties.note"]
    assert "Ann" not in text


async def test_without_a_plan_it_says_how_to_get_one(tmp_path: Path) -> None:
    text = await page(tmp_path, CONFIG, track(1, total=5), query="range=24+h")
    assert "gateway plan detect --source web" in text
    assert OUTSIDE not in text


async def test_it_is_bounded_and_says_what_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "NAMES_MAX", 1)
    monkeypatch.setattr(catalogue, "FIELDS_MAX", 2)
    sent = [track(1, a=1, b=2, c=3), track(2, a=1), track(3, "Other")]
    text = await page(tmp_path, CONFIG, *sent)
    assert len(summaries(text)) == 1
    assert "1 fields are not shown here" in text
    assert "And 1 rarer ones" in text


async def test_what_a_page_has_no_room_for_has_a_page_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "ROWS_MAX", 2)
    sent = [*(track(n, a=1, b=2) for n in range(3)), track(9, "A & B", c=3)]
    text = await page(tmp_path, CONFIG, *sent)
    assert "properties.b" in text
    assert "properties.c" not in text
    (link,) = re.findall(r'href="([^"]*)">they alone', text)
    assert html.unescape(link) == "/catalogue?range=all&source=web&name=A%20%26%20B"
    query = html.unescape(link).partition("?")[2]
    alone = await page(tmp_path, CONFIG, query=query, words="properties.c")
    assert len(summaries(alone)) == 1
    assert 'href="/catalogue">All of it' in alone


async def test_before_anything_is_sent_it_says_what_to_do(tmp_path: Path) -> None:
    empty = "Nothing was sent in this time"
    assert empty in await page(tmp_path, CONFIG, words=empty)


async def test_without_a_ledger_it_says_how_to_switch_it_on(tmp_path: Path) -> None:
    off = f"{CONFIG}\n[ledger]\nenabled = false\n"
    text = await page(tmp_path, off, words="There is no ledger")
    assert "enabled = true" in text
