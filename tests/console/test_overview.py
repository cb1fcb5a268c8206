"""What the first page says before anything came, and after it."""

from pathlib import Path

from gateway.config import parse
from tests.console.test_guard import CONFIG, visiting
from tests.whole import running

WELCOME = "Nothing has been sent yet"


async def test_a_gateway_that_was_started_again_does_not_say_that_nothing_came(
    tmp_path: Path,
) -> None:
    config = parse(CONFIG, folder=tmp_path, environment={})
    async with running(config) as gateway, visiting(gateway) as visitor:
        assert await visitor.enter() == 200
        assert WELCOME in (await visitor.get("/"))[1]
        assert await gateway.post({"userId": "ann"}) == 200
    async with running(config) as gateway, visiting(gateway) as visitor:
        assert await visitor.enter() == 200
        status, text = await visitor.get("/")
        assert status == 200
        assert WELCOME not in text
