"""What the configuration says of alerts: the rules, a table each, and who is told."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args
from urllib.parse import urlsplit

from gateway.config import Config
from gateway.errors import ConfigError
from gateway.ledger.settings import Ledger
from gateway.mistakes import Mistakes, Unfit
from gateway.outbound.reach import Reach
from gateway.values import in_bytes, in_seconds
from gateway.web import is_url

Rule = Literal[
    "destination_down",
    "dead_letters",
    "event_stopped",
    "lag",
    "log_filling",
    "refused_rate",
]


class Rules(NamedTuple):
    """When a rule begins to tell, and when it tells the end."""

    begins: str
    ends: str


RULES: Mapping[Rule, Rules] = {
    "destination_down": Rules(
        begins="A destination has served nobody for `for`: its breaker is open. Of one "
        "of which only other processes have events: some wait, and none of them ends.",
        ends="It has served somebody, and its breaker stayed closed for `for`.",
    ),
    "dead_letters": Rules(
        begins="A destination had `events` dead letters within `within` that were not "
        "sent again.",
        ends="It had less than half of that within `within`, for as long.",
    ),
    "event_stopped": Rules(
        begins="An event that came regularly (`events` of them in two weeks, the first "
        "at least `known` ago) has not come for `times` its usual longest silence, and "
        "at least for `silence`. When a whole source is silent, that is told alone.",
        ends="It came again.",
    ),
    "lag": Rules(
        begins="`events` wait for a destination, for `for`. A paused one is left out.",
        ends="Less than half as many wait, for `for`.",
    ),
    "log_filling": Rules(
        begins="Events that somebody has yet to read take `percent` of `log.size`; or "
        "the disk of the log has less than `disk_free` left; or the log takes no "
        "append. On Kafka only the last is watched.",
        ends="All three are over, by a tenth, for `for`.",
    ),
    "refused_rate": Rules(
        begins="Of a source's messages `percent` were refused within `within`, and at "
        "least `messages` of them.",
        ends="Less than half of that, for `within`.",
    ),
}
"""The closed list: when each begins, when it ends."""
NEED_LEDGER: tuple[Rule, ...] = ("event_stopped", "refused_rate")
FILE = "alerts.json"
WHOLE = 100
EVERY_MIN_S, EVERY_MAX_S = 0.1, 600.0
WITHIN_MIN_S, WITHIN_MAX_S = 60.0, 86_400.0
TIMES_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationDown:
    """``[alerts.destination_down]``: a destination serves nobody."""

    enabled: bool = True
    for_s: float = in_seconds("2m", "for")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetters:
    """``[alerts.dead_letters]``: events are given up."""

    enabled: bool = True
    events: int = 10
    within_s: float = in_seconds("15m", "within")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStopped:
    """``[alerts.event_stopped]``: what came regularly comes no more."""

    enabled: bool = True
    events: int = 50
    known_s: float = in_seconds("1d", "known")
    silence_s: float = in_seconds("15m", "silence")
    times: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """``[alerts.lag]``: many events wait for a destination."""

    enabled: bool = True
    events: int = 20_000
    for_s: float = in_seconds("5m", "for")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilling:
    """``[alerts.log_filling]``: before, or when, intake answers 503."""

    enabled: bool = True
    percent: int = 70
    disk_free: int = in_bytes("1GB")
    for_s: float = in_seconds("1m", "for")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRate:
    """``[alerts.refused_rate]``: much of what a source sends is refused."""

    enabled: bool = True
    percent: int = 10
    messages: int = 20
    within_s: float = in_seconds("10m", "within")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """``[alerts]``: who is told when something needs somebody; without anyone: off.

    ``path`` None: beside the log.
    """

    webhook: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    slack: str = field(default="", repr=False)
    command: tuple[str, ...] = field(default=(), repr=False)
    timeout_s: float = in_seconds("10s", "timeout")
    every_s: float = in_seconds("30s", "every")
    path: Path | None = None
    destination_down: DestinationDown = DestinationDown()
    dead_letters: DeadLetters = DeadLetters()
    event_stopped: EventStopped = EventStopped()
    lag: Lag = Lag()
    log_filling: LogFilling = LogFilling()
    refused_rate: RefusedRate = RefusedRate()

    @property
    def file(self) -> Path:
        """Where its state is, as ``alerts_of`` has filled it in."""
        assert self.path is not None
        return self.path

    @property
    def tells(self) -> bool:
        """Whether anybody is named."""
        return bool(self.webhook or self.slack or self.command)

    def wants(self, rule: Rule) -> bool:
        """Whether a rule is switched on."""
        return bool(getattr(self, rule).enabled)

    @property
    def rules(self) -> list[Rule]:
        """Those that are switched on."""
        return [rule for rule in get_args(Rule) if self.wants(rule)]


def alerts_of(config: Config, mistakes: Mistakes | None = None) -> Alerts:
    """The section, with its path filled in; what is wrong with it is noted."""
    noted = Mistakes(config.text) if mistakes is None else mistakes
    settings = config.section(Alerts, "alerts", noted)
    beside = config.log.path.with_name(FILE)
    return settings if settings.path else replace(settings, path=beside)


def check(settings: Alerts, config: Config, ledger: Ledger) -> Iterator[ConfigError]:
    """Everything that cannot work, each with its place and remedy."""
    if "alerts" in config.sections and not settings.tells:
        text = 'alerts: nobody would be told: set webhook, slack, or command = ["..."]'
        yield ConfigError(text)
    for key in ("webhook", "slack"):
        yield from _wrong_url(f"alerts.{key}", getattr(settings, key), config)
    if settings.secret and not settings.webhook:
        yield ConfigError("alerts.secret: signs nothing: set alerts.webhook, too")
    if settings.command:
        yield from _wrong_command(settings.command, config.folder)
    yield from _wrong_bounds(settings)
    if settings.tells and not ledger.enabled:
        for rule in NEED_LEDGER:
            if settings.wants(rule):
                remedy = f"set ledger.enabled = true, or alerts.{rule}.enabled = false"
                yield ConfigError(f"alerts.{rule}: needs the ledger: {remedy}")


def _wrong_url(place: str, url: str, config: Config) -> Iterator[ConfigError]:
    """Its text may be a secret: no error shows it."""
    if not url:
        return
    if not is_url(url):
        yield ConfigError(f"{place}: is no http:// or https:// URL with a host")
        return
    host = urlsplit(url).hostname or ""
    network = Reach(config.server.private_destinations).refused(host)
    if network is not None and host not in config.egress.hosts:
        text = f"{place}: its host is no public address; if it may be sent to: "
        key = f'server.private_destinations = ["{network}"]'
        yield ConfigError(text + key)


def _wrong_command(command: tuple[str, ...], folder: Path) -> Iterator[ConfigError]:
    if found(command[0], folder) is None:
        text = "alerts.command: no such program here: write its whole path first"
        yield ConfigError(text)


def found(program: str, folder: Path) -> str | None:
    """Where a program is: with a slash in the configuration's folder, else in PATH."""
    return shutil.which(folder / program if "/" in program else program)


def _wrong_bounds(settings: Alerts) -> Iterator[ConfigError]:
    if not EVERY_MIN_S <= settings.every_s <= EVERY_MAX_S:
        yield ConfigError('alerts.every: is not from "100ms" to "10m"')
    for rule in ("log_filling", "refused_rate"):
        percent = getattr(settings, rule).percent
        if percent > WHOLE:
            place = f"alerts.{rule}.percent"
            yield Unfit(place, percent, f"is more than {WHOLE}")
    for rule in ("dead_letters", "refused_rate"):
        if not WITHIN_MIN_S <= getattr(settings, rule).within_s <= WITHIN_MAX_S:
            yield ConfigError(f'alerts.{rule}.within: is not from "1m" to "1d"')
    if settings.event_stopped.times > TIMES_MAX:
        times = settings.event_stopped.times
        place = "alerts.event_stopped.times"
        yield Unfit(place, times, f"is more than {TIMES_MAX}")
