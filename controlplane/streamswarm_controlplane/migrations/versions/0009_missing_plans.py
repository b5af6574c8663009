"""What revision 0004 brings, for databases that have passed it by.

In some commits of November 2026, 0005 followed 0003; 0004 was put between them afterwards.
"""

from alembic import context, op
from sqlalchemy import inspect

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Catch up, where there is something to catch up with."""
    if "budget" not in {column["name"] for column in inspect(op.get_bind()).get_columns("agents")}:
        context.script.get_revision("0004").module.upgrade()


def downgrade() -> None:
    """Nothing: the revision before has it, too."""
