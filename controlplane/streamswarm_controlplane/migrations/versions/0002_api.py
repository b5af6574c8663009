"""Labels, draining, addresses, restarts and clocks of agents; ids of removed agents; kept answers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "idempotency",
        sa.Column("key_hash", sa.String(), nullable=False),
        sa.Column("request_mac", sa.String(), nullable=False),
        sa.Column("claim", sa.String(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("key_hash"),
    )
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "removed_agents",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("agents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("labels", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("draining", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("addresses", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("restart_requested_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("clock_error", sa.Double(), nullable=True))


def downgrade() -> None:
    """Remove them."""
    with op.batch_alter_table("agents", schema=None) as batch_op:
        for name in ("clock_error", "restart_requested_at", "addresses", "draining", "labels"):
            batch_op.drop_column(name)
    op.drop_table("removed_agents")
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_expires_at"))
    op.drop_table("idempotency")
