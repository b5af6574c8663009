"""Schedules, selectors, thresholds, run records, maintenance windows, agents' budgets."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; what there is goes on as it was."""
    with op.batch_alter_table("agents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("budget", sa.JSON(), nullable=False, server_default="{}"))
    with op.batch_alter_table("tests", schema=None) as batch_op:
        batch_op.add_column(sa.Column("schedule", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("generation", sa.Integer(), nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("selector", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("thresholds", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("objective", sa.JSON(), nullable=True))
    with op.batch_alter_table("assignments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("explicit", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(sa.Column("selected", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "runs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("test_id", sa.String(), nullable=True),
        sa.Column("agent_id", sa.String(), nullable=True),
        sa.Column("assignment_id", sa.String(), nullable=False),
        sa.Column("test_key", sa.String(), nullable=False),
        sa.Column("test_name", sa.String(), nullable=False),
        sa.Column("agent_name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("stop_requested", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("executions", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["test_id"], ["tests.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index("ix_runs_listed", ["created_at", "id"], unique=False)
        batch_op.create_index("ix_runs_of_agent", ["agent_id", "status"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_test_id"), ["test_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_assignment_id"), ["assignment_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_finished_at"), ["finished_at"], unique=False)

    op.create_table(
        "maintenance",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cron", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("duration", sa.Double(), nullable=True),
        sa.Column("everything", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("agent_ids", sa.JSON(), nullable=False),
        sa.Column("test_ids", sa.JSON(), nullable=False),
        sa.Column("selector", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    """Remove them; tests that aren't always going become always, and what was only selected is assigned by hand."""
    op.drop_table("maintenance")
    op.drop_table("runs")
    with op.batch_alter_table("assignments", schema=None) as batch_op:
        batch_op.drop_column("selected")
        batch_op.drop_column("explicit")
    with op.batch_alter_table("tests", schema=None) as batch_op:
        for name in ("objective", "thresholds", "selector", "generation", "schedule"):
            batch_op.drop_column(name)
    with op.batch_alter_table("agents", schema=None) as batch_op:
        batch_op.drop_column("budget")
