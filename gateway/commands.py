"""What the commands do to a log: beside a running gateway, or without one.

SQLite's file belongs to one process. When a gateway runs, it is asked through its
admin port, whose address and token stand in the lock file; else the file is opened.
"""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from gateway import app
from gateway.config import Config
from gateway.control import missing
from gateway.errors import ConfigError, LogError
from gateway.event import Json
from gateway.log import DECLARED, EventLog, Span, open_log, read_owner
from gateway.log.lines import line
from gateway.notices import Notices
from gateway.outbound.when import Filter
from gateway.parts import check, declared_of, topics_of

TIMEOUT_S = 30.0


def topics(config: Config) -> Sequence[Mapping[str, Json]]:
    """Every topic with size, groups and lag."""
    owner = _owner(config)
    if owner is not None:
        with _ask(owner, "/control/topics", timeout_s=TIMEOUT_S) as response:
            found: list[Mapping[str, Json]] = json.loads(response.read())
            return found

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
    """The records of a topic as JSON lines; ``where`` is judged on the value."""
    wanted = Filter(where, place="--where") if where else None
    owner = _owner(config)
    if owner is not None:
        query = {"from": from_ms, "until": until_ms, "follow": int(follow)}
        given = {name: value for name, value in query.items() if value is not None}
        path = f"/control/read/{quote(topic, safe='')}?{urlencode(given)}"
        found = _lines_of(owner, path, follow=follow)
    else:
        span = Span(from_ms=from_ms, until_ms=until_ms)
        found = _own_lines(config, topic, span, follow=follow)
    for each in found:
        if wanted is None or wanted.passes(orjson.loads(each)["value"]):
            yield each


def replaying(
    config: Config, asked: Mapping[str, Json]
) -> Iterator[Mapping[str, Json]]:
    """Run a replay, step by step; stopping to listen stops it."""
    owner = _owner(config)
    if owner is None:
        yield from _own_replay(config, asked)
        return
    body = orjson.dumps(asked)
    with _ask(owner, "/control/replay", timeout_s=None, body=body) as response:
        while piece := response.readline():
            yield orjson.loads(piece)


def _own_replay(
    config: Config, asked: Mapping[str, Json]
) -> Iterator[Mapping[str, Json]]:
    parts = check(config)
    with asyncio.Runner() as runner:
        log = runner.run(_open(config, complete=True))
        try:
            steps = aiter(app.replaying_on(log, config, parts, asked))
            while (step := runner.run(_next(steps))) is not None:
                yield step
        finally:
            runner.run(log.close())


def _lines_of(owner: Mapping[str, Any], path: str, *, follow: bool) -> Iterator[bytes]:
    with _ask(owner, path, timeout_s=None if follow else TIMEOUT_S) as response:
        while piece := response.readline():
            yield piece


def _own_lines(
    config: Config, topic: str, span: Span, *, follow: bool
) -> Iterator[bytes]:
    """Scan on a loop of our own, a record at a time."""
    with asyncio.Runner() as runner:
        log = runner.run(_open(config))
        try:
            if (problem := runner.run(missing(log, topic))) is not None:
                raise ConfigError(problem)
            records = aiter(log.scan(topic, span, follow=follow))
            while (record := runner.run(_next(records))) is not None:
                yield line(record)
        finally:
            runner.run(log.close())


def _owner(config: Config) -> Mapping[str, Any] | None:
    """The process that has the log open, when only one can."""
    return read_owner(config.log.path) if config.log.kind == "sqlite" else None


async def _next(records: AsyncIterator[Any]) -> Any:
    return await anext(records, None)


async def _open(config: Config, *, complete: bool = False) -> EventLog:
    """The log, opened here; ``complete`` makes the topics that are missing."""
    if config.log.kind == "sqlite" and not config.log.path.exists():
        raise LogError(f"{config.log.path}: no log here; start the gateway first")
    return await open_log(
        config.log,
        config.limits,
        topics=topics_of(config) if complete else (),
        declared=declared_of(check(config)) if complete else DECLARED,
        notices=Notices(),
    )


async def _with_own_log(config: Config, work: Any) -> Any:
    log = await _open(config, complete=True)
    try:
        return await work(log)
    finally:
        await log.close()


def _ask(
    owner: Mapping[str, Any],
    path: str,
    *,
    timeout_s: float | None,
    body: bytes | None = None,
) -> http.client.HTTPResponse:
    if "admin" not in owner:
        pid = owner.get("pid")
        raise LogError(f"process {pid} holds the log and has no admin port (yet)")
    url = urlsplit(owner["admin"])
    connection = http.client.HTTPConnection(url.netloc, timeout=timeout_s)
    try:
        headers = {"Authorization": f"Bearer {owner['token']}"}
        method = "GET" if body is None else "POST"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
    except OSError as error:
        raise LogError(f"the gateway at {owner['admin']}: {error}") from error
    if response.status in (http.client.NOT_FOUND, http.client.BAD_REQUEST):
        raise ConfigError(json.loads(response.read())["message"])
    if response.status != http.client.OK:
        raise LogError(f"the gateway at {owner['admin']} answers {response.status}")
    return response


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
