"""The table of real SDKs: how each is driven, what it says, what it makes of an answer.

``makes_of`` is CLIENTS §2 for the answers that this gateway gives:
``R`` it sends again, ``X`` it gives up and says so, ``lost`` it takes for delivered.
"""

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from tests.path.sdks import kits
from tests.path.sdks.browser import Browser

Call = Mapping[str, Any]
Makes = Literal["R", "X", "lost"]
KOTLIN_FILES = Path("/tmp/analytics-kotlin")  # by write key; it cannot be told another
END_S = 120.0  # an SDK that has not flushed by then never will


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """``lacks`` names calls of the scenario that it has not, or refuses itself.

    ``adds`` are keys beside the call's own that it may put on a message. ``patient``
    are the public options that outlast an absence of the gateway, where the defaults
    give up within seconds; SDKS.md recommends them.
    """

    package: str
    language: Literal["python", "node", "java", "browser"]
    library: str
    options: Mapping[str, Any] = field(default_factory=dict)
    patient: Mapping[str, Any] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()
    adds: frozenset[str] = frozenset()
    tells: bool = True  # its caller of what was given up
    outlasts_20_s: bool = True  # without the gateway, with the page still open
    own_ids: bool = False  # keeps an anonymousId of its own
    makes_of: Mapping[int, Makes]

    @property
    def secure(self) -> bool:
        """Whether it is driven over TLS: Kotlin speaks nothing else."""
        return self.language == "java"


FINAL: Mapping[int, Makes] = {400: "X", 401: "X", 429: "R", 503: "R"}
ANY = object()  # some text
REFUSES_NO_ID = frozenset({"email-only"})
PYTHON = {"upload_interval": 0.1}

SDKS: Mapping[str, Sdk] = {
    "customerio-cdp-analytics": Sdk(
        package="customerio.analytics",
        language="python",
        library="analytics-python",
        options=PYTHON,
        lacks=REFUSES_NO_ID,
        makes_of=FINAL,
    ),
    "segment-analytics-python": Sdk(
        package="segment.analytics",
        language="python",
        library="analytics-python",
        options=PYTHON,
        lacks=REFUSES_NO_ID,
        makes_of=FINAL,
    ),
    "rudder-sdk-python": Sdk(
        package="rudderstack.analytics",
        language="python",
        library="analytics-python",
        options=PYTHON,
        adds=frozenset({"channel"}),
        lacks=REFUSES_NO_ID,
        makes_of=FINAL,
    ),
    "events-sdk-python": Sdk(
        package="hightouch.htevents",
        language="python",
        library="events-sdk-python",
        options=PYTHON,
        lacks=REFUSES_NO_ID,
        makes_of=FINAL,
    ),
    "@customerio/cdp-analytics-node": Sdk(
        package="@customerio/cdp-analytics-node",
        language="node",
        library="@customerio/cdp-analytics-node",
        adds=frozenset({"_metadata"}),
        options={"flushInterval": 100},
        patient={"maxRetries": 100},
        makes_of={**FINAL, 401: "R"},
    ),
    "@segment/analytics-node": Sdk(
        package="@segment/analytics-node",
        language="node",
        library="@segment/analytics-node",
        adds=frozenset({"_metadata"}),
        options={"flushInterval": 100},
        makes_of=FINAL,
    ),
    "@rudderstack/rudder-sdk-node": Sdk(
        package="@rudderstack/rudder-sdk-node",
        language="node",
        library="analytics-node",
        adds=frozenset({"_metadata", "channel"}),
        options={"flushInterval": 100},
        patient={"retryCount": 10},
        lacks=REFUSES_NO_ID,
        makes_of=FINAL,
    ),
    "analytics-java": Sdk(
        package="java",
        language="java",
        library="analytics-java",
        options={"flushIntervalMs": 1_000},
        lacks=REFUSES_NO_ID,
        makes_of=FINAL,
    ),
    "@customerio/cdp-analytics-browser": Sdk(
        package="@customerio/cdp-analytics-browser",
        language="browser",
        library="analytics.js",
        adds=frozenset({"_metadata"}),
        tells=False,
        own_ids=True,
        outlasts_20_s=False,  # four tries, then only what a page left behind
        makes_of={400: "lost", 401: "lost", 429: "R", 503: "R"},
    ),
    "@segment/analytics-next": Sdk(
        package="@segment/analytics-next",
        language="browser",
        library="analytics.js",
        adds=frozenset({"_metadata"}),
        tells=False,
        own_ids=True,
        makes_of=FINAL,
    ),
    "analytics-kotlin": Sdk(
        package="kotlin",
        language="java",
        library="analytics-kotlin",
        options={"flushIntervalS": 1},
        lacks=frozenset({"page"}),
        adds=frozenset({"_metadata", "category"}),
        tells=False,
        own_ids=True,
        makes_of=FINAL,
    ),
}


class Page:
    """A page that performs calls with one browser SDK; leaving it waits for them."""

    def __init__(self, browser: Browser, sdk: Sdk, *, host: str, key: str) -> None:
        self._browser = browser
        self.options = dict(sdk.options)
        self._begin = {"sdk": sdk.package, "host": host, "key": key}
        self.problems: list[str] = []

    async def __aenter__(self) -> Self:
        await self._browser.evaluate("begin", {**self._begin, "options": self.options})
        return self

    async def call(self, **call: Any) -> None:
        """Perform one call."""
        await self._browser.evaluate("call", json.dumps(call))

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            await self._browser.evaluate("end")


class Driver:
    """A process that performs calls with one SDK; leaving it flushes and closes."""

    def __init__(
        self,
        sdk: Sdk,
        *,
        host: str,
        key: str,
        patient: bool = False,
        trust: Path | None = None,
    ) -> None:
        self._command = _command(sdk, trust)
        options = {**sdk.options, **(sdk.patient if patient else {})}
        self._begin: dict[str, Any] = {
            "sdk": sdk.package,
            "host": host,
            "key": key,
            "options": options,
        }
        self._process: asyncio.subprocess.Process | None = None
        self.problems: list[str] = []

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await self._write(self._begin)
        return self

    async def call(self, **call: Any) -> None:
        """Perform one call; it is sent when the SDK thinks fit."""
        await self._write(call)

    async def _write(self, line: Mapping[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        await self._process.stdin.drain()

    async def __aexit__(self, kind: object, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        if kind is not None:
            self._process.kill()
        self._process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                out, err = await self._process.communicate()
        except TimeoutError:
            self._process.kill()
            out, err = await self._process.communicate()
            raise AssertionError(f"it did not end: {err.decode()[-2_000:]}") from None
        shutil.rmtree(KOTLIN_FILES / self._begin["key"], ignore_errors=True)
        if kind is None:
            assert out, err.decode()[-2_000:]
            self.problems = json.loads(out)["problems"]


def _command(sdk: Sdk, trust: Path | None) -> list[str]:
    match sdk.language:
        case "python":
            return [str(kits.python()), str(kits.HERE / "python/drive.py")]
        case "node":
            return [kits.program("node"), str(kits.node() / "drive.js")]
        case "java":
            java = [kits.program("java"), "-Xmx128m", "-XX:TieredStopAtLevel=1"]
            java += ["-XX:+UseSerialGC", "-Xshare:auto"]
            if trust is not None:
                java.append(f"-Djavax.net.ssl.trustStore={trust}")
                java.append("-Djavax.net.ssl.trustStorePassword=secret")
            return [*java, "-cp", kits.java(), "Drive"]
        case "browser":
            raise AssertionError("a browser is driven by Page")
