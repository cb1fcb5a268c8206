"""What a whole run has executed of the gateway: told before its last line, with floors.

``make test`` loads this under ``coverage run``. Every process that the tests start is
measured, unless it ends by kill -9: what it did is done by others that end otherwise.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

REPORT = Path("coverage.txt")
FLOORS = {  # lines and branches, in %
    "inbound": 95.0,
    "log": 93.0,
    "outbound": 95.0,
    "workspace": 89.0,
    "actions": 95.0,
    "ledger": 94.0,
    "console": 85.0,
}


def whole() -> coverage.Coverage | None:
    """What this process and all others have written; None: nobody measures."""
    current = coverage.Coverage.current()
    if current is None:
        return None
    current.stop()
    current.save()
    every = coverage.Coverage()
    every.combine(keep=True)
    return every


def measured(every: coverage.Coverage) -> Iterator[tuple[str, float]]:
    for room in FLOORS:
        place = f"gateway/{room}/*"
        yield room, every.report(include=[place], file=io.StringIO())


def judged(rooms: dict[str, float]) -> list[str]:
    """A line a room; one that is below its floor says so."""
    return [
        f"coverage of gateway/{room}: {part:.1f} %"
        + (f", below its floor of {FLOORS[room]:.0f} %" if part < FLOORS[room] else "")
        for room, part in rooms.items()
    ]


LINES = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Measure before the summary; a run that passed fails when a floor is missed."""
    if (every := whole()) is None:
        return
    rooms = dict(measured(every))
    with REPORT.open("w") as file:
        every.report(file=file, show_missing=True, skip_covered=True)
    session.config.stash[LINES] = [*judged(rooms), f"every line missed: {REPORT}"]
    missed = any(part < FLOORS[room] for room, part in rooms.items())
    if missed and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(LINES, []):
        terminalreporter.write_line(line)
