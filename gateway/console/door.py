"""Who may come in: a token, or a link that works once, becomes a session. Pure.

A session is a text that only we can have written: until when, a number of its own, and
a code over both made with a key out of the token. So it outlives a restart, ends by
itself, and ends at once when the token is changed. Every comparison takes the same time
whatever was given.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from gateway.token import same

SESSION_S = 12 * 3_600
LINK_S = 15 * 60  # a link that nobody opened is worth nothing afterwards
LINKS_MAX = 20
LEFT_MAX = 1_000  # sessions ended before their time
WRONG_MAX = 10  # tokens given in vain, until they are no longer looked at
WRONG_S = 60.0


class Session(NamedTuple):
    """Somebody who came in; ``until_s`` is unix seconds."""

    until_s: int
    number: str


class Door:
    """Opens for the token, for each link once, and for the sessions it gave out."""

    def __init__(self, token: str, now_s: Callable[[], float] = time.time) -> None:
        self._token = token
        self._key = self._digest(token.encode(), "console")
        self._now_s = now_s
        self._links: dict[str, float] = {}  # digest of a code -> until when
        self._left: dict[str, float] = {}
        self._wrong: list[float] = []

    def link(self) -> str:
        """A code that opens once; the oldest unused one goes when there are many."""
        code = secrets.token_urlsafe(24)
        if len(self._links) >= LINKS_MAX:
            self._links.pop(next(iter(self._links)))
        self._links[self._code(code)] = self._now_s() + LINK_S
        return code

    def by_link(self, code: str) -> str | None:
        """A session for a code that nobody used before; None for any other text."""
        until_s = self._links.pop(self._code(code), 0.0)
        return self._session() if self._now_s() < until_s else None

    def by_token(self, given: str) -> str | None:
        """A session for the token; None for any other text."""
        if same(given, self._token):
            return self._session()
        self._wrong.append(self._now_s())
        return None

    @property
    def is_tried(self) -> bool:
        """Whether so many tokens were wrong lately that none is looked at for now."""
        self._wrong = [at for at in self._wrong if self._now_s() < at + WRONG_S]
        return len(self._wrong) >= WRONG_MAX

    def knows(self, said: str) -> Session | None:
        """The session that a cookie says; None for one that is not ours, or over."""
        until, _, rest = said.partition(".")
        number, _, code = rest.partition(".")
        mine = self._digest(self._key, f"session {until} {number}").hex()
        if not hmac.compare_digest(mine, _ascii(code)):
            return None
        session = Session(int(until), number)
        over = self._now_s() >= session.until_s or number in self._left
        return None if over else session

    def leave(self, session: Session) -> None:
        """End a session before its time."""
        now_s = self._now_s()
        self._left = {n: until for n, until in self._left.items() if until > now_s}
        if len(self._left) >= LEFT_MAX:
            self._left.pop(next(iter(self._left)))
        self._left[session.number] = session.until_s

    def form_token(self, who: str) -> str:
        """What a form of this session or visit brings along, so that it is ours."""
        return self._digest(self._key, f"form {who}").hex()

    def is_form_token(self, who: str, given: str) -> bool:
        """Whether a form is one that we showed to this session or visit."""
        return hmac.compare_digest(self.form_token(who), _ascii(given))

    def _session(self) -> str:
        until, number = int(self._now_s()) + SESSION_S, secrets.token_hex(16)
        code = self._digest(self._key, f"session {until} {number}").hex()
        return f"{until}.{number}.{code}"

    def _code(self, code: str) -> str:
        return self._digest(self._key, f"link {code}").hex()

    @staticmethod
    def _digest(key: bytes, text: str) -> bytes:
        data = text.encode("utf-8", "surrogatepass")
        return hmac.digest(key, data, hashlib.sha256)


def _ascii(text: str) -> str:
    """The same text if it can be compared at all."""
    return text if text.isascii() else ""
