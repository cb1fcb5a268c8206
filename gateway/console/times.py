"""A time as a form says it. Pure."""

from gateway.errors import ConfigError
from gateway.event import unix_ms


def time_of(text: str, name: str) -> int | None:
    """Unix milliseconds; None for an empty field; without an offset it is UTC."""
    if not text:
        return None
    try:
        return unix_ms(text)
    except ValueError:
        message = f"{name}: {text} is no time such as 2026-01-15T10:12"
        raise ConfigError(message) from None
