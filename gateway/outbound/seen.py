"""Was this event here before? The dedupe window of one destination (DESIGN 5.4).

An event is a duplicate when a record *before it in the log* has the same source,
message id and replay id, within the smaller of an age and a number of entries. "Before
it" is by offset: a record that comes back after a restart is no duplicate of a later
record that was settled first, or both would be lost.
"""

from collections import deque
from collections.abc import Sequence

from gateway.log.contract import Past, Record

IDENTITY = ("source", "messageId", "replay")  # the headers that tell events apart
DIGEST_BITS = 2**60 - 1  # an int of 60 bits takes 32 bytes, one more takes 48
BUCKETS = 60  # ages are kept by the bucket: two numbers for each, none an entry


class Seen:
    """The window: ``entries`` digests at most, ``age_s`` of log time back."""

    def __init__(self, *, entries: int, age_s: float) -> None:
        self._entries = entries
        self._age_ms = int(age_s * 1_000)
        self._bucket_ms = max(1, self._age_ms // BUCKETS)
        self._offsets: dict[int, int] = {}
        self._digests: deque[int] = deque()
        self._buckets: deque[list[int]] = deque()  # [its start in ms, digests of it]

    def __len__(self) -> int:
        return len(self._digests)

    def is_duplicate(self, record: Record) -> bool:
        """Judge a record and remember it; records of a partition come in log order."""
        return self._take(digest_of(record), record.offset, record.appended_at_ms)

    def remember(self, records: Sequence[Past]) -> None:
        """Take in what was settled before: oldest first, with the headers IDENTITY."""
        digests = [
            hash((partition, *headers)) & DIGEST_BITS
            for partition, _, _, headers in records
        ]
        if self._fit_as_they_are(records, digests):
            offsets = [record.offset for record in records]
            self._offsets.update(zip(digests, offsets, strict=True))
            self._digests.extend(digests)
            self._buckets[-1][1] += len(digests)
            return
        for record, digest in zip(records, digests, strict=True):
            self._take(digest, record.offset, record.appended_at_ms)

    def _fit_as_they_are(self, records: Sequence[Past], digests: Sequence[int]) -> bool:
        """No bound is reached, and all are new: the way of nearly all of a past."""
        return (
            bool(self._buckets)
            and max([each.appended_at_ms for each in records], default=0)
            < self._next_ms
            and len(self._digests) + len(digests) <= self._entries
            and len(set(digests)) == len(digests)
            and self._offsets.keys().isdisjoint(digests)
        )

    @property
    def _next_ms(self) -> int:
        """When the newest bucket ends."""
        return self._buckets[-1][0] + self._bucket_ms

    def _take(self, digest: int, offset: int, at_ms: int) -> bool:
        buckets = self._buckets
        if not buckets or at_ms - buckets[-1][0] >= self._bucket_ms:
            buckets.append([at_ms, 0])
            self._forget_until(at_ms - self._age_ms)
        first = self._offsets.get(digest)
        if first is not None:
            return first < offset
        self._offsets[digest] = offset
        self._digests.append(digest)
        buckets[-1][1] += 1
        if len(self._digests) > self._entries:
            self._forget_oldest()
        return False

    def _forget_until(self, at_ms: int) -> None:
        while self._buckets[0][0] + self._bucket_ms <= at_ms:
            for _ in range(self._buckets.popleft()[1]):
                del self._offsets[self._digests.popleft()]

    def _forget_oldest(self) -> None:
        del self._offsets[self._digests.popleft()]
        while not self._buckets[0][1]:
            self._buckets.popleft()
        self._buckets[0][1] -= 1


def digest_of(record: Record) -> int:
    """Eight bytes for (source, message id, replay id), and for the partition.

    Events of a person share a partition, so a client's retry does; offsets of different
    partitions say nothing of each other.
    """
    source = message_id = replay = b""
    for name, value in record.headers:
        if name == "messageId":
            message_id = value
        elif name == "source":
            source = value
        elif name == "replay":
            replay = value
    return hash((record.partition, source, message_id, replay)) & DIGEST_BITS
