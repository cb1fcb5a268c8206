"""What is too old, or too much, goes: the oldest first, in small pieces.

A piece is one short transaction, so that what is written waits for none of them long.
Counts go before the rows that they count: an account never shows less than there is.
"""

from typing import NamedTuple

from gateway.ledger import fields, names
from gateway.ledger.contract import Connection
from gateway.ledger.write import MINUTE_MS, PUT_FACT, floor_of

PIECE_ROWS = 1_000
TABLES = ("events", "refused", "ends")


class Kept(NamedTuple):
    """What a look at the ledger gave: its size, and whether more is to go."""

    bytes: int
    more: bool


def tidy(connection: Connection, now_ms: int, retention_ms: int, size: int) -> Kept:
    """Delete one piece at most; call it again soon while there is ``more``."""
    floor = floor_of(connection)
    wanted = max(floor, _minute(now_ms - retention_ms))
    used = connection.used_bytes()
    if used > size:
        wanted = max(wanted, _piece_end(connection))
    with connection.transaction():
        if wanted > floor:
            connection.execute(PUT_FACT, ("floor", str(wanted)))
            connection.execute(
                "DELETE FROM counts WHERE minute < ?", (wanted // MINUTE_MS,)
            )
            names.tidied(connection, wanted)
            fields.tidied(connection, wanted)
        gone = sum(_delete(connection, table, wanted) for table in TABLES)
    return Kept(used, more=gone > 0)


def _minute(at_ms: int) -> int:
    return at_ms // MINUTE_MS * MINUTE_MS


def _piece_end(connection: Connection) -> int:
    """The minute after the oldest piece's last event: minutes go whole."""
    found = [
        connection.execute(
            f"SELECT at FROM {table} ORDER BY at LIMIT 1 OFFSET ?",  # noqa: S608 -- our own names
            (offset,),
        ).fetchone()
        for table in TABLES
        for offset in (0, PIECE_ROWS)
    ]
    times = [row[0] for row in found if row is not None]
    return _minute(min(times)) + MINUTE_MS if times else 0


def _delete(connection: Connection, table: str, before_ms: int) -> int:
    """The oldest rows of a table, a piece of them; how many went."""
    row = connection.execute(
        f"SELECT at, digest, partition, offset FROM {table} WHERE at < ?"  # noqa: S608 -- our own names
        " ORDER BY at, digest, partition, offset LIMIT 1 OFFSET ?",
        (before_ms, PIECE_ROWS),
    ).fetchone()
    if row is None:
        deleted = connection.execute(
            f"DELETE FROM {table} WHERE at < ?",  # noqa: S608 -- our own names
            (before_ms,),
        )
    else:
        deleted = connection.execute(
            f"DELETE FROM {table}"  # noqa: S608 -- our own names
            " WHERE (at, digest, partition, offset) < (?, ?, ?, ?)",
            row,
        )
    return deleted.rowcount
