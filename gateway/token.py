"""The console's token: given in the configuration, else made once and kept in a file.

It opens what shows people's data: the console, and the ledger's paths of the admin
port. The file stands beside the log, mode 0600: who can read it could read the log.
"""

import os
import secrets
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gateway.config import Config
from gateway.errors import ConfigError

FILE = "console.token"
TOKEN_BYTES = 32


class Token(NamedTuple):
    """The token; ``made`` is the file it was written to just now, else None.

    ``trouble``: why it could not be kept. Then it is of this process alone, and nobody
    knows it: what it opens is closed.
    """

    text: str
    made: Path | None = None
    trouble: str | None = None


def console_token(config: Config) -> Token:
    """``console.token``, else the one in ``console.token`` beside the log.

    Made when neither is there; several processes that start at once agree on one.
    ConfigError for a file that holds none.
    """
    if config.console.token is not None:
        return Token(config.console.token)
    file = config.log.path.parent / FILE
    try:
        return _kept(file) or _made(file)
    except (OSError, UnicodeDecodeError) as error:
        text = f"console.token: not set, and {file} cannot be used ({error})"
        return Token(_unknown(file), None, f"{text}: nobody can come in; set it")


@cache
def _unknown(file: Path) -> str:
    """The same for whoever asks in this process."""
    del file
    return secrets.token_urlsafe(TOKEN_BYTES)


def same(given: str, token: str) -> bool:
    """Whether a text is the token, in constant time; it may hold any bytes."""
    # aiohttp shows bytes of a header that are no UTF-8 as surrogates.
    said = given.encode("utf-8", "surrogateescape")
    return secrets.compare_digest(said, token.encode())


def _kept(file: Path) -> Token | None:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    if not text:
        raise ConfigError(f"{file}: is empty; delete it, and a new token is made")
    return Token(text)


def _made(file: Path) -> Token:
    """Linked into its place when it is whole, so that nobody reads a part of it."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f"{FILE}.{secrets.token_hex(8)}")
    try:
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(f"{token}\n", encoding="utf-8")
        os.link(draft, file)
    except FileExistsError:
        if (theirs := _kept(file)) is not None:
            return theirs
        raise
    finally:
        draft.unlink(missing_ok=True)
    return Token(token, file)
