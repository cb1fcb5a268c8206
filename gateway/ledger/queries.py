"""The questions that the ledger answers: one class, a method each, every one bounded.

Each is asked on a connection that reads (``Store.ask(lambda c: Queries(c)...)``). Times
are unix milliseconds and judged on receivedAt; a span is [from, until). Nothing here
knows the log or the configuration: ``story.py`` and ``account.py`` add what they say.
"""

from collections.abc import Sequence

from gateway.event import Json
from gateway.ledger import again, fields, names, search, tallies
from gateway.ledger.again import Letter, Since, Standing
from gateway.ledger.contract import Connection
from gateway.ledger.fields import Found
from gateway.ledger.names import Kind, Sent, Steady
from gateway.ledger.rows import Rows, Story
from gateway.ledger.search import Page, Search
from gateway.ledger.tallies import FOR_EVER_MS, Counted, Open


class Queries:
    """What can be asked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def story(self, message_id: str) -> list[Story]:
        """Every occurrence of a message, oldest first, each with all its ends."""
        return Rows(self._connection).story(message_id)

    def search(self, wanted: Search) -> Page:
        """A page of events and refused messages, newest first; ConfigError: no such."""
        wanted.check()
        return search.search(self._connection, wanted)

    def counted(self, from_ms: int = 0, until_ms: int = FOR_EVER_MS) -> Counted:
        """How many were admitted, refused, and came to what, by source, destination."""
        return tallies.counted(self._connection, from_ms, until_ms)

    def open(
        self, source: str, destination: str, from_ms: int, until: int
    ) -> list[Open]:
        """Events that were routed to a destination and have not ended there."""
        span = from_ms, until
        return tallies.open_events(self._connection, source, destination, span)

    def per_minute(self, from_ms: int, until_ms: int) -> list[dict[str, Json]]:
        """``{"at", "destination", "kind", "events"}`` for plots, oldest first.

        Without a destination: ``admitted`` and ``refused`` of all sources.
        """
        return tallies.per_minute(self._connection, from_ms, until_ms)

    def dead(self, from_ms: int, until_ms: int) -> list[dict[str, Json]]:
        """``{"destination", "reason", "status", "error", "events", "open", ...}``.

        ``error`` is what the last attempt was answered. ``since`` says what replays
        of them came to, ``open`` how many are left; the most open come first.
        """
        return tallies.dead_groups(self._connection, from_ms, until_ms)

    def letters(self, since_ms: int, now_ms: int) -> dict[str, Standing]:
        """Dead letters of each destination that were given up since; the open ones."""
        return again.standings(self._connection, since_ms, now_ms)

    def since(self, destination: str, letters: Sequence[Letter]) -> list[Since | None]:
        """What the last replay of each of these dead letters came to."""
        return again.since_of(self._connection, destination, letters)

    def refused(self, from_ms: int, until_ms: int) -> list[dict[str, Json]]:
        """``{"source", "code", "pointer", "events", "first", "last"}``."""
        return tallies.refused_groups(self._connection, from_ms, until_ms)

    def catalogue(self, from_ms: int, until_ms: int, source: str = "") -> list[Sent]:
        """What came in the hours of the span: by source, the most frequent first."""
        return names.catalogue(self._connection, from_ms, until_ms, source)

    def fields(self, from_ms: int, until_ms: int, source: str = "") -> Found:
        """What the events had that came in the days of the span; of one source or all.

        At most 50,000 rows, one for each type of a field.
        """
        return fields.found(self._connection, from_ms, until_ms, source)

    def steadiness(self, from_ms: int) -> list[Steady]:
        """How steadily the most frequent kinds of events came since."""
        return names.steadiness(self._connection, from_ms)

    def latest(self, from_ms: int) -> dict[Kind, int]:
        """When each kind of event that came since came last."""
        return names.latest(self._connection, from_ms)
