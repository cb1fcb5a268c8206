"""A key -> its source. The first key that is present decides (CLIENTS §4.2).

Keys are known by a keyed digest only: what is compared is the digest, so the time a
comparison takes tells nothing about a key.
"""

import base64
import binascii
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from gateway.config import Source
from gateway.errors import AuthError

HEADERS_MAX = 1_000  # spellings of valid keys: the password may be anything
HEADER_MAX = 4_096  # characters; longer is no key of ours
STANDARD_ALPHABET = str.maketrans("-_", "+/")


class Scheme(NamedTuple):
    """How keys are given: which a source has, and which a header brings.

    ``unknown`` says that nobody has a key.
    """

    keys_of: Callable[[Source], Iterable[str]]
    key_in: Callable[[str], str | None]
    unknown: str


class Known(NamedTuple):
    """A key that somebody has: whose it is, and which of theirs."""

    source: Source
    key: tuple[str, int]


class Keys:
    """Every key of the configuration; several per source, for rotation.

    ``uses`` counts how often each is used, by (source, its place among the source's
    keys): an old one that nobody uses any more may go.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        scheme: Scheme | None = None,
        uses: Counter[tuple[str, int]] | None = None,
    ) -> None:
        self._scheme = scheme or WRITE_KEYS
        self._salt = secrets.token_bytes(16)
        self._headers: dict[bytes, Known] = {}  # by the digest of a whole header
        self._uses = Counter() if uses is None else uses
        self._known = {
            self._digest(key): Known(source, (source.name, number))
            for source in sources.values()
            for number, key in enumerate(self._scheme.keys_of(source))
        }

    def find(self, key: str) -> Source:
        """The source that has this key; AuthError when nobody has it."""
        return self._used(self._find(key))

    def _find(self, key: str) -> Known:
        known = self._known.get(self._digest(key.strip()))
        if known is None:
            raise AuthError("unknown_write_key", self._scheme.unknown)
        return known

    def _used(self, known: Known) -> Source:
        self._uses[known.key] += 1
        return known.source

    def in_header(self, authorization: str | None) -> Source | None:
        """The source of a Basic or Bearer header; None when it names no key."""
        if not authorization:
            return None
        digest = self._digest(authorization)
        known = self._headers.get(digest)
        if known is None:
            key = self._scheme.key_in(authorization)
            if not key:
                return None
            known = self._find(key)
            if len(self._headers) >= HEADERS_MAX:
                self._headers.clear()
            self._headers[digest] = known
        return self._used(known)

    def in_body(self, write_key: object) -> Source | None:
        """The source of a ``writeKey`` in a body; None when it has none."""
        if not isinstance(write_key, str) or not write_key.strip():
            return None
        return self.find(write_key)

    def _digest(self, key: str) -> bytes:
        data = key.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self._salt, digest_size=16).digest()


def may_send(source: Source, origin: str) -> bool:
    """Whether a page of this origin may send to a source (``origins``)."""
    return "*" in source.origins or origin in source.origins


def _key(authorization: str) -> str | None:
    scheme, _, credentials = authorization.strip().partition(" ")
    credentials = credentials.strip()
    match scheme.lower():
        case "bearer":
            return credentials
        case "basic":
            return _basic(credentials).partition(":")[0].strip()
        case _:
            return None


def _pair(authorization: str) -> str | None:
    scheme, _, credentials = authorization.strip().partition(" ")
    return _basic(credentials.strip()) if scheme.lower() == "basic" else None


def _pairs_of(source: Source) -> Iterable[str]:
    if source.kind != "track_api":
        return ()
    return [f"{source.site_id}:{key}" for key in source.api_keys]


def _basic(credentials: str) -> str:
    """Basic credentials: either alphabet, padding optional."""
    if len(credentials) > HEADER_MAX:
        raise AuthError("unknown_write_key", "the Authorization header is too long")
    padded = credentials.translate(STANDARD_ALPHABET).rstrip("=")
    padded += "=" * (-len(padded) % 4)
    try:
        pair = base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        message = "the Basic credentials are not base64 of KEY:"
        raise AuthError("unknown_write_key", message) from None
    try:
        return pair.decode()
    except (
        UnicodeDecodeError
    ):  # older clients write Latin-1; a password may be anything
        return pair.decode("latin-1")


WRITE_KEYS = Scheme(
    keys_of=lambda source: source.write_keys,
    key_in=_key,
    unknown="no source has this write key",
)
SITE_KEYS = Scheme(  # SITE_ID:API_KEY of the sources that speak the Track API
    keys_of=_pairs_of,
    key_in=_pair,
    unknown="no source of kind track_api has this site id and API key",
)
