"""A plot as numbers: where its lines go, what its axes say. Pure; a template draws it.

The picture is 1000 by 100 wide and stretched to its place, so that nothing in it is a
text: what is written stands beside it, and reads well at any width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10

WIDTH, HEIGHT = 1000, 100
NICE = (1, 2, 2.5, 5, 10)
Value = float | None
Say = Callable[[Value], str]


@dataclass(frozen=True, slots=True)
class Line:
    """One line; ``tone`` is a class of the style sheet, ``path`` its way."""

    label: str
    tone: str
    path: str
    area: str
    last: str


@dataclass(frozen=True, slots=True)
class Spot:
    """One bucket, for who points at it: where it is, when, and every value there."""

    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """All of it; ``summary`` says in words what the lines show."""

    title: str
    lines: Sequence[Line]
    spots: Sequence[Spot]
    top: str
    middle: str
    times: Sequence[str]
    summary: str
    empty: bool


def plot(
    title: str,
    series: Sequence[tuple[str, str, Sequence[Value]]],
    *,
    times: Sequence[str],
    say: Say,
) -> Plot:
    """``series``: (label, tone, a value a bucket). ``times``: of each bucket."""
    known = [v for _, _, values in series for v in values if v is not None]
    top = ceiling(max(known, default=0))
    lines = []
    for label, tone, values in series:
        now = next((v for v in reversed(values) if v is not None), None)
        line, area = _way(values, top)
        lines.append(Line(label, tone, line, area, say(now)))
    return Plot(
        title=title,
        lines=lines,
        spots=_spots(series, times, say),
        top=say(top),
        middle=say(top / 2),
        times=[times[0], times[len(times) // 2], times[-1]] if times else [],
        summary=_summary(title, series, say),
        empty=not any(known),
    )


def spark(values: Sequence[Value]) -> tuple[str, str]:
    """A line without axes: its way, and that of the area under it."""
    return _way(values, max((v for v in values if v is not None), default=0) or 1)


def ceiling(value: float) -> float:
    """The next number that reads well: 1, 2, 2.5, 5 or 10 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(each * power for each in NICE if value <= each * power * 1.000001)


def _way(values: Sequence[Value], top: float) -> tuple[str, str]:
    """What is not known is a gap; a value alone is a short dash."""
    step = WIDTH / max(len(values), 1)
    lines, areas = [], []
    for start, run in _runs(values):
        points = [
            (round((start + n + 0.5) * step, 1), _height(v, top))
            for n, v in enumerate(run)
        ]
        if len(points) == 1:
            (x, y), half = points[0], step / 2
            points = [(x - half, y), (x + half, y)]
        drawn = " L".join(f"{x:g} {y:g}" for x, y in points)
        lines.append(f"M{drawn}")
        first, last = points[0][0], points[-1][0]
        areas.append(f"M{first:g} {HEIGHT} L{drawn} L{last:g} {HEIGHT} Z")
    return " ".join(lines), " ".join(areas)


def _height(value: float, top: float) -> float:
    return round(HEIGHT - min(value / top, 1.0) * (HEIGHT - 4) - 1, 1)


def _runs(values: Sequence[Value]) -> Sequence[tuple[int, list[float]]]:
    runs: list[tuple[int, list[float]]] = []
    before: Value = None
    for number, value in enumerate(values):
        if value is not None:
            if before is None:
                runs.append((number, []))
            runs[-1][1].append(value)
        before = value
    return runs


def _spots(
    series: Sequence[tuple[str, str, Sequence[Value]]],
    times: Sequence[str],
    say: Say,
) -> list[Spot]:
    step = WIDTH / max(len(times), 1)
    spots = []
    for number, at in enumerate(times):
        told = [
            f"{label} {say(values[number])}"
            for label, _, values in series
            if values[number] is not None
        ]
        if told:
            spot = Spot(
                round(number * step, 1), round(step, 1), " · ".join([at, *told])
            )
            spots.append(spot)
    return spots


def _summary(
    title: str, series: Sequence[tuple[str, str, Sequence[Value]]], say: Say
) -> str:
    parts = []
    for label, _, values in series:
        known = [v for v in values if v is not None]
        if known:
            parts.append(f"{label} now {say(known[-1])}, at most {say(max(known))}")
    return f"{title}: {'; '.join(parts) or 'nothing known yet'}"
