"""Traces as a wing: a section of the configuration, and its mistakes.

It opens nothing: every process makes spans, an intake too, so ``app`` begins it.
"""

from collections.abc import Mapping
from typing import Any

from gateway.config import Config
from gateway.errors import ConfigError
from gateway.mistakes import Mistakes
from gateway.outbound.kind import Kind
from gateway.telemetry.settings import Telemetry, check, telemetry_of
from gateway.topics import Declared
from gateway.wing import Opened, Shared, Wing


class TelemetryWing:
    """What a configuration makes of it."""

    kinds: Mapping[str, Kind[Any]] = {}
    topics: Mapping[str, Declared] = {}

    def __init__(self, config: Config, settings: Telemetry) -> None:
        self._config = config
        self.settings = settings

    def check(self) -> None:
        """Raise ConfigError for what cannot work."""
        wrong = list(check(self.settings, self._config))
        if wrong:
            raise ConfigError(*(text for error in wrong for text in error.args))

    def open(self, shared: Shared) -> Opened | None:
        """It has no part of its own."""
        del shared
        return None


def wing(config: Config, mistakes: Mistakes) -> Wing:
    """The wing of this configuration."""
    return TelemetryWing(config, telemetry_of(config, mistakes))
