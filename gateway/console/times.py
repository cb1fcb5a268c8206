"""A time as a form says it. Pure."""

from datetime import UTC, datetime

from gateway.errors import ConfigError


def time_of(text: str, name: str) -> int | None:
    """Unix milliseconds; None for an empty field; without an offset it is UTC."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f"{name}: {text} is no time such as 2026-01-15T10:12"
        raise ConfigError(message) from None
    return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)
