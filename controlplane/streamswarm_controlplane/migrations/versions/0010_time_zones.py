"""Time zones of sites: the ML service counts the hours of their days by them."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; those of sites that are there are for people to say."""
    op.add_column("sites", sa.Column("time_zone", sa.String(), nullable=True))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("sites", "time_zone")
