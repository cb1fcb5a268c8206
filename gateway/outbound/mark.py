"""A short mark of how a destination is configured: whether it has changed since."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from gateway.config import DestinationConfig
from gateway.mistakes import SECRET

MARK_CHARS = 8
SHAPING = ("type", "types", "when", "spelling", "settings", "actions")


def mark_of(config: DestinationConfig) -> str:
    """Another text, most probably, when an event would become something else here.

    Secrets are left out: a mark stands in the log, where it could be tried against
    guesses. A transform counts with its text, where that can be read.
    """
    said = {name: _open(getattr(config, name)) for name in SHAPING}
    if config.transform is not None:
        said["transform"] = [str(config.transform.name), _text(config)]
    written = orjson.dumps(said, option=orjson.OPT_SORT_KEYS, default=str)
    return sha256(written).hexdigest()[:MARK_CHARS]


def _open(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _open(v) for k, v in value.items() if not SECRET.search(str(k))}
    if isinstance(value, list | tuple):
        return [_open(each) for each in value]
    return value


def _text(config: DestinationConfig) -> str:
    file = Path(str(config.transform).rpartition(":")[0])
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
