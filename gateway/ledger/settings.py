"""What the configuration says of the ledger."""

from dataclasses import dataclass, replace
from pathlib import Path

from gateway.config import Config
from gateway.mistakes import Mistakes
from gateway.values import in_bytes, in_seconds

FILE = "ledger.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """``[ledger]``: what became of every event, to be asked afterwards.

    ``path`` None: beside the log, where there is room and a right to write.
    """

    enabled: bool = True
    path: Path | None = None
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
    beside = config.log.path.with_name(FILE)
    return settings if settings.path else replace(settings, path=beside)
