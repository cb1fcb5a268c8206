"""The first tables; what they are for stands in ``tables.py``."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NOBODY = sa.text("cio_id IS NULL AND anonymous_id IS NOT NULL")
UNPUBLISHED = sa.text("NOT published")


def upgrade() -> None:
    """Make them; a later change gets its own file."""
    _people()
    _what_happened()
    _suppressed_and_position()


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("cio_id", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, unique=True),
        sa.Column("email", sa.Text),
        sa.Column("email_key", sa.Text, unique=True),
        sa.Column("attributes", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger),
    )
    op.create_table(
        "devices",
        sa.Column("token", sa.Text, primary_key=True),
        sa.Column("cio_id", sa.Text, index=True),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("last_used", sa.BigInteger, nullable=False),
        sa.Column("last_status", sa.Text, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False),
    )
    op.create_table(
        "anonymous",
        sa.Column("anonymous_id", sa.Text, primary_key=True),
        sa.Column("cio_id", sa.Text, index=True),
        sa.Column("traits", sa.Text, nullable=False),
    )


def _what_happened() -> None:
    op.create_table(
        "activities",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("cio_id", sa.Text),
        sa.Column("anonymous_id", sa.Text),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_index("activities_of_people", "activities", ["cio_id", "seq"])
    op.create_index(
        "activities_of_nobody",
        "activities",
        ["anonymous_id"],
        sqlite_where=NOBODY,
        postgresql_where=NOBODY,
    )
    op.create_table(
        "decisions",
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("replay", sa.Text, primary_key=True),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("cio_id", sa.Text),
        sa.Column("failed", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _suppressed_and_position() -> None:
    op.create_table(
        "suppressed",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("together", sa.Text, nullable=False, index=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("cio_id", sa.Text, nullable=False, server_default=""),
        sa.Column("blocked", sa.Boolean, nullable=False),
        sa.Column("published", sa.Boolean, nullable=False),
    )
    op.create_index(
        "suppressed_to_publish",
        "suppressed",
        ["published"],
        sqlite_where=UNPUBLISHED,
        postgresql_where=UNPUBLISHED,
    )
    op.create_table(
        "position",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("appended_at_ms", sa.BigInteger, nullable=False),
    )
