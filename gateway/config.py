"""The configuration: one TOML file, read strictly.

What comes in: text. What goes out: frozen values with every default filled in, or a
ConfigError with everything that is wrong: file, line, key, and what is known.
Destination settings are passed on as they are: the destination's type declares them
(outbound/contract.py).
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from gateway.errors import ConfigError
from gateway.event import EVENT_TYPES, ClockSkew, InvalidTraits, SourceKind
from gateway.mistakes import Mistakes, Text
from gateway.places import lines_of
from gateway.values import (
    address,
    check_network,
    in_bytes,
    in_seconds,
    named,
    one_of,
    read,
    read_named,
    refuse_unknown,
    substitute,
    texts,
)
from gateway.web import origin
from gateway.wings import WINGS

NESTING_MAX = 200  # orjson writes 254 levels, and the event adds some
T = TypeVar("T")

DEFAULT = """\
[sources.dev]
kind = "server"
write_keys = ["dev"]

[destinations.inbox]
type = "file"
settings = { path = "data/inbox.ndjson" }

[console]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """``[server]``: where it listens and whom it believes."""

    listen: str = "127.0.0.1:8080"
    admin_listen: str = "127.0.0.1:9090"
    admin_hosts: tuple[str, ...] = ()
    public_url: str | None = None  # None: http://HOST:PORT of the public port
    trusted_proxies: tuple[str, ...] = ()
    private_destinations: tuple[str, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``[limits]``: a bound on everything a sender can choose."""

    message_bytes: int = in_bytes(32_768)
    event_bytes: int = in_bytes(65_536)
    request_bytes: int = in_bytes(4_194_304)
    request_canonical_bytes: int = in_bytes(8_388_608)
    batch_messages: int = 2_500
    nesting: int = 64
    waiting_bytes: int = in_bytes(67_108_864)
    append_timeout_s: float = in_seconds("5s", "append_timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """``[log]``: the store of the log and how much it keeps."""

    kind: Literal["sqlite", "kafka"] = "sqlite"
    path: Path = Path("data/log.db")
    retention_s: float = in_seconds("7d", "retention")
    size: int = in_bytes("10GB")
    refused_size: int = in_bytes("500MB")
    outcomes_size: int = in_bytes("1GB")
    dead_size: int = in_bytes("1GB")
    bootstrap_servers: str = "localhost:9092"
    prefix: str = "gateway."
    partitions: int = 8
    replication_factor: int = 3
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = (
        "PLAINTEXT"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """``[sources.NAME]``: who sends.

    ``rate`` is messages a second; None: any.
    ``forms``: form id -> field -> the attribute it is (Track API).
    """

    name: str = named("")
    kind: SourceKind = "server"
    write_keys: tuple[str, ...] = field(default=(), repr=False)
    site_id: str | None = field(default=None, repr=False)
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    origins: tuple[str, ...] = ("*",)
    on_invalid: Literal["reject", "accept"] = "reject"
    invalid_traits: InvalidTraits = "reject"
    clock_skew: ClockSkew = "ahead"
    rate: int | None = None
    schema: Path | None = None
    violation: Literal["reject", "flag"] = "reject"
    on_unplanned: Literal["allow", "flag", "reject"] = "allow"
    forms: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryConfig:
    """``[destinations.NAME.delivery]``: how fast, how often, for how long.

    ``rate`` is events a second; None: any.
    """

    concurrency: int = 32
    unsettled: int = 256
    retry_base_s: float = in_seconds("1s", "retry_base")
    retry_cap_s: float = in_seconds("5m", "retry_cap")
    probe_every_s: float = in_seconds("10s", "probe_every")
    rate: int | None = None
    timeout_s: float = in_seconds("10s", "timeout")
    max_age_s: float = in_seconds("4h", "max_age")
    dedupe_s: float = in_seconds("24h", "dedupe")
    dedupe_entries: int = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationConfig:
    """``[destinations.NAME]``: who receives.

    ``types`` None: all the type takes. ``transform``: FILE.py:FUNCTION.
    """

    name: str = named("")
    type: str
    display_name: tuple[str, ...] = texts()
    enabled: bool = True
    paused: bool = False
    types: tuple[str, ...] | None = None
    when: str | None = None
    transform: Path | None = None
    spelling: Literal["camelCase", "snake_case", "as_sent"] = "camelCase"
    order: Literal["person", "none"] = "person"
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    actions: tuple[Mapping[str, Any], ...] = ()
    oauth: Mapping[str, Any] = field(default_factory=dict, repr=False)
    env: Mapping[str, Any] = field(default_factory=dict, repr=False)
    delivery: DeliveryConfig = DeliveryConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressConfig:
    """``[egress]``: how requests leave, to all destinations.

    ``hosts``: host -> a URL that its requests go to instead, path and query kept.
    """

    proxy: str = ""
    hosts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleConfig:
    """``[console]``: pages behind a token (token.py); ``hosts``: names of a proxy."""

    enabled: bool = True
    listen: str = "127.0.0.1:9091"
    hosts: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of it. ``file`` is None for the built-in default; paths are absolute."""

    file: Path | None
    folder: Path
    server: Server
    limits: Limits
    log: LogConfig
    sources: Mapping[str, Source]
    destinations: Mapping[str, DestinationConfig]
    egress: EgressConfig = EgressConfig()
    console: ConsoleConfig = ConsoleConfig()
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """The tables of wings, as they stand in the file: each wing reads its own."""
    text: Text = field(default_factory=Text, repr=False, compare=False)

    @property
    def source_kinds(self) -> dict[str, SourceKind]:
        """Who sends what, by name."""
        return {name: source.kind for name, source in self.sources.items()}

    def source(self, name: str | None) -> Source:
        """The source that a command names; for None the first in the file."""
        if name is None:
            return next(iter(self.sources.values()))
        if name not in self.sources:
            known = ", ".join(self.sources)
            raise ConfigError(f"--source {name}: unknown; known are: {known}")
        return self.sources[name]

    def section(self, cls: type[T], name: str, mistakes: Mistakes) -> T:
        """A wing's table as ``cls``, which has a default for every key."""
        given = self.sections.get(name, {})
        return read(cls, given, name, self.folder, mistakes) or cls()


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read of a file, and what is wrong with the rest."""

    config: Config
    mistakes: Mistakes


def load(file: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration in ``file``, or the built-in default for None.

    ConfigError has everything that is wrong with the file itself.
    """
    return _finished(draft(file, environment))


def draft(file: Path | None, environment: Mapping[str, str] = os.environ) -> Draft:
    """As much of it as can be read; ConfigError for a file that is no TOML at all."""
    if file is None:
        return _draft(DEFAULT, Path.cwd(), None, environment)
    try:
        text = file.read_text(encoding="utf-8-sig")  # some editors mark it
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file}: cannot be read: {error}"
        raise ConfigError(message) from error
    return _draft(text, file.resolve().parent, file, environment)


def parse(
    text: str,
    *,
    folder: Path,
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """Text to values; ConfigError as ``load``."""
    return _finished(_draft(text, folder, file, environment))


def _finished(read: Draft) -> Config:
    read.mistakes.raise_any()
    return read.config


def _draft(
    text: str, folder: Path, file: Path | None, environment: Mapping[str, str]
) -> Draft:
    name = str(file or Text().name)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{name}:{line[1]}" if line else name
        raise ConfigError(f"{where}: is not TOML: {error}") from error
    mistakes = Mistakes(Text(name, lines_of(text)))
    table = substitute(table, environment, "", mistakes)
    config = _config(table, folder, file, mistakes)
    _check_whole(config, mistakes, has_sources=bool(table.get("sources")))
    return Draft(config, mistakes)


def _config(
    table: dict[str, Any], folder: Path, file: Path | None, mistakes: Mistakes
) -> Config:
    own = ("server", "limits", "log", "egress", "console", "sources", "destinations")
    known = (*own, *(name for name in WINGS if name not in own))
    with mistakes.catching():
        refuse_unknown(table, known, "")

    def section(cls: type[T], name: str) -> T:
        return read(cls, table.get(name, {}), name, folder, mistakes) or cls()

    def tables(cls: type[T], name: str) -> dict[str, T]:
        return read_named(cls, table.get(name, {}), name, folder, mistakes)

    return Config(
        file=file,
        folder=folder,
        server=section(Server, "server"),
        limits=section(Limits, "limits"),
        log=section(LogConfig, "log"),
        sources={n: _normal(s) for n, s in tables(Source, "sources").items()},
        destinations=tables(DestinationConfig, "destinations"),
        egress=section(EgressConfig, "egress"),
        console=section(ConsoleConfig, "console"),
        sections={name: table[name] for name in WINGS if name in table},
        text=mistakes.text,
    )


def _normal(source: Source) -> Source:
    """Its origins as browsers say them."""
    return replace(source, origins=tuple(origin(each).text for each in source.origins))


def _check_whole(config: Config, mistakes: Mistakes, *, has_sources: bool) -> None:
    """What no key alone can say."""
    for error in _whole(config, has_sources):
        mistakes.add(error)
    for name, destination in config.destinations.items():
        for kind in destination.types or ():
            with mistakes.catching():
                one_of(kind, EVENT_TYPES, f"destinations.{name}.types")
    for key, networks in (
        ("trusted_proxies", config.server.trusted_proxies),
        ("private_destinations", config.server.private_destinations),
    ):
        for number, network in enumerate(networks):
            with mistakes.catching():
                check_network(network, f"server.{key}[{number}]")
    for key in ("listen", "admin_listen"):
        with mistakes.catching():
            address(getattr(config.server, key), f"server.{key}")
    with mistakes.catching():
        address(config.console.listen, "console.listen")


def _whole(config: Config, has_sources: bool) -> Iterator[ConfigError]:  # noqa: FBT001 -- one caller
    if not has_sources:
        yield ConfigError('sources: none; add [sources.web] with write_keys = ["..."]')
    if config.limits.nesting > NESTING_MAX:
        text = f"limits.nesting: more than {NESTING_MAX} cannot be written as JSON"
        yield ConfigError(text)
    if (config.server.tls_certificate is None) != (config.server.tls_key is None):
        text = "server.tls_certificate and server.tls_key go together"
        yield ConfigError(text)
    if config.console.token is not None and not config.console.token.strip():
        yield ConfigError("console.token: is empty; leave it out, and one is made")
    owners: dict[str, str] = {}
    for name, source in config.sources.items():
        yield from _wrong_keys(f"sources.{name}", source, owners)


def _wrong_keys(
    place: str, source: Source, owners: dict[str, str]
) -> Iterator[ConfigError]:
    if source.kind == "track_api":
        if not source.site_id or not source.api_keys:
            yield ConfigError(f"{place}: kind track_api needs site_id and api_keys")
        yield from _wrong_track(place, source, owners)
    elif not source.write_keys:
        yield ConfigError(f"{place}.write_keys: missing; nobody could send")
    for key in source.write_keys:
        yield from _wrong_key(f"{place}.write_keys", key, key, source, owners)


def _wrong_key(
    place: str, key: str, credentials: str, source: Source, owners: dict[str, str]
) -> Iterator[ConfigError]:
    if not key.strip() or credentials != credentials.strip():
        yield ConfigError(f"{place}: a key is empty or has spaces")
    elif owners.setdefault(credentials, source.name) != source.name:
        yield ConfigError(f"{place}: {owners[credentials]} has the same key")


def _wrong_track(
    place: str, source: Source, owners: dict[str, str]
) -> Iterator[ConfigError]:
    """A Track API source's credentials are one text in a header: SITE_ID:API_KEY."""
    for key in source.api_keys:
        pair = f"{source.site_id}:{key}"
        yield from _wrong_key(f"{place}.api_keys", key, pair, source, owners)
    if ":" in (source.site_id or ""):
        text = f"{place}.site_id: has a colon, which ends it in a header"
        yield ConfigError(text)
    for form, attributes in source.forms.items():
        if not isinstance(attributes, dict) or not all(
            isinstance(each, str) for each in attributes.values()
        ):
            text = f"{place}.forms.{form}: not {{ FIELD = 'attribute' }}"
            yield ConfigError(text)
