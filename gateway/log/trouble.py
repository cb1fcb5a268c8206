"""What fails again and again: told when it begins, and when it has passed."""

from gateway.errors import LogError
from gateway.notices import NoticeCode, Say


class Trouble:
    """One thing that may fail, and the two notices of it."""

    def __init__(self, say: Say, failed: NoticeCode, recovered: NoticeCode) -> None:
        self._say, self._codes = say, (failed, recovered)
        self.error: str | None = None
        """What is wrong now."""

    def failed(self, error: LogError) -> None:
        """It failed, perhaps again; the newest cause is kept."""
        if self.error is None:
            self._say(self._codes[0], error=str(error))
        self.error = str(error)

    def passed(self) -> None:
        """It worked."""
        if self.error is not None:
            self.error = None
            self._say(self._codes[1])
