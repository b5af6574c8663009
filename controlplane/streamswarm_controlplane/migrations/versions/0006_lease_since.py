"""Since when a lease is held without a gap: what was silent while nobody listened is no alert."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the moment; a lease without one is as if it had just been taken."""
    op.add_column("leases", sa.Column("since", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("leases", "since")
