"""How each destination stands, in one word and a sentence; and what needs somebody.

Pure: out of the configuration, the states of the workers and two samples of the
counters. The words are those of /readyz and of the notices.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gateway.config import Config, DestinationConfig
from gateway.console import words
from gateway.console.samples import (
    ATTEMPTS,
    FAILED,
    MESSAGES,
    OUTCOMES,
    Pair,
    Sample,
    difference,
    per_second,
)
from gateway.event import Json
from gateway.ledger.again import Standing as Letters

Tone = Literal["good", "warn", "bad", "off"]
BEHIND = 1_000  # events that wait: more is worth a look
OFTEN = 20  # attempts or messages, until a share of them says something
SHARE = 0.05
LONG_S = 3_600.0
TROUBLES: Mapping[str, tuple[Tone, str]] = {
    "bug": ("bad", "The gateway failed on a message or an event, and set it aside"),
    "log_full": ("bad", "The log was full: the intake answered 503"),
    "log_write_failed": (
        "bad",
        "The log could not be written: the intake answered 503",
    ),
    "log_gap": ("bad", "Records were deleted before they were read: events were lost"),
    "log_wal_damaged": ("bad", "A part of the log was lost at the start"),
    "worker_failed": ("bad", "A worker failed and was started again"),
    "wing_failed": ("bad", "A part beside the road failed and was started again"),
    "pressure": ("bad", "A worker gave up events so that others could go on"),
    "out_of_file_descriptors": ("bad", "Connections were closed: no file descriptors"),
    "log_upkeep_failed": ("warn", "Nothing can be deleted from the log: it grows"),
    "log_clock_jumped": ("warn", "The clock was set: nothing is deleted for an hour"),
    "transform_slow": ("warn", "A function of yours held everything up"),
    "key_crowded": ("warn", "More than 1,000 events of one person wait"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One destination."""

    name: str
    type: str
    word: str
    tone: Tone
    why: str
    lag: float | None
    pending: int
    rate: float | None
    errors: float | None
    """The share of attempts that failed; None when there were none."""
    dead: int
    """Dead letters of the hour that nothing became of since."""
    failure: Mapping[str, Json] | None
    paused: bool
    mended: int = 0
    """Those that were sent again since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Something that somebody should look at; ``link`` is where."""

    tone: Tone
    title: str
    text: str
    link: str | None = None
    verb: str = "Look"


def standing(
    destination: DestinationConfig,
    state: Mapping[str, Any] | None,
    hour: Pair | None,
    minute: Pair | None,
) -> Standing:
    """How it stands; errors and dead letters of the hour, the rate of the minute."""
    name = destination.name
    word, tone, why = _word(destination, state)
    rate = errors = None
    dead = 0
    if minute is not None:
        ended = difference(minute, OUTCOMES, first=name, second="delivered")
        rate = per_second(minute, ended)
    if hour is not None:
        attempts = difference(hour, ATTEMPTS, first=name)
        failed = sum(
            difference(hour, ATTEMPTS, first=name, second=result) for result in FAILED
        )
        errors = failed / attempts if attempts else None
        dead = difference(hour, OUTCOMES, first=name, second="dead")
    return Standing(
        name=name,
        type=destination.type,
        word=word,
        tone=tone,
        why=why,
        lag=None if state is None else state["lag"],
        pending=0 if state is None else state["pending"],
        rate=rate,
        errors=errors,
        dead=dead,
        failure=None if state is None else state["last_failure"],
        paused=destination.paused,
    )


def with_letters(stands: Standing, letters: Letters | None) -> Standing:
    """The same, with what the ledger knows of the hour's dead letters.

    The counters know those that it has not read yet, the ledger those of other
    processes and from before a restart.
    """
    if letters is None:
        return stands
    unread = max(0, stands.dead - letters.events)
    mended = letters.events - letters.open
    return replace(stands, dead=letters.open + unread, mended=mended)


def _word(
    destination: DestinationConfig, state: Mapping[str, Any] | None
) -> tuple[str, Tone, str]:
    if not destination.enabled:
        return "disabled", "off", "Nothing is routed to it (enabled = false)."
    if state is None:
        return "elsewhere", "off", "Another process delivers to it."
    if destination.paused:
        return "paused", "warn", "Its events are kept until paused is taken away."
    if state["breaker"] is not None:
        return "down", "bad", f"It serves nobody: {state['breaker']}. It is probed."
    if not state["running"]:
        return "starting", "warn", "Its worker waits for the log."
    lag = state["lag"]
    if lag is not None and lag > BEHIND:
        return "behind", "warn", f"{words.number(lag)} events wait for it."
    return "up", "good", "It takes what it is sent."


def concerns(
    config: Config,
    standings: Sequence[Standing],
    pair: Pair | None,
    *,
    weaknesses: Sequence[str] = (),
    log: str | None = None,
) -> list[Concern]:
    """What needs somebody, the worst first; ``log`` is why it takes nothing."""
    found: list[Concern] = []
    if log is not None:
        text = f"The intake answers 503. {log}"
        found.append(Concern(tone="bad", title="The log takes nothing", text=text))
    for each in standings:
        found += _of_destination(each)
    if pair is not None:
        for source in config.sources:
            found += _of_source(source, pair)
        found += _of_notices(pair)
    for text in weaknesses:
        found.append(Concern(tone="warn", title="The log is weaker", text=text))
    return sorted(found, key=lambda concern: concern.tone != "bad")


def _of_destination(each: Standing) -> Iterator[Concern]:
    link = f"/destinations/{each.name}"
    if each.tone in ("bad", "warn") and each.word != "starting":
        waits = f" {words.number(each.lag)} events wait." if each.lag else ""
        failure = ""
        if each.word == "down" and each.failure is not None:
            failure = f" It last said {each.failure['reason']}."
        text = each.why + failure + (waits if each.word != "behind" else "")
        title = f"{each.name} is {each.word}"
        yield Concern(tone=each.tone, title=title, text=text, link=link)
    elif each.errors is not None and each.errors > SHARE:
        text = f"{words.share(each.errors)} of its attempts failed in the last hour."
        title = f"{each.name} fails often"
        yield Concern(tone="warn", title=title, text=text, link=link)
    if each.dead:
        mended = words.number(each.mended)
        others = f" {mended} more were sent again since." if each.mended else ""
        title = f"{words.number(each.dead)} dead letters at {each.name}"
        yield Concern(
            tone="bad",
            title=title if each.dead > 1 else f"A dead letter at {each.name}",
            text=f"Given up in the last hour; each can be sent again.{others}",
            link=f"/dead/{each.name}",
            verb="See why",
        )


def _of_source(source: str, pair: Pair) -> Iterator[Concern]:
    def count(result: str) -> int:
        return difference(pair, MESSAGES, first=source, second=result)

    refused = count("refused")
    judged = refused + count("accepted")
    if judged >= OFTEN and refused / judged > SHARE:
        yield Concern(
            tone="warn",
            title=f"{source} sends much that is refused",
            text=f"{words.share(refused / judged)} of {words.number(judged)} messages "
            "in the last hour.",
            link=f"/sources#source-{source}",
            verb="See why",
        )


def _of_notices(pair: Pair) -> Iterator[Concern]:
    for code, (tone, text) in TROUBLES.items():
        times = _noticed(pair[1], code) - _noticed(pair[0], code)
        if times > 0:
            how_often = f"{words.number(times)} times" if times > 1 else "once"
            title = f"{text}"
            told = f"{how_often.capitalize()} in the last hour; the notice {code} in "
            yield Concern(tone=tone, title=title, text=f"{told}its log says where.")


def _noticed(sample: Sample, code: str) -> int:
    return sample.notices.get(code, 0)
