"""What cannot work though every key can be read: found before anything is opened."""

import re
import ssl
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from gateway.config import Config, EgressConfig, LogConfig, Server, Source
from gateway.errors import ConfigError
from gateway.mistakes import Unfit
from gateway.values import address
from gateway.web import EVERYWHERE, base_url, is_host, origin

PREFIX = re.compile(r"[a-zA-Z0-9._-]{0,100}")
BROKER = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::\d{1,5})?")
TOLD_WHERE = frozenset({"browser", "mobile"})  # their SDKs ask where to send


def unworkable(config: Config) -> Iterator[ConfigError]:
    """Everything of that kind, each with its place and remedy."""
    yield from _wrong_server(config.server, config.sources.values())
    if config.log.kind == "kafka":
        yield from _wrong_kafka(config.log)
    yield from _wrong_egress(config.egress)
    for name, source in config.sources.items():
        yield from _wrong_origins(f"sources.{name}.origins", source)


def check_authorities(config: Config) -> None:
    """Raise ConfigError for certificates of Kafka's brokers that cannot be read."""
    log = config.log
    if log.kind == "kafka" and log.ssl_ca is not None and "SSL" in _protocol(log):
        try:
            ssl.create_default_context(cafile=log.ssl_ca)
        except (OSError, ssl.SSLError) as error:
            why = error.strerror or "is not PEM"
            raise ConfigError(f"log.ssl_ca: {log.ssl_ca}: {why}") from error


def _protocol(log: LogConfig) -> set[str]:
    return set(log.security_protocol.split("_"))


def _wrong_server(server: Server, sources: Iterable[Source]) -> Iterator[ConfigError]:
    url = server.public_url
    if url is not None and (wrong := base_url(url).wrong):
        yield Unfit("server.public_url", url, wrong)
    for number, name in enumerate(server.admin_hosts):
        if not is_host(name):
            why = "is no name of a host: write it without scheme, port and path"
            yield Unfit(f"server.admin_hosts[{number}]", name, why)
    try:
        host, port = address(server.listen, "server.listen")
        other_host, other_port = address(server.admin_listen, "server.admin_listen")
    except ConfigError:
        return  # told already
    kinds = sorted({each.kind for each in sources} & TOLD_WHERE)
    if url is None and host in EVERYWHERE and kinds:
        why = (
            f"is no address to send to, and {kinds[0]} SDKs would be told it: set "
            "server.public_url"
        )
        yield Unfit("server.listen", server.listen, why)
    both = host, other_host
    if port == other_port != 0 and (
        host == other_host or not EVERYWHERE.isdisjoint(both)
    ):
        why = "is the port of server.listen, too: choose another"
        yield Unfit("server.admin_listen", server.admin_listen, why)


def _wrong_kafka(log: LogConfig) -> Iterator[ConfigError]:
    for broker in log.bootstrap_servers.split(","):
        if not BROKER.fullmatch(broker.strip()):
            why = "is not HOST:PORT; several stand with commas in between"
            yield Unfit("log.bootstrap_servers", broker.strip(), why)
    if not PREFIX.fullmatch(log.prefix):
        why = "is no beginning of a topic's name: up to 100 of a-z A-Z 0-9 . _ -"
        yield Unfit("log.prefix", log.prefix, why)
    parts, login = _protocol(log), (log.sasl_username, log.sasl_password)
    if "SASL" in parts and not all(login):
        needs = "needs log.sasl_username and log.sasl_password"
        yield ConfigError(f"log.security_protocol: {log.security_protocol} {needs}")
    for key, is_set, wanted in (
        ("sasl_username", login[0] is not None, "SASL"),
        ("sasl_password", login[1] is not None, "SASL"),
        ("ssl_ca", log.ssl_ca is not None, "SSL"),
    ):
        if is_set and wanted not in parts:
            text = f"is not used with security_protocol = {log.security_protocol!r}"
            known = f"{wanted}{'_SSL' if wanted == 'SASL' else ''}"
            yield ConfigError(f"log.{key}: {text}: set {known}, or leave it out")


def _wrong_egress(egress: EgressConfig) -> Iterator[ConfigError]:
    if egress.proxy and not _is_base(egress.proxy, "http"):
        text = "egress.proxy: is not http://HOST:PORT"  # it may hold a password
        yield ConfigError(text)
    for host, url in egress.hosts.items():
        if not isinstance(url, str) or not _is_base(url, "http", "https"):
            why = "is not a URL such as http://127.0.0.1:18999"
            yield Unfit(f"egress.hosts.{host}", url, why)
        if "/" in host or host != host.lower():
            why = "is not a host such as api.example.com, in lower case"
            yield Unfit("egress.hosts", host, why)


def _is_base(url: str, *schemes: str) -> bool:
    """Whether a request could go there, as far as its text tells."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in schemes and is_host(parts.hostname or "")
        return fits and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:  # a port or an address that is none
        return False


def _wrong_origins(place: str, source: Source) -> Iterator[ConfigError]:
    if source.kind == "browser" and not source.origins:
        yield ConfigError(f'{place}: none; no page could send. Name some, or "*"')
    for number, text in enumerate(source.origins):
        if wrong := origin(text).wrong:
            yield Unfit(f"{place}[{number}]", text, wrong)
