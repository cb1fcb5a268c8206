"""``gateway alerts test``: a sample to everyone who is named, and what each said."""

import asyncio
import time
from collections.abc import Mapping

from gateway.alerts.message import sample
from gateway.alerts.settings import Alerts, alerts_of
from gateway.alerts.tell import Failed, channels
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.outbound.send import open_ways
from gateway.parts import check


def test(config: Config) -> int:
    """Print a line a channel; 0 when all took it. One try each."""
    check(config)
    settings = alerts_of(config)
    if not settings.tells:
        text = 'alerts: nobody is named: set webhook, slack, or command = ["..."]'
        raise ConfigError(text)
    said = asyncio.run(_tried(config, settings))
    for name, failed in said.items():
        print(f"{name}: {'told' if failed is None else failed.why}")
    return 1 if any(said.values()) else 0


async def _tried(config: Config, settings: Alerts) -> Mapping[str, Failed | None]:
    async with open_ways(config.server, config.egress) as ways:
        made = channels(settings, ways.send(settings.timeout_s), config.folder)
        message = sample(time.time_ns() // 1_000_000)
        return {name: await tell(message) for name, tell in made.items()}
