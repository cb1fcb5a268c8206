"""Event -> what it asks of the workspace. Pure; the one place that reads events.

**Events from outside pipelines** (DESIGN 4.5): what writes them keeps to this table,
what reads them relies on it. All are ordinary events (messageId, timestamp,
receivedAt, source, context ...) with these fields beside:

    origin       "track" | "csv" | "sync" | "ui"; absent: a pipelines event
    identifiers  {kind: value} with kinds "id", "email", "cio_id"; values are strings,
                 cio_id without its prefix "cio_". The FIRST key is the path's (v1), the
                 given one (v2) or the row's; a payload's other kinds follow. Absent or
                 {}: nobody is named (an anonymous event)
    userId       the id in ``identifiers``, else the email; absent when there is neither
    anonymousId  the payload's anonymous_id, when given
    timestamp    from _timestamp or timestamp (unix seconds -> ISO 8601), when given

| type and fields | asks for |
| --- | --- |
| identify, ``traits`` | add or update; ``updateOnly: true`` (_update) adds nobody |
| track, ``event``, ``properties`` | an activity ``event`` |
| page or screen, ``name``, ``properties`` | an activity ``page`` or ``screen`` |
| track "Device Created or Updated" | the device ``context.device`` {token, type: \
ios or android, lastUsed: unix seconds if given} with ``properties`` as its attributes |
| track "Device Deleted" | without ``context.device.token`` |
| track "Report Delivery Event" | ``properties`` {metric, deliveryId, recipient: the \
token, if it was a push} |
| person, ``action: "delete"`` | the person is deleted |
| person, ``action: "suppress"`` or ``"unsuppress"`` | deleted and blocked; unblocked |
| person, ``action: "merge"``, ``secondary`` {kind: value} | secondary goes up in \
``identifiers``, the primary |
| person, ``action: "segment_add"`` or ``"segment_remove"``, ``segment: 7`` | kept as an \
activity only; one event a person |
| person, ``action: "unsubscribe"``, ``deliveryId`` | the attribute unsubscribed, if a \
person is named |
| group, ``action``, ``groupId``, ``traits`` | kept as an activity only |

A payload's ``id``, ``email`` and ``cio_id`` move from ``traits`` to ``identifiers``,
numbers as strings, when they are texts or numbers, not empty, and ``identifiers`` has no
such kind yet. What cannot move stays in ``traits`` under its own name and is judged
here: null and "" are as if not given, another type is a failed attribute change (D13),
and so is a second value of the path's own kind (D09); a second cio_id makes the request
ignored (D21). A path or an explicit identifier of a wrong type, too long or with control
characters is refused before it becomes an event. Other names in ``traits`` are as sent,
or canonical with ``asSent``: both read the same here. ``name`` and ``email`` are not
filled in.

**Pipelines**: userId plays the path's part (``cio_...`` is a cio_id, with an @ it is an
email where emails identify), else ``traits.email`` does (D24, D25); ``traits.email`` is
the payload's; ``traits.id`` is an attribute, never an identifier. The track events "User
Deleted", "User Suppressed" and "User Unsuppressed" are as their actions. Deleting,
suppressing, unsuppressing and merging are heard from server and track_api sources only.
"""
