"""The ledger as the pages read it: a reader of it, and who tells out of it.

None where the ledger is switched off: the pages then say how to switch it on.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.console.eyes import Eyes
from gateway.ledger.account import Accountant
from gateway.ledger.again import Standing as Letters
from gateway.ledger.contract import LedgerError
from gateway.ledger.queries import Queries
from gateway.ledger.search import Page, Search
from gateway.ledger.settings import ledger_of
from gateway.ledger.store import Store
from gateway.ledger.story import Now, Teller


@dataclass(frozen=True, slots=True)
class Book:
    """What can be asked of the ledger."""

    store: Store
    teller: Teller
    accountant: Accountant

    async def search(self, wanted: Search) -> Page:
        """A page of events; ConfigError for what cannot be asked."""
        return await self.store.ask(lambda c: Queries(c).search(wanted))

    async def letters(self, since_ms: int) -> Mapping[str, Letters]:
        """Dead letters given up since, by destination; none while it cannot tell."""
        now_ms = time.time_ns() // 1_000_000 + 1
        try:
            return await self.store.ask(lambda c: Queries(c).letters(since_ms, now_ms))
        except LedgerError:
            return {}

    async def close(self) -> None:
        """Let go of the connection."""
        await self.store.close()


def book_of(eyes: Eyes) -> Book | None:
    """The ledger of this configuration; opened by the first question."""
    shared = eyes.shared
    settings = ledger_of(shared.config)
    if not settings.enabled:
        return None
    store = Store.of(settings, writes=False)
    now = Now.of(shared.config, shared.shows, shared.tries)
    return Book(store, Teller(store, shared.log, now), Accountant(store, shared.log))
