"""What the commands do to a log: beside a running gateway, or without one.

When a gateway holds the log it is asked through its admin port; else the log is opened
here. What only some commands need is imported by them: `read` needs no server.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from gateway.admin.client import Client, running
from gateway.config import Config
from gateway.errors import ConfigError, LogError
from gateway.event import Json
from gateway.log import EventLog, Span, open_log
from gateway.log.lines import lines as received
from gateway.log.lines import missing
from gateway.notices import Notices
from gateway.outbound.when import Filter
from gateway.token import console_token
from gateway.topics import Declare, keep_all


def asking(config: Config) -> Client | None:
    """The gateway that runs with this configuration, opened by the console's token."""
    if (gateway := running(config.log)) is not None:
        return gateway.opened_by(console_token(config).text)
    if config.log.kind == "kafka":
        gateway = Client({"admin": f"http://{config.server.admin_listen}"})
        gateway = gateway.opened_by(console_token(config).text)
        return gateway if gateway.answers() else None
    return None


def topics(config: Config) -> Sequence[Mapping[str, Json]]:
    """Every topic with size, groups and lag."""
    if (gateway := running(config.log)) is not None:
        return gateway.topics()

    async def own(log: EventLog) -> Sequence[Mapping[str, Json]]:
        return [asdict(topic) for topic in await log.topics()]

    return asyncio.run(_with_own_log(config, own))


def lines(
    config: Config,
    topic: str,
    *,
    from_ms: int | None,
    until_ms: int | None,
    follow: bool,
    where: str | None,
) -> Iterator[bytes]:
    """The records of a topic as JSON lines; ``where`` is judged on the value.

    Times are judged on receivedAt.
    """
    wanted = Filter(where, place="--where") if where else None
    span = Span(from_ms=from_ms, until_ms=until_ms)
    if (gateway := running(config.log)) is not None:
        found = gateway.lines(topic, span, follow=follow)
    else:
        found = _own_lines(config, topic, span, follow=follow)
    for each in found:
        if wanted is None or wanted.chooses(orjson.loads(each)["value"]):
            yield each


def replaying(
    config: Config, asked: Mapping[str, Json]
) -> Iterator[Mapping[str, Json]]:
    """Run a replay, step by step; stopping to listen stops it.

    Where somebody delivers, the steps tell what comes of it.
    """
    if (gateway := running(config.log)) is not None:
        yield from gateway.replay({**asked, "ends": True})
        return
    asked = {**asked, "ends": config.log.kind == "kafka"}
    from gateway.parts import check  # noqa: PLC0415 -- see the module
    from gateway.replay.rules import steps  # noqa: PLC0415 -- see the module

    parts, notices = check(config), Notices()
    with asyncio.Runner() as runner:
        log = runner.run(_open(config, complete=True))
        try:
            going = aiter(steps(log, config, parts, asked, notices))
            while (step := runner.run(_next(going))) is not None:
                yield step
        finally:
            runner.run(log.close())


def _own_lines(
    config: Config, topic: str, span: Span, *, follow: bool
) -> Iterator[bytes]:
    """Scan on a loop of our own, a record at a time."""
    with asyncio.Runner() as runner:
        log = runner.run(_open(config))
        try:
            if (problem := runner.run(missing(log, topic))) is not None:
                raise ConfigError(problem)
            found = aiter(received(log, topic, span, follow=follow))
            while (line := runner.run(_next(found))) is not None:
                if len(line) > 1:
                    yield line
        finally:
            runner.run(log.close())


async def _next(records: AsyncIterator[Any]) -> Any:
    return await anext(records, None)


async def open_own(config: Config) -> EventLog:
    """The log, opened here and complete; LogError when a process has it."""
    return await _open(config, complete=True)


async def _open(config: Config, *, complete: bool = False) -> EventLog:
    """The log, opened here; ``complete`` makes the topics that are missing."""
    if config.log.kind == "sqlite" and not config.log.path.exists():
        raise LogError(f"{config.log.path}: no log here; start the gateway first")
    topics: Sequence[str] = ()
    declared: Declare = keep_all
    if complete:
        from gateway.parts import check, declared_of, topics_of  # noqa: PLC0415 -- see the module

        parts = check(config)
        topics, declared = topics_of(config, parts), declared_of(config, parts)
    return await open_log(
        config.log, config.limits, topics=topics, declared=declared, notices=Notices()
    )


async def _with_own_log(config: Config, work: Any) -> Any:
    log = await _open(config, complete=True)
    try:
        return await work(log)
    finally:
        await log.close()


def as_json(found: Sequence[Mapping[str, Json]]) -> str:
    """``gateway topics --json``: one array."""
    return orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()


def as_table(found: Sequence[Mapping[str, Json]]) -> str:
    """``gateway topics`` for a person: a line a topic, a line a group."""
    rows = [("TOPIC", "RECORDS", "BYTES", "GROUP", "COMMITTED", "LAG")]
    for topic in found:
        head = (topic["name"], str(topic["records"]), str(topic["bytes"]))
        groups = topic["groups"] or [{"name": "-", "committed": "-", "lag": "-"}]
        for group in groups:
            tail = (group["name"], str(group["committed"]), str(group["lag"]))
            rows.append((*head, *tail))
            head = ("", "", "")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )
