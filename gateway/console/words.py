"""Numbers and times as a person reads them. Pure."""

from datetime import UTC, datetime

UNITS = ("B", "KB", "MB", "GB", "TB")
MANY = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
UNKNOWN = "-"
FEW = 10
HUNDRED = 100
THOUSAND = 1_000


def number(value: float | None) -> str:
    """A count: 12,345; a hyphen for what is not known."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """A rate in three digits: 0.25, 7.5, 340, 1.2k."""
    if value is None:
        return UNKNOWN
    for size_of, unit in MANY:
        if value >= size_of:
            return f"{value / size_of:.3g}{unit}"
    if value >= FEW:
        return f"{value:.0f}"
    return f"{value:.2g}" if value else "0"


def size(value: float | None) -> str:
    """Bytes: 1.5 MB."""
    if value is None:
        return UNKNOWN
    unit = 0
    while value >= THOUSAND and unit < len(UNITS) - 1:
        value, unit = value / THOUSAND, unit + 1
    return f"{value:.0f} B" if unit == 0 else f"{value:.3g} {UNITS[unit]}"


def seconds(value: float | None) -> str:
    """A duration: 340 µs, 12 ms, 1.5 s, 3 min."""
    if value is None:
        return UNKNOWN
    if value < 0.001:  # noqa: PLR2004 -- a millisecond
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    if value < 120:  # noqa: PLR2004 -- two minutes
        return f"{value:.3g} s"
    return _long(value)


def _long(value: float) -> str:
    for length, unit in STEPS:
        if value >= length:
            return f"{value / length:.0f} {unit}"
    return "0 s"


def share(value: float | None) -> str:
    """A part of a whole: 0 %, 0.02 %, 12 %."""
    if value is None:
        return UNKNOWN
    percent = value * HUNDRED
    if percent == 0 or percent >= FEW:
        return f"{percent:.0f} %"
    return f"{percent:.2g} %" if percent >= 0.01 else "< 0.01 %"  # noqa: PLR2004


def ago(at_ms: float | None, now_ms: float) -> str:
    """How long since: 12 s ago."""
    if at_ms is None:
        return "never"
    passed_s = (now_ms - at_ms) / THOUSAND
    return "just now" if passed_s < 1 else f"{_long(passed_s)} ago"


def clock(at_ms: float) -> str:
    """The time of a day, UTC: 14:03:07."""
    return f"{datetime.fromtimestamp(at_ms / THOUSAND, UTC):%H:%M:%S}"


def day(at_ms: float) -> str:
    """A whole time, UTC: 2026-01-15 14:03:07."""
    return f"{datetime.fromtimestamp(at_ms / THOUSAND, UTC):%Y-%m-%d %H:%M:%S}"
