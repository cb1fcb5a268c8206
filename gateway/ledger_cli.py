"""``gateway explain ID``, ``account``, ``plan detect``, ``ledger rebuild``.

Asked of whoever can tell: a running gateway through its admin port, with the console's
token. Where none runs the ledger is read here, with the log beside it.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeVar
from urllib.parse import quote, urlencode

import orjson

from gateway.admin.client import Client
from gateway.commands import asking, open_own
from gateway.config import Config
from gateway.errors import ConfigError, LogError
from gateway.event import Json, iso
from gateway.ledger.account import Accountant
from gateway.ledger.account import as_text as as_table
from gateway.ledger.catalogue import Asked
from gateway.ledger.catalogue import catalogue as catalogue_of
from gateway.ledger.contract import ElsewhereError, LedgerError
from gateway.ledger.detect import detect
from gateway.ledger.follow import Catching
from gateway.ledger.queries import Queries
from gateway.ledger.settings import Ledger, ledger_of
from gateway.ledger.store import Store
from gateway.ledger.story import Now, Teller
from gateway.ledger.tallies import FOR_EVER_MS
from gateway.log import EventLog
from gateway.parts import all_previews, check
from gateway.terminal import plain
from gateway.wing import Shows

T = TypeVar("T")
WAIT_S = 0.2
USE_IT = (
    "to use it: write it to a file, read it, and name it in [sources.{0}] as schema, at"
    ' first with violation = "flag" and on_unplanned = "flag"; `gateway check` reads it'
)
GONE_S = (
    60.0  # a gateway that rebuilds its ledger reads at least something in that time
)


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Print what is ``asked``; 0 when there is an answer."""
    if arguments.asked == "rebuild":
        return _show_rebuild(config)
    if arguments.asked == "plan":
        return _show_plan(config, arguments)
    show = _show_account if arguments.asked == "account" else _show_story
    return show(config, arguments)


def _show_story(config: Config, arguments: argparse.Namespace) -> int:
    """LedgerError: nobody knows the id; ConfigError: a file that is not there."""
    given = arguments.file
    try:
        told = story(config, given)
    except (LedgerError, LogError) as error:
        text = f"{given}: is no file, and cannot be looked up as a message id: {error}"
        missing = isinstance(error, LedgerError)
        raise (ConfigError(text) if missing else LogError(text)) from error
    if told is None:
        text = f"{given}: is no file, and the ledger has no message with this id"
        raise ConfigError(text) if _names_a_file(given) else LedgerError(text)
    print(as_json(told) if arguments.json else plain(as_text(told)))
    return 0


def _names_a_file(given: str) -> bool:
    """Whether it was meant as a path: then it was asked wrongly."""
    return "/" in given or given.endswith(".json")


def _show_account(config: Config, arguments: argparse.Namespace) -> int:
    told = account(config, arguments.start, arguments.until)
    print(as_json(told) if arguments.json else plain(as_table(told)))
    return 0


def _show_plan(config: Config, arguments: argparse.Namespace) -> int:
    """The plan on stdout; what to know of it on stderr."""
    source = config.source(arguments.source).name
    told = catalogue(config, source, arguments.start, arguments.until)
    plan, remarks = detect(told["kinds"])
    if not plan["events"] and "traits" not in plan:
        text = "the ledger has no identify and no track of it"
        raise ConfigError(f"--source {source}: {text}: send some, or ask for more time")
    if not told["whole"]:
        remarks = [*remarks, "more was sent than is told at once: ask for less time"]
    print(as_json(plan))
    for each in (*remarks, USE_IT.format(source)):
        print(plain(each), file=sys.stderr)
    return 0


def _show_rebuild(config: Config) -> int:
    for left in rebuild(config):
        print(f"{left} records to read", file=sys.stderr)
    print("ok: the ledger is made anew")
    return 0


def story(config: Config, message_id: str) -> Mapping[str, Json] | None:
    """What became of a message; None: no ledger has seen it, or no longer."""
    if (gateway := _running(config)) is not None:
        return gateway.found(f"/v1/events/{quote(message_id, safe='')}")

    async def tell(
        store: Store, log: EventLog, shows: Shows
    ) -> Mapping[str, Json] | None:
        return await Teller(store, log, Now.of(config, shows)).tell(message_id)

    return asyncio.run(_here(config, tell))


def account(
    config: Config, from_ms: int | None, until_ms: int | None
) -> Mapping[str, Json]:
    """What was admitted in [from, until), and what became of it."""
    if (gateway := _running(config)) is not None:
        given = {"from": from_ms, "until": until_ms}
        query = {name: iso(at) for name, at in given.items() if at is not None}
        told = gateway.found(f"/v1/account?{urlencode(query)}")
        assert told is not None
        return told

    async def tell(store: Store, log: EventLog, shows: Shows) -> Mapping[str, Json]:
        del shows
        return await Accountant(store, log).account(from_ms, until_ms)

    return asyncio.run(_here(config, tell))


def catalogue(
    config: Config, source: str, from_ms: int | None, until_ms: int | None
) -> Mapping[str, Json]:
    """What a source sent, with its fields, in [from, until); None: of all times."""
    if (gateway := _running(config)) is not None:
        query = {"source": source}
        given = {"from": from_ms, "until": until_ms}
        query |= {name: iso(at) for name, at in given.items() if at is not None}
        told = gateway.found(f"/v1/catalogue?{urlencode(query)}")
        assert told is not None
        return told
    until = FOR_EVER_MS if until_ms is None else until_ms
    asked = Asked(from_ms or 0, until, source)

    async def tell(store: Store, log: EventLog, shows: Shows) -> Mapping[str, Json]:
        del log, shows
        return await store.ask(lambda c: catalogue_of(Queries(c), asked, {}))

    return asyncio.run(_here(config, tell))


def rebuild(config: Config) -> Iterator[int]:
    """Drop the ledger and make it again from the log; yields the records to read yet.

    In a running gateway, which goes on meanwhile; else here, until it is whole.
    """
    if (gateway := _running(config)) is None:
        yield from _rebuild_here(config)
        return
    gateway.do("/v1/ledger/rebuild")
    left, since_s = -1, time.monotonic()
    while left != 0:
        time.sleep(WAIT_S)
        told = gateway.found("/v1/ledger") or {}
        if told["behind"] != left:
            left, since_s = told["behind"], time.monotonic()
            yield left
        elif time.monotonic() - since_s > GONE_S:
            raise LogError(f"the ledger stands still with {left} records to read")


def _rebuild_here(config: Config) -> Iterator[int]:
    settings = _settings(config)
    with asyncio.Runner() as runner:
        log = runner.run(open_own(config))
        store = Store.of(settings, writes=True)
        catching = Catching(store, log)
        try:
            runner.run(_begun(catching))
            while (left := runner.run(catching.step())) > 0:
                yield left
            yield 0
        finally:
            runner.run(store.close())
            runner.run(log.close())


async def _begun(catching: Catching) -> None:
    try:
        await catching.begin()
    except ElsewhereError as error:
        text = f"{error}: use the configuration of that one, or stop it first"
        raise LedgerError(text) from error


def _settings(config: Config) -> Ledger:
    settings = ledger_of(config)
    if not settings.enabled:
        raise ConfigError("ledger.enabled: is false, so nothing was kept")
    return settings


def _running(config: Config) -> Client | None:
    """The gateway that runs with this configuration and has the ledger, or reads it.

    An intake does not: the file is read here then. ConfigError without a ledger.
    """
    _settings(config)
    gateway = asking(config)
    if gateway is None or config.log.kind == "sqlite":
        return gateway
    return gateway if gateway.found("/v1/ledger") is not None else None


async def _here(
    config: Config, tell: Callable[[Store, EventLog, Shows], Awaitable[T]]
) -> T:
    """Without a gateway: the ledger itself, and the log if it is there."""
    settings = _settings(config)
    if settings.url is None and not settings.file.exists():
        raise LedgerError(f"{settings.file}: no ledger here; start the gateway first")
    parts = check(config)
    log, store = await open_own(config), Store.of(settings, writes=False)
    try:
        async with all_previews(config, parts) as shows:
            return await tell(store, log, shows)
    finally:
        await store.close()
        await log.close()


def as_json(told: Mapping[str, Json]) -> str:
    """One JSON object."""
    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()


def as_text(told: Mapping[str, Json]) -> str:
    """A story for a person: a line a fact, requests and the event as JSON."""
    lines = [f"message {told['messageId']}"]
    for found in told["found"]:
        lines += _found_lines(found)
    return "\n".join(lines)


def _found_lines(found: Mapping[str, Json]) -> Iterator[str]:
    replay = f", replay {found['replay']}" if found["replay"] else ""
    yield f"{found['kind']} {found['receivedAt']} from {found['source']}{replay}"
    for fault in found["errors"]:
        place = fault["pointer"] or "(the message)"
        yield f"  {place}: {fault['message']} [{fault['code']}]"
    for change in found["changes"]:
        yield f"  {change['path']}: {change['why']}, was {_short(change['from'])}"
    for end in found["destinations"]:
        yield from _end_lines(end)
    if found["event"] is not None:
        yield "  event"
        yield _indented(found["event"])
    elif found["kind"] == "refused" and found["asSent"] is not None:
        yield "  as it was sent"
        yield _indented(found["asSent"])
    else:
        yield "  the log has it no more: this is what the ledger kept"


def _end_lines(end: Mapping[str, Json]) -> Iterator[str]:
    rule = f", {end['rule']}" if end["rule"] else ""
    said = end.get("detail")
    detail = f" ({said})" if said and said not in rule else ""
    actions = f", by {', '.join(end['actions'])}" if end.get("actions") else ""
    yield f"  {end['destination']}: {end['kind']}{rule}{actions}{detail}"
    for attempt in end["attempts"]:
        took = "" if attempt["ms"] is None else f" {attempt['ms']} ms"
        said = [attempt["status"], attempt["error"]]
        what = " ".join(str(each) for each in said if each is not None)
        yield f"    {attempt['at']}{took}  {what or 'done'}"
        if attempt.get("request"):
            old = (
                ", the configuration has changed since"
                if attempt.get("changed")
                else ""
            )
            yield (
                f"    request, rendered again{old}"
                if attempt.get("rendered")
                else ("    request")
            )
            yield _indented(attempt["request"])
        if attempt.get("response"):
            yield "    response"
            yield _indented(attempt["response"])


def _short(value: Json) -> str:
    return orjson.dumps(value).decode()[:200]


def _indented(value: Json) -> str:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return "\n".join(f"      {line}" for line in text.splitlines())
