"""The tables of the store; ``migrations/`` makes them. JSON is text, times are seconds.

people      one row a person; id and email are unique (emails in lower case)
devices     one row a token; whose it is, or nobody's
activities  what happened, in the order of the log: ``seq`` grows with it
decisions   what became of each event: it is applied once
anonymous   traits of an anonymousId and whose it became
suppressed  who is blocked; a row that is not ``published`` is still to be told
position    how far each partition of the topic has been applied
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)

metadata = MetaData()

people = Table(
    "people",
    metadata,
    Column("cio_id", Text, primary_key=True),
    Column("id", Text, unique=True),
    Column("email", Text),
    Column("email_key", Text, unique=True),
    Column("attributes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_seen", BigInteger),
)

devices = Table(
    "devices",
    metadata,
    Column("token", Text, primary_key=True),
    Column("cio_id", Text, index=True),
    Column("platform", Text, nullable=False),
    Column("last_used", BigInteger, nullable=False),
    Column("last_status", Text, nullable=False),
    Column("attributes", Text, nullable=False),
)

activities = Table(
    "activities",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("cio_id", Text),
    Column("anonymous_id", Text),
    Column("type", Text, nullable=False),
    Column("name", Text),
    Column("at", BigInteger, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("data", Text, nullable=False),
    Index("activities_of_people", "cio_id", "seq"),
    Index(
        "activities_of_nobody",
        "anonymous_id",
        sqlite_where=text("cio_id IS NULL AND anonymous_id IS NOT NULL"),
        postgresql_where=text("cio_id IS NULL AND anonymous_id IS NOT NULL"),
    ),
)

decisions = Table(
    "decisions",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("replay", Text, primary_key=True),
    Column("decision", Text, nullable=False),
    Column("reason", Text),
    Column("cio_id", Text),
    Column("failed", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("place", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

anonymous = Table(
    "anonymous",
    metadata,
    Column("anonymous_id", Text, primary_key=True),
    Column("cio_id", Text, index=True),
    Column("traits", Text, nullable=False),
)

suppressed = Table(
    "suppressed",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("together", Text, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("cio_id", Text, nullable=False, server_default=""),
    Column("blocked", Boolean, nullable=False),
    Column("published", Boolean, nullable=False),
    Index(
        "suppressed_to_publish",
        "published",
        sqlite_where=text("NOT published"),
        postgresql_where=text("NOT published"),
    ),
)

position = Table(
    "position",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, nullable=False),
    Column("appended_at_ms", BigInteger, nullable=False),
)
