"""What a terminal is told when a gateway is ready: where it is, and what to try."""

import sys
from collections.abc import Sequence

from gateway.config import Config
from gateway.ports import Port
from gateway.token import Token, console_token

HINT = """\
try   curl {url}/v1/identify -u dev: -d '{{"userId": "97980cfea0067", \
"traits": {{"email": "cool.person@example.com"}}}}'
look  tail -f {inbox}
      .venv/bin/gateway read events
      {admin}/metrics
"""
MADE = "token {token} opens the console and the ledger; it is kept in {file}\n"


def token_of(config: Config) -> Token | None:
    """The console's token, made now if there is none; None if nobody asks for it."""
    ledger = config.sections.get("ledger", {}).get("enabled", True)
    return console_token(config) if config.console.enabled or ledger else None


def say_ready(
    config: Config,
    public: Port | None,
    admin: Port,
    more: Sequence[Port],
    token: Token | None,
) -> None:
    """The ready line; at a terminal, or with nothing configured, what to try next."""
    where = f"{public.url} " if public is not None else ""
    hint = ""
    if config.file is None and public is not None:
        inbox = config.destinations["inbox"].settings["path"]
        hint = HINT.format(url=public.url, admin=admin.url, inbox=inbox)
    if config.file is None or sys.stdout.isatty():
        hint += "".join(f"{port.said}\n" for port in more)
    if token is not None and token.made is not None:
        hint += MADE.format(token=token.text, file=token.made)
    sys.stdout.write(f"ready {where}admin {admin.url}\n{hint}")
    sys.stdout.flush()
    if token is not None and token.trouble is not None:
        sys.stderr.write(f"gateway: {token.trouble}\n")
