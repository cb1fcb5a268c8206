"""The first tables."""

from alembic import op

from gateway.workspace.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table of ``tables.py``; a later change gets its own file."""
    metadata.create_all(op.get_bind())
