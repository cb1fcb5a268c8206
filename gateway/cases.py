"""``gateway test``: golden cases of destinations, and how what is sent differs.

A case is a folder ``NAME/CASE`` beside the configuration: ``event.json``, an event or a
message; ``request.json``, what becomes of it at the destination NAME, as `gateway
explain` shows it, secrets masked. Nothing is sent.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from gateway.config import Config
from gateway.errors import ConfigError
from gateway.event import Json
from gateway.mistakes import meant
from gateway.outbound.mask import MASK
from gateway.outbound.preview import readable
from gateway.parts import Parts, Previews, becoming
from gateway.trying import Stamp, value_of

EVENT, REQUEST = "event.json", "request.json"
STAMP = Stamp("made-up-by-the-gateway", 1_768_471_934_000)
"""The same in every run: 2026-01-15T10:12:14Z."""
SIGNATURE = "X-Gateway-Signature"
"""It says nothing but the body and a secret, which need not be the same everywhere."""


class Case(NamedTuple):
    """One folder, and the destination that its own folder is called after."""

    folder: Path
    destination: str

    @property
    def name(self) -> str:
        """As it is told."""
        return f"{self.destination}/{self.folder.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a case, what should have, and what kept it from being judged."""

    case: Case
    found: Json = None
    wanted: Json = None
    problem: str | None = None
    written: bool = False

    @property
    def ok(self) -> bool:
        """Whether it is as it should be, by now."""
        return self.written or (self.problem is None and self.found == self.wanted)


def find(config: Config, path: Path | None) -> list[Case]:
    """The cases in a folder, of one destination's folder, or one; ConfigError for none.

    A folder of cases must be called as a destination is.
    """
    root = config.folder if path is None else path.absolute()
    if (root / EVENT).is_file():
        folders = [root]
    elif root.name in config.destinations and any(root.glob(f"*/{EVENT}")):
        folders = [each.parent for each in root.glob(f"*/{EVENT}")]
    else:
        folders = [each.parent for each in root.glob(f"*/*/{EVENT}")]
    if not folders:
        raise ConfigError(f"{root}: no cases: put them into NAME/CASE/{EVENT}")
    cases = [Case(each, each.parent.name) for each in sorted(folders)]
    for case in cases:
        if case.destination not in config.destinations:
            listed = ", ".join(config.destinations)
            nearest = meant(case.destination, list(config.destinations))
            text = f"{case.folder}: {case.destination} is no destination"
            raise ConfigError(f"{text}; known are: {listed}{nearest}")
    return cases


async def run(config: Config, parts: Parts, cases: Sequence[Case]) -> list[Result]:
    """What becomes of each; each destination is opened once."""
    results: list[Result] = []
    for name, some in groupby(cases, key=lambda case: case.destination):
        async with becoming(config, parts, name) as becomes:
            results += [await _result(config, parts, each, becomes) for each in some]
    return results


async def _result(
    config: Config, parts: Parts, case: Case, becomes: Previews
) -> Result:
    try:
        data = (case.folder / EVENT).read_bytes()
        value = value_of(config, parts, data, None, STAMP)
    except (ConfigError, OSError) as error:
        return Result(case=case, problem=f"{EVENT}: {error}")
    found = _told(await becomes(value), config.folder)
    try:
        wanted = json.loads((case.folder / REQUEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Result(case=case, found=found, problem=f"no {REQUEST} yet")
    except (ValueError, OSError) as error:
        return Result(case=case, found=found, problem=f"{REQUEST}: {error}")
    return Result(case=case, found=found, wanted=_alike(wanted, config.folder))


def _told(shown: Mapping[str, Json], folder: Path) -> Json:
    """The request, or all where there are several; or why there is none."""
    if not shown["sent"]:
        return dict(shown)
    return _alike(shown.get("requests", shown["request"]), folder)


def _alike(shown: Json, folder: Path) -> Json:
    """Readable, and the same on every machine: no signature, paths as configured."""
    if isinstance(shown, list):
        return [_alike(each, folder) for each in shown]
    if not isinstance(shown, dict):
        return shown
    made = readable(shown)
    if isinstance(headers := made.get("headers"), dict) and SIGNATURE in headers:
        made["headers"] = {**headers, SIGNATURE: MASK}
    if isinstance(path := made.get("path"), str):
        made["path"] = path.removeprefix(f"{folder}/")
    return made


def accept(result: Result) -> Result:
    """Write what is found, unless it is as it should be, or nothing was found."""
    if result.ok or result.found is None:
        return result
    file = result.case.folder / REQUEST
    file.write_text(_written(result.found, sort=False) + "\n", encoding="utf-8")
    return replace(result, written=True)


def as_text(results: Sequence[Result]) -> str:
    """For a person: a line a case, and what is different."""
    lines: list[str] = []
    for each in results:
        word = "written" if each.written else "ok" if each.ok else "differs"
        lines.append(f"{word:<8} {each.case.name}")
        if not each.ok:
            lines += _why(each)
    bad = sum(not each.ok for each in results)
    tail = f"{bad} not as they should be (--accept writes what would be sent)"
    return "\n".join([*lines, f"{len(results)} cases, {tail if bad else 'all ok'}"])


def _why(result: Result) -> list[str]:
    if result.problem is not None:
        return [f"  {result.problem}"]
    before, after = (
        _written(each, sort=True).splitlines() for each in (result.wanted, result.found)
    )
    diff = difflib.unified_diff(before, after, REQUEST, "now", lineterm="")
    return [f"  {line}" for line in diff]


def _written(value: Any, *, sort: bool) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=sort)
