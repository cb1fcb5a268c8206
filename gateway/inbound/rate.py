"""How fast a source may send (``rate``): a token bucket that may go into debt once.

Debt lets a batch larger than a second's worth through, and makes the source wait it
off; without it such a batch could never be sent.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Budget:
    """A source's messages a second; holds one second's worth."""

    rate: int
    left: float = field(init=False)
    at_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.left = float(self.rate)

    def spend(self, messages: int, now_s: float) -> float:
        """Seconds to wait first; 0 when the messages may pass, and they are spent."""
        refill = max(0.0, now_s - self.at_s) * self.rate
        self.left = min(float(self.rate), self.left + refill)
        self.at_s = now_s
        if self.left <= 0:
            return (1 - self.left) / self.rate
        self.left -= messages
        return 0.0
