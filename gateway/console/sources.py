"""Who sends: their keys, their libraries, what of theirs is refused and why."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from gateway import topics
from gateway.config import Source
from gateway.console.eyes import Eyes
from gateway.console.newest import header, newest
from gateway.console.page import Pages
from gateway.console.samples import MESSAGES, Sample, difference, per_second
from gateway.console.standing import LONG_S
from gateway.event import Json
from gateway.log.contract import Record

READ = 1_000
FEW = 6
EXAMPLES = 5
TEXT_CHARS = 300


@dataclass(slots=True)
class Faults:
    """One way of being refused: how often, and the last that was."""

    code: str
    place: str
    said: str
    count: int = 0
    last_ms: int = 0
    endpoint: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """One of a source's keys, by its place in the configuration: never itself."""

    place: str
    uses: int
    last_ms: float | None


@dataclass(slots=True)
class Sending:
    """One source, as far as the newest records of the log tell."""

    source: Source
    rate: float | None = None
    accepted: int = 0
    refused: int = 0
    last_ms: int | None = None
    libraries: Counter[str] = field(default_factory=Counter)
    faults: Sequence[Faults] = ()

    keys: Sequence["Key"] = ()


class Sources:
    """``/sources``."""

    def __init__(self, eyes: Eyes, pages: Pages) -> None:
        self._eyes = eyes
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        """The page."""
        return [web.get("/sources", self._show)]

    async def _show(self, request: web.Request) -> web.Response:
        log, config = self._eyes.shared.log, self._eyes.shared.config
        events = await newest(log, topics.EVENTS, READ)
        refused = await newest(log, topics.REFUSED, READ)
        faults = faults_of(refused)
        libraries, last_ms = libraries_of(events), last_of([*events, *refused])
        last = self._eyes.now()
        found = [
            self._sending(each, last, libraries, faults, last_ms)
            for each in config.sources.values()
        ]
        return self._pages.render(
            "sources.html", request=request, sources=found, read=READ
        )

    def _sending(
        self,
        source: Source,
        last: Sample,
        libraries: Mapping[str, Counter[str]],
        faults: Mapping[str, Sequence[Faults]],
        last_ms: Mapping[str, int],
    ) -> Sending:
        name, lately = source.name, self._eyes.lately(last)
        hour = self._eyes.samples.within(last, LONG_S)
        rate = None
        if lately is not None:
            rate = per_second(lately, difference(lately, MESSAGES, first=name))
        counts = {
            result: 0
            if hour is None
            else difference(hour, MESSAGES, first=name, second=result)
            for result in ("accepted", "refused")
        }
        return Sending(
            source=source,
            rate=rate,
            accepted=counts["accepted"],
            refused=counts["refused"],
            last_ms=last_ms.get(name),
            keys=self._keys(source, last),
            libraries=libraries.get(name, Counter()),
            faults=list(faults.get(name, ()))[:FEW],
        )

    def _keys(self, source: Source, last: Sample) -> list[Key]:
        track = source.kind == "track_api"
        what = "api_keys" if track else "write_keys"
        keys = []
        for number in range(len(source.api_keys if track else source.write_keys)):
            name = source.name, number
            used_s = self._eyes.samples.used_s(last, name)
            last_ms = None if used_s is None else used_s * 1_000
            keys.append(Key(f"{what}[{number}]", last.keys.get(name, 0), last_ms))
        return keys


def libraries_of(events: Sequence[Record]) -> dict[str, Counter[str]]:
    """Source -> what its events say they were sent with (``context.library``)."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for record in events:
        found[header(record, "source") or ""][_library(record.value)] += 1
    return found


def _library(value: bytes) -> str:
    try:
        library = orjson.loads(value)["context"]["library"]
        name, version = str(library["name"]), str(library.get("version") or "")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "no library named"
    return f"{name} {version}"[:80].strip()


def last_of(records: Sequence[Record]) -> dict[str, int]:
    """Source -> when its newest record came."""
    found: dict[str, int] = {}
    for record in records:
        name = header(record, "source") or ""
        found[name] = max(found.get(name, 0), record.appended_at_ms)
    return found


def faults_of(refused: Sequence[Record]) -> dict[str, list[Faults]]:
    """Source -> what its messages were refused for, the most frequent first."""
    found: dict[str, dict[tuple[str, str], Faults]] = defaultdict(dict)
    for record in refused:  # the newest first: the first one seen is the last that was
        value = _value(record)
        for error in value.get("errors", [])[:1]:
            code, place = str(error.get("code")), str(error.get("pointer") or "/")
            fault = found[header(record, "source") or ""].setdefault(
                (code, place),
                Faults(
                    code=code,
                    place=place,
                    said=str(error.get("message"))[:TEXT_CHARS],
                    last_ms=record.appended_at_ms,
                    endpoint=str(value.get("endpoint")),
                    message=header(record, "messageId") or "",
                ),
            )
            fault.count += 1
    return {
        name: sorted(faults.values(), key=lambda each: -each.count)
        for name, faults in found.items()
    }


def _value(record: Record) -> Mapping[str, Json]:
    try:
        value = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
