"""What the configuration says of the ledger."""

from dataclasses import dataclass
from pathlib import Path

from gateway.values import in_bytes, in_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """``[ledger]``: what became of every event, to be asked afterwards."""

    enabled: bool = True
    path: Path = Path("data/ledger.db")
    retention_s: float = in_seconds("30d", "retention")
    size: int = in_bytes("5GB")
