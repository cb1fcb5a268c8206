"""Whom no worker may send (DESIGN §7): asked before every attempt.

The workspace publishes the topic ``suppressed``; every process that has workers follows
it here. Key ``email:VALUE`` or ``id:VALUE``, in the value perhaps the person's cio_id;
an empty value lifts the block.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

import orjson

from gateway import topics
from gateway.errors import LogError
from gateway.event import Event
from gateway.log.contract import EventLog, Record, Span
from gateway.outbound.retry import pause_s

CIO_PREFIX = "cio_"  # a userId with it is a cio_id
ALIAS = ("userId", "previousId")  # it is about both
IDENTIFIERS = b'"identifiers"'
KEYS = (b'"userId"', b'"previousId"', b'"email"')
TEXT = b':"'
EVERY = 1_000  # records until the loop may do something else


class Suppressed:
    """The suppressed identifiers, ``email:VALUE``, ``id:VALUE``, ``cio_id:VALUE``."""

    def __init__(self, identifiers: Iterable[str] = ()) -> None:
        self._identifiers = set(identifiers)
        self._cio_ids: dict[str, str] = {}  # by the identifier they came with
        self._named: Counter[str] = Counter()  # how many came with each
        self.known = asyncio.Event()
        """Set once all that was published before the start is in here."""

    def is_suppressed(self, event: Event) -> bool:
        """True when this event's person must not be sent anything."""
        return bool(self._identifiers) and not self._identifiers.isdisjoint(
            names(event)
        )

    def surely_clear(self, value: bytes) -> bool:
        """Whether an event's JSON names nobody who is suppressed, for certain.

        Wherever a key that may hold an identifier stands in it, its value is looked at.
        What is not plain text there (null, escapes, a number) leaves a doubt.
        """
        if not self._identifiers:
            return True
        if IDENTIFIERS in value:
            return False
        for key in KEYS:
            at = value.find(key)
            while at >= 0:
                begins = at + len(key) + len(TEXT)
                ends = value.find(b'"', begins)
                text = value[begins:ends]
                if not value.startswith(TEXT, at + len(key)) or b"\\" in text:
                    return False
                if self._may_name(text.decode()):
                    return False
                at = value.find(key, ends)
        return True

    def _may_name(self, text: str) -> bool:
        """Whether an identifier of some kind with this value is suppressed."""
        kinds = [f"id:{text}", f"email:{text.lower()}"]
        if text.startswith(CIO_PREFIX):
            kinds.append(f"cio_id:{text.removeprefix(CIO_PREFIX)}")
        return not self._identifiers.isdisjoint(kinds)

    def take(self, record: Record) -> None:
        """What one record of the topic says: blocked, or free again."""
        identifier = record.key.decode()
        self._free(identifier)
        if record.value:
            self._identifiers.add(identifier)
            if told := orjson.loads(record.value).get("cioId"):
                cio_id = self._cio_ids[identifier] = f"cio_id:{told}"
                self._named[cio_id] += 1
                self._identifiers.add(cio_id)

    def _free(self, identifier: str) -> None:
        self._identifiers.discard(identifier)
        cio_id = self._cio_ids.pop(identifier, None)
        if cio_id is not None:
            self._named[cio_id] -= 1
            if not self._named[cio_id]:
                del self._named[cio_id]
                self._identifiers.discard(cio_id)


async def follow(
    suppressed: Suppressed, log: EventLog, chance: Callable[[], float]
) -> None:
    """Keep up with the topic until cancelled; a log that is away is waited for."""
    failures, count = 0, 0
    while True:
        since = Span()
        try:
            async for record in log.scan(topics.SUPPRESSED, Span()):
                suppressed.take(record)
                since = Span(from_ms=record.appended_at_ms)
                count += 1
                if count % EVERY == 0:
                    await asyncio.sleep(0)
            suppressed.known.set()
            failures = 0
            async for record in log.scan(topics.SUPPRESSED, since, follow=True):
                suppressed.take(record)
        except LogError:
            failures += 1
            await asyncio.sleep(pause_s(failures, chance=chance()))


def names(event: Event) -> Iterable[str]:
    """The identifiers an event names its person by, as the topic spells them."""
    body = event.body
    for name in ALIAS if event.type == "alias" else ("userId",):
        if value := str(body.get(name) or ""):
            yield f"id:{value}"
            yield f"email:{value.lower()}"
            if value.startswith(CIO_PREFIX):
                yield f"cio_id:{value.removeprefix(CIO_PREFIX)}"
    traits = body.get("traits")
    email = traits.get("email") if isinstance(traits, dict) else None
    if isinstance(email, str):
        yield f"email:{email.lower()}"
    named = body.get("identifiers")
    for kind, value in named.items() if isinstance(named, dict) else ():
        yield f"{kind}:{value.lower() if kind == 'email' else value}"
