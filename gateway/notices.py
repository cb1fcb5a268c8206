"""Notices: what happened in the gateway that an operator may want to know.

A stage returns notices beside its value and knows neither clock nor log; the edges
post them here, where repeats are counted by (code, where, name) and written to the
log once a minute. A name is a trait, a destination, an exception type: never a value
of a payload.

The codes are a closed list. The type checker holds every call to it, a test holds it
to the calls, and the reference page is made from it.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import IO, Any, Literal, NamedTuple, Protocol

NoticeCode = Literal[
    # what senders wrote
    "both_spellings",
    "clock_corrected",
    "clock_not_corrected",
    "empty_array",
    "invalid_trait",
    "origin_refused",
    "plan_violation",
    "refused",
    "suspicious_identifier",
    "unknown_integration",
    "unplanned_event",
    "unreadable_sent_at",
    "unreadable_trait",
    # what destinations do
    "actions_crashed",
    "actions_unable",
    "batch_unknown",
    "breaker_closed",
    "breaker_open",
    "delivery_failed",
    "key_crowded",
    "pressure",
    "stopped_unsettled",
    "transform_slow",
    "unexpected_host",
    # what the log does
    "log_clock_jumped",
    "log_close_timeout",
    "log_full",
    "log_gap",
    "log_has_room",
    "log_unavailable",
    "log_upkeep_failed",
    "log_upkeep_recovered",
    "log_wal_damaged",
    "log_write_failed",
    "log_write_recovered",
    # what Kafka does
    "kafka_client",
    "log_check_failed",
    "log_check_recovered",
    "log_follow_failed",
    "log_group_lost",
    "log_marks_unreadable",
    "log_read_failed",
    "log_read_recovered",
    "log_revoke_timeout",
    "log_settle_failed",
    "log_settle_recovered",
    "log_weak_topic",
    # what alerts and traces tell
    "alert",
    "alert_untold",
    "alerts_failed",
    "telemetry_failed",
    # what is wrong with the gateway itself
    "out_of_file_descriptors",
    "bug",
    "ledger_failed",
    "wing_failed",
    "worker_failed",
]

CODES: Mapping[NoticeCode, str] = MappingProxyType(
    {
        "both_spellings": "A message had a reserved trait in both spellings, such as "
        "`firstName` and `first_name`; the camelCase one was kept.",
        "clock_corrected": "A sender's clock is ahead; the event's time was corrected.",
        "clock_not_corrected": "A sender's clock is so wrong that no time could be "
        "corrected with it; the event's time stayed as it was sent.",
        "empty_array": "A message had an empty array where an object is meant, as PHP "
        "writes it; it was read as `{}`. The name is the place.",
        "invalid_trait": "A message was admitted with the value of a reserved trait "
        'that is none (`invalid_traits = "keep"`); it is passed on as it is. The '
        "name is the place.",
        "origin_refused": "A page sent from an origin that is not in its source's "
        "`origins`: 401, which a page cannot report. The name is the origin; the first "
        "20 of a source are named.",
        "plan_violation": "A message does not fit its source's tracking plan and was "
        'let through (`violation = "flag"`); the name is the place.',
        "refused": "A message was refused and is kept in `refused`; the name is the "
        "code of the error.",
        "suspicious_identifier": "A message's identifier is what programs write where "
        "they have none (`undefined`, `null`, `[object Object]`, a UUID of zeros): all "
        "such senders become one person. The name is the field.",
        "unknown_integration": "A message's `integrations` names no destination of "
        "this gateway. Ten names of a source are told in a minute, the rest count as "
        "`(others)`; so it is with `plan_violation`, `unplanned_event` and "
        "`empty_array`.",
        "unplanned_event": "A track's name is not in its source's tracking plan, and "
        'was let through (`on_unplanned = "flag"`); the name is that of the event.',
        "unreadable_sent_at": "A batch's `sentAt` could not be read: its messages are "
        "admitted without, and a wrong clock of the sender is not corrected.",
        "unreadable_trait": "A date could not be read; it was passed on as it is.",
        "actions_crashed": "An event ended the Node process of an `actions:` "
        "destination three times; it is a dead letter (`bug`), the others go on.",
        "actions_unable": "The Node process of an `actions:` destination cannot work: "
        "the name says why. It is tried again after 1 to 30 seconds.",
        "batch_unknown": "A vendor answered a batch with 207, and the action does not "
        "say which of its events were refused: they count as delivered. The name is "
        "the action; leave out its `batch` to know.",
        "breaker_closed": "A destination answers again; deliveries go on.",
        "breaker_open": "A destination does not answer, or rejects everything: only a "
        "probe is sent until one succeeds. `cause` says which.",
        "delivery_failed": "An attempt at a destination failed for a cause not told in "
        "the last hour: what it said, which host, where a redirect points.",
        "key_crowded": "More than 1,000 events of one person wait for a destination.",
        "pressure": "A worker held all that it may hold, and gave up the event that "
        "was blocked the longest (`dead.NAME`, reason `pressure`) so that the rest "
        "could go on.",
        "stopped_unsettled": "A worker stopped before the log had taken all its marks: "
        "a few events will be sent again.",
        "transform_slow": "A function of yours (`transform`) took more than 50 ms for "
        "an event: everything else in the process waited. The name is the function.",
        "unexpected_host": "An `actions:` destination wanted to send to a host that is "
        "neither known for it nor in its settings; nothing was sent there. If that is "
        "right, write the host into the settings, or `[egress] hosts`.",
        "log_clock_jumped": "The clock was set, or nothing was written for more than a "
        "day: `seconds` from where it should be. Nothing is deleted by its age for an "
        "hour; set the clock right meanwhile if it is wrong now.",
        "log_close_timeout": "The log's writer did not end in time at a stop.",
        "log_full": "The log is as large as `log.size` and nothing may be deleted: "
        "intake answers 503. `why` says whose unread events fill it.",
        "log_gap": "Records were deleted before a group had read them: events were "
        "lost to it. `records` says how many; on SQLite those of a minute together.",
        "log_has_room": "The log can take events again.",
        "log_unavailable": "A worker could not read or write the log; it tries again.",
        "log_upkeep_failed": "Nothing can be deleted from the log, so that it grows: "
        "`error` says why.",
        "log_upkeep_recovered": "The log can be tidied again.",
        "log_wal_damaged": "At the start a part of the WAL (`log.db-wal`) was missing "
        "or damaged: `bytes` of what was answered 200 are lost. Look at the disk.",
        "log_write_failed": "The log cannot be written (a full disk, a file that is "
        "locked or was removed, no broker): intake answers 503. `error` says why.",
        "log_write_recovered": "The log can be written again.",
        "kafka_client": "The Kafka library warned of something; the name is its text "
        "without the values.",
        "log_check_failed": "The topics could not be looked at for weaknesses.",
        "log_check_recovered": "The topics can be looked at again.",
        "log_follow_failed": "A worker could not go on reading as it was, and joins "
        "its group anew.",
        "log_group_lost": "A worker was silent for so long that others have its "
        "partitions; what it had in flight may be sent twice.",
        "log_marks_unreadable": "The marks of a group are not the gateway's, or "
        "damaged: everything above the committed offset is read again.",
        "log_read_failed": "A worker cannot read its topic.",
        "log_read_recovered": "A worker can read its topic again.",
        "log_revoke_timeout": "A rebalance waited as long as it may for requests in "
        "flight, and ended them.",
        "log_settle_failed": "A worker cannot commit how far it is.",
        "log_settle_recovered": "A worker can commit again.",
        "log_weak_topic": "A topic is made so that it cannot keep every promise; "
        "`weakness` says how.",
        "alert": "A rule of `[alerts]` found a trouble, or its end; `state` is "
        "`begins` or `ends`, `text` is what the channels get.",
        "alert_untold": "An alert could not be delivered to a channel, after ten "
        "tries or for good; `why` says what was answered. `gateway alerts test` tries "
        "it.",
        "alerts_failed": "Alerts cannot look at something now, or cannot keep their "
        "state (`alerts.path`): `error` says why. A restart may then tell a trouble "
        "again.",
        "telemetry_failed": "Spans could not be sent to `telemetry.endpoint` "
        "(`export`), or came faster than they could be (`full`), and are gone; `count` "
        "says how many.",
        "out_of_file_descriptors": "The process has no file descriptor left: new "
        "connections are closed. Raise `ulimit -n` (LimitNOFILE of systemd).",
        "bug": "The gateway, or a `transform` of yours, failed on one message or "
        "event, which was set aside; the place says where. Please report what is ours.",
        "ledger_failed": "The ledger cannot be written (a full disk, a damaged file, "
        "a database that is away): events are delivered all the same, and it goes "
        "on where it stopped. `error` says why.",
        "wing_failed": "The gateway failed in a part beside the road (the workspace), "
        "which starts again after a second; the place says where. Please report it.",
        "worker_failed": "The gateway failed in a worker, which starts again after a "
        "second; the place says where. Please report it.",
    }
)
"""Every code with what it tells an operator."""


class Say(Protocol):
    """How a part that has no ``Notices`` tells something at once: ``Notices.say``."""

    def __call__(self, code: NoticeCode, /, **fields: Any) -> None:
        """Count it and write one line."""
        ...


def untold(code: NoticeCode, /, **fields: Any) -> None:
    """Say nothing: for who opens a log and has nobody to tell."""
    del code, fields


class Notice(NamedTuple):
    """``code`` says what happened, ``name`` to which trait, integration or part."""

    code: NoticeCode
    name: str = ""


def unheard(notice: Notice) -> None:
    """Where nobody listens: a preview, a test."""
    del notice


NAMES_MAX = 10  # of one code and source between two flushes; the rest count as one
OTHERS = "(others)"
# Of these a sender chooses the name. All other names are few, or bounded where made.
OPEN: frozenset[NoticeCode] = frozenset(
    {"unknown_integration", "plan_violation", "unplanned_event", "empty_array"}
)


class Notices:
    """Counts notices and writes them to stderr, one JSON object a line."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._stream = stream or sys.stderr
        self._unwritten: Counter[tuple[NoticeCode, str, str]] = Counter()
        self._named: Counter[tuple[NoticeCode, str]] = Counter()

    def post(self, where: str, notice: Notice, times: int = 1) -> None:
        """Count a notice of a source or destination; the next flush writes it."""
        self.counts[notice.code] += times
        unwritten, key = self._unwritten, (notice[0], where, notice[1])
        count = unwritten.get(key, 0)
        if not count and notice[0] in OPEN and notice[1] != OTHERS:
            if self._named[key[:2]] >= NAMES_MAX:
                key = (notice[0], where, OTHERS)
                count = unwritten.get(key, 0)
            else:
                self._named[key[:2]] += 1
        unwritten[key] = count + times

    def say(self, code: NoticeCode, /, **fields: Any) -> None:
        """Count and write one line now: for what an operator wants to see at once."""
        self.counts[code] += 1
        self._write(code, fields)

    def flush(self) -> None:
        """Write a line for each kind of notice since the last flush."""
        unwritten, self._unwritten = self._unwritten, Counter()
        self._named.clear()
        for (code, where, name), count in unwritten.items():
            self._write(code, {"where": where, "name": name, "count": count})

    def _write(self, code: NoticeCode, fields: dict[str, Any]) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"at": at, "notice": code, **fields}, default=str)
        print(line, file=self._stream, flush=True)
