"""One name for one test. Tests that share one keep it: the oldest has the claim to it, the others have none."""

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the form in which names are compared; null is taken for different from null."""
    op.add_column("tests", sa.Column("name_key", sa.String(), nullable=True))
    tests = sa.table("tests", *(sa.column(name, sa.String()) for name in ("id", "name", "name_key", "created_at")))
    db = op.get_bind()
    claimed: set[str] = set()
    for test_id, name in db.execute(sa.select(tests.c.id, tests.c.name).order_by(tests.c.created_at, tests.c.id)).all():
        folded = _fold(name)
        if folded not in claimed:
            db.execute(sa.update(tests).where(tests.c.id == test_id).values(name_key=folded))
            claimed.add(folded)
    op.create_index("ix_tests_name_key", "tests", ["name_key"], unique=True)


def downgrade() -> None:
    """Remove it; names stay."""
    op.drop_index("ix_tests_name_key", "tests")
    op.drop_column("tests", "name_key")


def _fold(name: str) -> str:
    """As testplans.names.fold_name was when this was written."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())
