"""What the configuration says of the ledger."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.config import Config
from gateway.mistakes import Mistakes
from gateway.values import in_bytes, in_seconds

FILE = "ledger.db"
HOST = r"(?:[\w.-]+|\[[0-9a-fA-F:.]+\])?(?::\d{1,5})?"
URL = re.compile(
    rf"postgres(?:ql)?://(?:[^@/?#]*@)?({HOST}(?:,{HOST})*/[\w.%-]+)(?:\?[^@#]*)?"
)
"""What stands before ``@`` is a secret; that no ``@`` comes later proves that it did
not begin in a password that should have been written with ``%``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """``[ledger]``: what became of every event, to be asked afterwards.

    ``path`` None: beside the log, where there is room and a right to write. With
    ``url`` it is in PostgreSQL instead.
    """

    enabled: bool = True
    path: Path | None = None
    url: str | None = field(default=None, repr=False)
    retention_s: float = in_seconds("30d", "retention")
    size: int = in_bytes("5GB")

    @property
    def file(self) -> Path:
        """Where it is, as ``ledger_of`` has filled it in."""
        assert self.path is not None
        return self.path


def ledger_of(config: Config, mistakes: Mistakes | None = None) -> Ledger:
    """The section, with its path filled in; what is wrong with it is noted."""
    noted = Mistakes(config.text) if mistakes is None else mistakes
    settings = config.section(Ledger, "ledger", noted)
    if settings.path or settings.url is not None:
        return settings
    return replace(settings, path=config.log.path.with_name(FILE))


def wrong_of(config: Config, settings: Ledger) -> list[str]:
    """What cannot be, each beginning with its key; opens nothing."""
    wrong, log = [], config.log
    if settings.url is None:
        if log.kind == "sqlite" and log.path.resolve() == settings.file.resolve():
            wrong.append("ledger.path: log.path writes this file, too")
        return wrong
    if settings.path is not None:
        wrong.append("ledger.path: ledger.url is given, too: leave one of them out")
    if not URL.fullmatch(settings.url):
        text = "ledger.url: not postgresql://USER:PASSWORD@HOST/NAME"
        wrong.append(f"{text} (in a password @ is %40, / is %2F, # is %23, ? is %3F)")
    return wrong


def shown(url: str) -> str:
    """Where a database is, without who comes and how: for errors."""
    match = URL.fullmatch(url)
    return f"postgresql://{match[1]}" if match else "ledger.url"
