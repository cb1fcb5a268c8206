"""What one request adds up to: what to append, to count, to tell, and to answer.

Messages that were judged are written down here one by one. When all of it is durable
the counts and notices are posted, and the door makes its answer of the rest.
"""

from typing import Protocol

import orjson

from gateway.config import Limits, Source
from gateway.errors import MessageError
from gateway.event import EventType, Origin
from gateway.inbound import answer, entries
from gateway.inbound.answer import Rejected
from gateway.inbound.decode import NO_BATCH, Batch
from gateway.inbound.intake import Taken, Total
from gateway.inbound.refusal import Refusal
from gateway.log.contract import Entry
from gateway.notices import Notice

REPORT_BYTES = 1_000_000  # of an answer; what is refused then is named without faults
ENTRY_BYTES = 100  # what an entry takes beside its value: an estimate


class Asked(Protocol):
    """What a request asked for: its endpoint."""

    @property
    def name(self) -> str:
        """As the record of a refused message has it."""
        ...

    @property
    def type(self) -> EventType | None:
        """Of a single message; None for a batch."""
        ...


class Receipt(Total):
    """A request's total, and its messages, written down as they are judged.

    ``batch`` is what they share. Bytes: ``refused_bytes`` of the records of what is
    refused, ``told_bytes`` of the answer.
    """

    __slots__ = (
        *("_asked", "_batch", "_batch_kept", "_limits", "accepted", "counts"),
        *("entries", "notices", "refused_bytes", "rejected", "told_bytes"),
    )

    def __init__(self, asked: Asked, limits: Limits, batch: Batch = NO_BATCH) -> None:
        self._asked, self._limits = asked, limits
        self._batch = batch
        self._batch_kept: orjson.Fragment | None = None
        self.events = self.made = self.accepted = 0
        self.refused_bytes = self.told_bytes = 0
        self.entries: list[Entry] = []
        self.rejected: list[Rejected] = []
        self.counts: dict[tuple[str, str, str], int] = {}
        self.notices: dict[tuple[str, Notice], int] = {}

    @property
    def log_bytes(self) -> int:
        """What it asks the log to hold, about."""
        entries = ENTRY_BYTES * len(self.entries)
        return self.events + self.refused_bytes + entries

    def check_that_it_fits(self) -> None:
        """Raise for what the log could never hold: a resend would be refused again."""
        if self.made <= self._limits.event_bytes:
            return  # one event at most
        size, limit = self.log_bytes, self._limits.waiting_bytes
        if size > limit:
            text = f"the request is {size} bytes for the log, more than {limit}"
            raise MessageError("too_large", text)

    def take(self, taken: Taken) -> None:
        """A message that is admitted; it may be several events."""
        self.accepted += 1
        self.entries += taken.entries
        counts = self.counts
        for event, _, checked, normalized, resolved, routed in taken.admitted:
            key = event.source, event.type, "accepted"
            counts[key] = counts.get(key, 0) + 1
            if checked or normalized or resolved or routed:
                for notice in (*checked, *normalized, *resolved, *routed):
                    self._remark(event.source, notice)
        if self._batch.notices:
            for notice in self._batch.notices:
                self._remark(taken.admitted[0].event.source, notice)

    def share(self, batch: Batch) -> None:
        """From here on its messages have another batch: one body may hold several."""
        if batch is not self._batch:
            self._batch, self._batch_kept = batch, None

    def set_aside(
        self,
        index: int,
        message_id: str,
        refusal: Refusal,
        sent: bytes,
        source: Source,
        origin: Origin,
    ) -> None:
        """A message that is refused: kept as it was sent, and told if asked for."""
        key = source.name, self._asked.type or "batch", "refused"
        self.counts[key] = self.counts.get(key, 0) + 1
        for fault in refusal.faults:
            self._remark(source.name, Notice("refused", fault.code))
        entry = entries.of_refused(
            sent,
            refusal,
            origin=origin,
            message_id=message_id,
            endpoint=self._asked.name,
            batch=self._kept(sent),
        )
        self.entries.append(entry)
        self.refused_bytes += len(entry.value)
        self.made += self._batch.size + len(sent)
        if source.on_invalid == "reject":
            self.reject(index, message_id, refusal)

    def reject(self, index: int, message_id: str | None, refusal: Refusal) -> None:
        """Name it in the answer: with its faults, while there is room for them."""
        if self.told_bytes > REPORT_BYTES:
            refusal = refusal.in_brief()
        rejected = answer.rejected(index, message_id, refusal)
        self.told_bytes += rejected.size
        self.rejected.append(rejected)

    def _kept(self, sent: bytes) -> orjson.Fragment | None:
        """What the batch shares, for a record in full; None when it must be brief.

        Of one request as many bytes are kept in full as it may become events; what the
        batch shares would else be kept with every message.
        """
        size = self._batch.size + min(len(sent), entries.REFUSED_BYTES_MAX)
        if self.refused_bytes + size > self._limits.request_canonical_bytes:
            return None
        if self._batch_kept is None:
            self._batch_kept = entries.of_batch(self._batch)
        return self._batch_kept

    def _remark(self, source: str, notice: Notice) -> None:
        key = source, notice
        self.notices[key] = self.notices.get(key, 0) + 1
