"""The configuration: one TOML file, read strictly.

What comes in: text. What goes out: frozen values with every default filled in, or a
ConfigError that names the file, the key and what is known. Destination settings are
passed on as they are: the destination's type declares them (outbound/contract.py).
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.errors import ConfigError
from gateway.event import EVENT_TYPES, ClockSkew, SourceKind
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
)

NESTING_MAX = 200  # orjson writes 254 levels, and the event adds some

DEFAULT = """\
[sources.dev]
kind = "server"
write_keys = ["dev"]

[destinations.inbox]
type = "file"
settings = { path = "data/inbox.ndjson" }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """``[server]``: where it listens and whom it believes."""

    listen: str = "127.0.0.1:8080"
    admin_listen: str = "127.0.0.1:9090"
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
    site_id: str | None = None
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    origins: tuple[str, ...] = ("*",)
    on_invalid: Literal["reject", "accept"] = "reject"
    clock_skew: ClockSkew = "ahead"
    rate: int | None = None
    schema: Path | None = None
    violation: Literal["reject", "flag"] = "reject"
    forms: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryConfig:
    """``[destinations.NAME.delivery]``: how fast, how often, for how long.

    ``rate`` is events a second; None: any.
    """

    concurrency: int = 32
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

    ``types`` None: all the type takes.
    """

    name: str = named("")
    type: str
    display_name: str = ""
    enabled: bool = True
    paused: bool = False
    types: tuple[str, ...] | None = None
    when: str | None = None
    spelling: Literal["camelCase", "snake_case", "as_sent"] = "camelCase"
    order: Literal["person", "none"] = "person"
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    delivery: DeliveryConfig = DeliveryConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """``[workspace]``: people; used by a destination of type ``workspace``."""

    url: str = "sqlite:///data/workspace.db"
    identifiers: tuple[str, ...] = ("email", "id")
    reference_people_by_cio_id: bool = True
    allow_email_update_using_id: bool = False
    multi_identifier_profile_merge: bool = False
    anonymous_traits: Literal["ignore", "keep"] = "ignore"
    api_token: str | None = field(default=None, repr=False)


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
    workspace: Workspace | None = None


def load(file: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration in ``file``, or the built-in default for None."""
    if file is None:
        return parse(DEFAULT, folder=Path.cwd(), environment=environment)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file}: cannot be read: {error}"
        raise ConfigError(message) from error
    return parse(text, folder=file.resolve().parent, file=file, environment=environment)


def parse(
    text: str,
    *,
    folder: Path,
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Config:
    """Text to values; every error starts with the file's name and the key."""
    name = str(file or "built-in default")
    try:
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            message = f"is not TOML: {error}"
            raise ConfigError(message) from error
        table = substitute(table, environment, "")
        config = _config(table, folder, file)
        _check_whole(config)
    except ConfigError as error:
        message = f"{name}: {error}"
        raise ConfigError(message) from error
    return config


def _config(table: dict[str, Any], folder: Path, file: Path | None) -> Config:
    known = ("server", "limits", "log", "sources", "destinations", "workspace")
    refuse_unknown(table, known, "")
    workspace = table.get("workspace")
    return Config(
        file=file,
        folder=folder,
        server=read(Server, table.get("server", {}), "server", folder),
        limits=read(Limits, table.get("limits", {}), "limits", folder),
        log=read(LogConfig, table.get("log", {}), "log", folder),
        sources=read_named(Source, table.get("sources", {}), "sources", folder),
        destinations=read_named(
            DestinationConfig, table.get("destinations", {}), "destinations", folder
        ),
        workspace=None
        if workspace is None
        else read(Workspace, workspace, "workspace", folder),
    )


def _check_whole(config: Config) -> None:
    """What no key alone can say."""
    if not config.sources:
        message = 'sources: none; add [sources.web] with write_keys = ["..."]'
        raise ConfigError(message)
    if config.limits.nesting > NESTING_MAX:
        message = f"limits.nesting: more than {NESTING_MAX} cannot be written as JSON"
        raise ConfigError(message)
    _check_keys(config.sources)
    for name, destination in config.destinations.items():
        for kind in destination.types or ():
            one_of(kind, EVENT_TYPES, f"destinations.{name}.types")
    for key, networks in (
        ("trusted_proxies", config.server.trusted_proxies),
        ("private_destinations", config.server.private_destinations),
    ):
        for network in networks:
            check_network(network, f"server.{key}")
    for key in ("listen", "admin_listen"):
        address(getattr(config.server, key), f"server.{key}")
    if (config.server.tls_certificate is None) != (config.server.tls_key is None):
        message = "server.tls_certificate and server.tls_key go together"
        raise ConfigError(message)


def _check_keys(sources: Mapping[str, Source]) -> None:
    owners: dict[str, str] = {}
    for name, source in sources.items():
        if source.kind == "track_api":
            if not source.site_id or not source.api_keys:
                message = f"sources.{name}: kind track_api needs site_id and api_keys"
                raise ConfigError(message)
            _check_track(name, source, owners)
        elif not source.write_keys:
            message = f"sources.{name}.write_keys: missing; nobody could send"
            raise ConfigError(message)
        for key in source.write_keys:
            if not key.strip() or key != key.strip():
                message = f"sources.{name}.write_keys: a key is empty or has spaces"
                raise ConfigError(message)
            if owners.setdefault(key, name) != name:
                message = f"sources.{name}.write_keys: {owners[key]} has the same key"
                raise ConfigError(message)


def _check_track(name: str, source: Source, owners: dict[str, str]) -> None:
    """A Track API source's credentials are one text in a header: SITE_ID:API_KEY."""
    for key in source.api_keys:
        pair = f"{source.site_id}:{key}"
        if not key.strip() or pair != pair.strip():
            message = f"sources.{name}.api_keys: a key is empty or has spaces"
            raise ConfigError(message)
        if owners.setdefault(pair, name) != name:
            message = f"sources.{name}.api_keys: {owners[pair]} has the same key"
            raise ConfigError(message)
    if ":" in (source.site_id or ""):
        message = f"sources.{name}.site_id: has a colon, which ends it in a header"
        raise ConfigError(message)
    for form, fields in source.forms.items():
        if not isinstance(fields, dict) or not all(
            isinstance(each, str) for each in fields.values()
        ):
            message = f"sources.{name}.forms.{form}: not {{ FIELD = 'attribute' }}"
            raise ConfigError(message)
