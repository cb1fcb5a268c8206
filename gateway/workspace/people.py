"""The nouns of the workspace: people, identifiers, devices, what happened to them.

All are values. Those whose fields are plain text or JSON are rows of the store, too.
Times are unix seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, NamedTuple, TypeAlias

from gateway.event import Json

CIO_PREFIX = "cio_"
CIO_ID_BYTES = 10
KINDS = ("id", "email", "cio_id")
Kind: TypeAlias = Literal["id", "email", "cio_id"]
Result: TypeAlias = Literal[
    "added", "updated", "merged", "ignored", "ignored_and_suppressed"
]


class Identifier(NamedTuple):
    """A value that names one person; as sent. Compare the ``key``s."""

    kind: str
    value: str

    @property
    def key(self) -> "Identifier":
        """The same in the form that is unique: emails in lower case (R21)."""
        return self if self.kind != "email" else Identifier("email", fold(self.value))

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def fold(email: str) -> str:
    """The form in which emails are compared (R21, D11)."""
    return email.lower()


def new_cio_id(source: str, message_id: str, replay: str | None) -> str:
    """The cio_id of whom this event adds: the same whenever the log is read again.

    80 bits of a digest. An event adds one person at most, and is applied once for each
    (source, message id, replay), so no two people get the same.
    """
    parts = [source, message_id] if replay is None else [source, message_id, replay]
    text = "\0".join(parts).encode()
    return blake2b(text, digest_size=CIO_ID_BYTES).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person. ``email`` is spelled as it was first given (D10)."""

    cio_id: str
    id: str | None = None
    email: str | None = None
    attributes: Mapping[str, Json] = field(default_factory=dict)
    created_at: int = 0
    last_seen: int | None = None

    def value(self, kind: str) -> str | None:
        """The identifier of a kind, as stored."""
        if kind == "email":
            return self.email
        return self.id if kind == "id" else self.cio_id

    def identifiers(self) -> list[Identifier]:
        """The keys under which this person is found, cio_id included."""
        keys = [Identifier("cio_id", self.cio_id)]
        if self.id is not None:
            keys.append(Identifier("id", self.id))
        if self.email is not None:
            keys.append(Identifier("email", fold(self.email)))
        return keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A push token and whose it is; ``owner`` None: nobody's yet (E013)."""

    token: str
    owner: str | None
    platform: str
    last_used: int
    last_status: str = ""
    attributes: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anonymous:
    """What is known of an anonymousId: whose it became, and traits kept till then."""

    anonymous_id: str
    owner: str | None = None
    traits: Mapping[str, Json] = field(default_factory=dict)


class Failed(NamedTuple):
    """A failed attribute change (D20): the rest of its request was applied."""

    identifier: str
    value: Json
    reason: str


class Activity(NamedTuple):
    """Something that happened to a person, or under an anonymousId."""

    type: str
    data: Mapping[str, Json]
    owner: str | None = None
    anonymous_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """Everybody and everything a request may be about; keys as ``Identifier.key``.

    ``suppressed`` has the group of each: what was suppressed together is lifted
    together. ``devices`` is by token, ``anonymous`` by anonymousId.
    """

    people: Mapping[Identifier, Person]
    suppressed: Mapping[Identifier, str]
    devices: Mapping[str, Device]
    anonymous: Mapping[str, Anonymous]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A person who is no more; ``into`` is who has the devices and activities now."""

    person: Person
    into: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a request: everything that changes, as it is afterwards.

    Whoever is in ``gone`` goes before those in ``people`` come. ``attach``: what was
    kept under this anonymousId is this person's from now on.
    """

    result: Result
    reason: str | None = None
    person: str | None = None
    people: tuple[Person, ...] = ()
    gone: tuple[Gone, ...] = ()
    failed: tuple[Failed, ...] = ()
    suppress: tuple[Identifier, ...] = ()
    group: str = ""
    lift: tuple[Identifier, ...] = ()
    devices: tuple[Device, ...] = ()
    devices_gone: tuple[str, ...] = ()
    anonymous: tuple[Anonymous, ...] = ()
    attach: tuple[str, str] | None = None
    activities: tuple[Activity, ...] = ()
