"""When a trouble is told, and when it is over: once each; pure.

It is told when it was bad for long enough without a break, and over when it was good
for long enough; in between nothing is said, however it wavers. What is not read (a rule
without a reading, a level that is unknown) stays as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.alerts.message import Message, State
from gateway.alerts.rules import Level, patience_ms, words
from gateway.alerts.settings import Alerts, Rule
from gateway.event import Json

TOGETHER = 10  # of one rule at once; more are one message
NAMED = 20  # of these in its text
TROUBLES_MAX = 2_000
Key = tuple[Rule, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is bad since ``since_ms``; ``told`` once it was bad for long enough.

    ``calm_ms``: since when it is good.
    """

    since_ms: int
    told: bool = False
    calm_ms: int | None = None


class Judged(NamedTuple):
    """What is to be remembered, and what is to be told."""

    troubles: dict[Key, Trouble]
    messages: list[Message]


def judge(
    troubles: Mapping[Key, Trouble],
    found: Mapping[Rule, Sequence[Level]],
    settings: Alerts,
    now_ms: int,
) -> Judged:
    """One look. A rule that is switched off is forgotten without a word."""
    known = {key: each for key, each in troubles.items() if key[0] in settings.rules}
    messages: list[Message] = []
    for rule, levels in found.items():
        said = [
            message
            for level in levels
            for message in _level(known, level, settings, now_ms)
        ]
        seen = {level.subject for level in levels}
        said += _gone(known, rule, seen, now_ms)
        messages += _together(rule, said, now_ms)
    return Judged(known, messages)


def _level(
    known: dict[Key, Trouble], level: Level, settings: Alerts, now_ms: int
) -> Iterator[Message]:
    key = level.rule, level.subject
    before = known.get(key)
    bad_ms, good_ms = patience_ms(settings, level.rule)
    if level.state == "bad":
        if before is None and len(known) >= TROUBLES_MAX:
            return
        now = replace(before or Trouble(since_ms=now_ms), calm_ms=None)
        known[key] = now
        if not now.told and now_ms - now.since_ms >= bad_ms:
            known[key] = replace(now, told=True)
            yield _message(level, "begins", level.text, now, now_ms)
    elif before is None or level.state == "unknown":
        return
    elif not before.told:
        del known[key]
    elif level.state == "between":
        known[key] = replace(before, calm_ms=None)
    else:
        calm_ms = now_ms if before.calm_ms is None else before.calm_ms
        known[key] = replace(before, calm_ms=calm_ms)
        if now_ms - calm_ms >= good_ms:
            del known[key]
            lasted = words(max(0, calm_ms - before.since_ms))
            text = f"over after {lasted}: {level.text}"
            yield _message(level, "ends", text, before, now_ms)


def _message(
    level: Level, state: State, text: str, trouble: Trouble, now_ms: int
) -> Message:
    return Message(
        rule=level.rule,
        subject=level.subject,
        state=state,
        text=f"{level.rule}: {text}",
        at_ms=now_ms,
        since_ms=trouble.since_ms,
        facts=level.facts,
    )


def _gone(
    known: dict[Key, Trouble], rule: Rule, seen: set[str], now_ms: int
) -> Iterator[Message]:
    """What is not there any more: a destination that was taken out."""
    for key, trouble in list(known.items()):
        if key[0] == rule and key[1] not in seen:
            del known[key]
            if trouble.told:
                text = f"over: {key[1]} is not watched any more"
                level = Level(rule=rule, subject=key[1], state="good", text=text)
                yield _message(level, "ends", text, trouble, now_ms)


def _together(
    rule: Rule, messages: Sequence[Message], now_ms: int
) -> Iterator[Message]:
    """What is too much for a person is one message that names them."""
    for state in ("begins", "ends"):
        those = [each for each in messages if each.state == state]
        if len(those) <= TOGETHER:
            yield from those
            continue
        subjects: list[Json] = [each.subject for each in those]
        names = ", ".join(map(str, subjects[:NAMED]))
        more = f" and {len(those) - NAMED} more" if len(those) > NAMED else ""
        verb = "begin" if state == "begins" else "are over"
        yield Message(
            rule=rule,
            subject=f"{len(those)} at once",
            state=state,
            text=f"{rule}: {len(those)} {verb} at once: {names}{more}",
            at_ms=now_ms,
            since_ms=min(each.since_ms for each in those),
            facts={"subjects": subjects[: NAMED * 10]},
        )
