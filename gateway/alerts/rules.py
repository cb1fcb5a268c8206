"""The rules: how things stand -> what of it is trouble; pure.

A level is ``bad`` when its rule says so and ``good`` only well below: what is between
changes nothing (hysteresis), nor does what is ``unknown``. The text tells what is now,
for whoever must act; it names statuses, errors and places, never a value of a payload.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.alerts.reading import Filled, Reading, Refusals, Silence
from gateway.alerts.settings import WHOLE, Alerts, Rule
from gateway.event import Json

HALF = 2  # the part of a threshold below which it is good again
TENTH = 10
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
LONG = 2  # of these a unit is taken: 119 min, then 2 h
LOG = "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How one subject stands by one rule."""

    rule: Rule
    subject: str
    state: Literal["bad", "between", "good", "unknown"]
    text: str
    facts: Mapping[str, Json] = field(default_factory=dict)


def levels(settings: Alerts, reading: Reading) -> dict[Rule, list[Level]]:
    """Every rule that is switched on and whose part of the reading is known."""
    found = {rule: ASK[rule](settings, reading) for rule in settings.rules}
    return {rule: each for rule, each in found.items() if each is not None}


def patience_ms(settings: Alerts, rule: Rule) -> tuple[int, int]:
    """How long it must be bad until it is told, and good until it is over."""
    table = getattr(settings, rule)
    for_s = getattr(table, "for_s", 0.0)
    return int(for_s * 1000), int(getattr(table, "within_s", for_s) * 1000)


def _down(settings: Alerts, reading: Reading) -> list[Level] | None:
    del settings
    found = []
    for name, seen in reading.destinations.items():
        is_down = not seen.moves if seen.open is None else seen.open
        state: Literal["bad", "between", "good"] = "bad" if is_down else "good"
        if not is_down and not seen.moves:
            state = "between"  # as after a restart: nobody knows yet
        waiting = "" if seen.lag is None else f"; {_number(seen.lag)} events wait"
        why = f": {seen.why}" if seen.why else ""
        text = (
            f"{name} serves nobody{why}{waiting}" if is_down else f"{name} serves again"
        )
        found.append(
            Level(
                rule="destination_down",
                subject=name,
                state=state,
                text=text,
                facts={"lag": seen.lag, "why": seen.why or None},
            )
        )
    return found


def _dead(settings: Alerts, reading: Reading) -> list[Level] | None:
    if reading.dead is None:
        return None
    rule, within = settings.dead_letters, _words_s(settings.dead_letters.within_s)
    found = []
    for name, events in reading.dead.items():
        why = f", most of them {said}" if (said := reading.dead_why.get(name)) else ""
        found.append(
            Level(
                rule="dead_letters",
                subject=name,
                state=_state(events, rule.events),
                text=f"{name}: {_number(events)} dead letters within {within}{why}",
                facts={"events": events, "why": reading.dead_why.get(name)},
            )
        )
    return found


def _stopped(settings: Alerts, reading: Reading) -> list[Level] | None:
    if reading.silences is None:
        return None
    rule = settings.event_stopped
    bad = {each.kind for each in reading.silences if _is_silent(each, settings)}
    silent = {kind.source for kind in bad if not kind.type}
    found = []
    for kind, now_ms, usual_ms in reading.silences:
        what = " ".join(filter(None, (kind.type, kind.name))) or "anything"
        usual = max(usual_ms, int(rule.silence_s * 1000) // rule.times)
        text = f"{kind.source}: {what} has not come for {words(now_ms)}"
        if kind in bad:
            text += f"; it is seldom silent for {words(usual)}"
        else:
            text = f"{kind.source}: {what} comes again"
        hidden = bool(kind.type) and kind.source in silent
        state: Literal["bad", "good"] = "bad" if kind in bad else "good"
        found.append(
            Level(
                rule="event_stopped",
                subject=" / ".join(filter(None, kind)),
                state="unknown" if hidden else state,
                text=text,
                facts={
                    "source": kind.source,
                    "type": kind.type or None,
                    "name": kind.name or None,
                    "silentSeconds": now_ms // 1000,
                },
            )
        )
    return found


def _is_silent(silence: Silence, settings: Alerts) -> bool:
    rule = settings.event_stopped
    bound_ms = max(rule.silence_s * 1000, rule.times * silence.usual_ms)
    return silence.now_ms >= bound_ms


def _lag(settings: Alerts, reading: Reading) -> list[Level] | None:
    return [
        Level(
            rule="lag",
            subject=name,
            state=_state(seen.lag, settings.lag.events),
            text=f"{name}: {_number(seen.lag)} events wait",
            facts={"lag": seen.lag},
        )
        for name, seen in reading.destinations.items()
        if seen.lag is not None
    ]


def _filling(settings: Alerts, reading: Reading) -> list[Level] | None:
    if reading.log is None:
        return None
    texts = list(_full(settings, reading.log, slack=0))
    state: Literal["bad", "between", "good"] = "bad" if texts else "good"
    if not texts and any(_full(settings, reading.log, slack=1)):
        state = "between"
    said = "; ".join(texts) or "there is room"
    log = reading.log
    facts = {"unreadPercent": round(log.unread * WHOLE), "diskFree": log.disk_free}
    return [Level(rule="log_filling", subject=LOG, state=state, text=said, facts=facts)]


def _full(settings: Alerts, log: Filled, *, slack: int) -> Iterator[str]:
    """Each thing that is wrong; with ``slack`` 1 a tenth before it is."""
    rule, part = settings.log_filling, log.unread * WHOLE
    if log.refuses:
        yield f"the log takes no append, senders get 503: {log.refuses}"
    if part >= rule.percent - slack * rule.percent / TENTH:
        text = f"unread events take {part:.0f} % of log.size"
        yield f"{text}: {log.unread_by} has to catch up, or raise log.size"
    bound = rule.disk_free + slack * rule.disk_free / TENTH
    if log.disk_free is not None and log.disk_free < bound:
        yield f"the log's disk has {log.disk_free // 1_000_000:,} MB left"


def _refused(settings: Alerts, reading: Reading) -> list[Level] | None:
    if reading.refused is None:
        return None
    return [
        _refused_of(settings, source, each) for source, each in reading.refused.items()
    ]


def _refused_of(settings: Alerts, source: str, seen: Refusals) -> Level:
    rule = settings.refused_rate
    percent = WHOLE * seen.refused / max(1, seen.messages)
    parts = [
        _state(percent, rule.percent),
        _state(seen.refused, rule.messages),
    ]
    state: Literal["bad", "between", "good"] = "between"
    if parts == ["bad", "bad"]:
        state = "bad"
    elif "good" in parts:
        state = "good"
    why = f", most often {seen.why}" if seen.why else ""
    of = f"{_number(seen.refused)} of {_number(seen.messages)} messages refused"
    text = f"{source}: {of} ({percent:.0f} %) within {_words_s(rule.within_s)}{why}"
    facts: Mapping[str, Json] = {
        "refused": seen.refused,
        "messages": seen.messages,
        "why": seen.why or None,
    }
    return Level(
        rule="refused_rate", subject=source, state=state, text=text, facts=facts
    )


ASK: Mapping[Rule, Callable[[Alerts, Reading], list[Level] | None]] = {
    "destination_down": _down,
    "dead_letters": _dead,
    "event_stopped": _stopped,
    "lag": _lag,
    "log_filling": _filling,
    "refused_rate": _refused,
}


def _state(value: float, threshold: int) -> Literal["bad", "between", "good"]:
    if value >= threshold:
        return "bad"
    return "good" if value * HALF < threshold else "between"


def words(ms: int) -> str:
    """A duration as a person says it."""
    for unit, name in ((DAY_MS, "days"), (HOUR_MS, "h"), (MINUTE_MS, "min")):
        if ms >= LONG * unit:
            return f"{ms // unit} {name}"
    return f"{ms // 1000} s"


def _words_s(seconds: float) -> str:
    return words(int(seconds * 1000))


def _number(count: int | None) -> str:
    return f"{count:,}"
