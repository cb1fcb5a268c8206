"""What the configuration says of traces."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from gateway.config import Config
from gateway.errors import ConfigError
from gateway.mistakes import Mistakes
from gateway.values import in_seconds
from gateway.web import is_url

NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """``[telemetry]``: traces of some requests, from the POST to each delivery.

    ``endpoint`` empty: off.
    """

    endpoint: str = field(default="", repr=False)
    headers: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sample: int = 100
    follow: bool = True
    service: str = "gateway"
    timeout_s: float = in_seconds("10s", "timeout")


def telemetry_of(config: Config, mistakes: Mistakes | None = None) -> Telemetry:
    """The section; what is wrong with it is noted."""
    noted = Mistakes(config.text) if mistakes is None else mistakes
    return config.section(Telemetry, "telemetry", noted)


def check(settings: Telemetry, config: Config) -> Iterator[ConfigError]:
    """Everything that cannot work, each with its place and remedy."""
    if not settings.endpoint:
        if "telemetry" in config.sections:
            text = 'telemetry.endpoint: is missing: write "http://HOST:4318/v1/traces"'
            yield ConfigError(text)
        return
    if not is_url(settings.endpoint):
        yield ConfigError("telemetry.endpoint: is no http:// or https:// URL")
    for name, value in settings.headers.items():
        if not isinstance(value, str) or not value.isprintable() or not value.isascii():
            text = f"telemetry.headers.{name}: is not a text of printable ASCII"
            yield ConfigError(text)
    if not _installed():
        text = "telemetry: needs OpenTelemetry: pip install 'gateway[otel]'"
        yield ConfigError(text)


def _installed() -> bool:
    try:
        return all(find_spec(each) is not None for each in NEEDED)
    except ModuleNotFoundError:
        return False
