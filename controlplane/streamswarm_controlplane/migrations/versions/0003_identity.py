"""People, sessions, personal tokens, counted enrolment, system configuration, an append-only audit log."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add columns without making any table anew: on SQLite that would delete what points at its rows."""
    for table, columns in _new_columns().items():
        for column in columns:
            op.add_column(table, column)
    op.execute("UPDATE sessions SET id = substr(token_hash, 1, 32)")
    op.create_index("ix_sessions_id", "sessions", ["id"], unique=True)
    op.execute("UPDATE enrolment_tokens SET uses_left = 0 WHERE used_at IS NOT NULL")
    op.create_index("ix_audit_actor", "audit", ["actor"])
    op.create_index("ix_audit_action", "audit", ["action"])
    _create_tables()
    _guard_audit()


def downgrade() -> None:
    """Drop all of it; the audit log can be changed again."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER audit_append_only ON audit")
        op.execute("DROP TRIGGER audit_no_truncate ON audit")
        op.execute("DROP FUNCTION streamswarm_audit_append_only()")
    else:
        op.execute("DROP TRIGGER audit_no_update")
        op.execute("DROP TRIGGER audit_no_delete")
        op.execute("DROP TRIGGER audit_no_replace")
    for table in (
        "development_windows",
        "config_changes",
        "config_values",
        "agent_secrets",
        "api_tokens",
        "oidc_logins",
        "known_addresses",
        "user_identities",
        "audit_retention",
    ):
        op.drop_table(table)
    op.drop_index("ix_audit_action", "audit")
    op.drop_index("ix_audit_actor", "audit")
    op.drop_index("ix_sessions_id", "sessions")
    for table, columns in _new_columns().items():
        for column in columns:
            op.drop_column(table, column.name)


def _new_columns() -> dict[str, list[sa.Column[Any]]]:
    return {
        "users": [
            sa.Column("display_name", sa.String(), nullable=False, server_default=""),
            sa.Column("email", sa.String(), nullable=False, server_default=""),
            sa.Column("password_changed_at", _TIME, nullable=True),
            sa.Column("failed_logins", sa.Integer(), nullable=False, server_default="0"),
            sa.Column("last_failed_login_at", _TIME, nullable=True),
        ],
        "sessions": [
            sa.Column("id", sa.String(), nullable=False, server_default=""),
            sa.Column("method", sa.String(), nullable=False, server_default="password"),
            sa.Column("address", sa.String(), nullable=False, server_default=""),
            sa.Column("user_agent", sa.String(), nullable=False, server_default=""),
        ],
        "login_throttles": [sa.Column("last_failure_at", _TIME, nullable=True)],
        "enrolment_tokens": [
            sa.Column("labels", sa.JSON(), nullable=False, server_default="{}"),
            sa.Column("uses", sa.Integer(), nullable=False, server_default="1"),
            sa.Column("uses_left", sa.Integer(), nullable=False, server_default="1"),
            sa.Column("revoked_at", _TIME, nullable=True),
        ],
        "audit": [
            sa.Column("actor_kind", sa.String(), nullable=False, server_default=""),
            sa.Column("via", sa.String(), nullable=False, server_default=""),
        ],
    }


def _create_tables() -> None:
    op.create_table("audit_retention", sa.Column("cutoff", _TIME, primary_key=True))
    op.create_table(
        "user_identities",
        sa.Column("issuer", sa.String(), primary_key=True),
        sa.Column("subject", sa.String(), primary_key=True),
        sa.Column("user_id", sa.String(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
    )
    op.create_index("ix_user_identities_user_id", "user_identities", ["user_id"])
    op.create_table(
        "known_addresses",
        sa.Column("user_id", sa.String(), sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("address", sa.String(), primary_key=True),
        sa.Column("last_login_at", _TIME, nullable=False),
    )
    op.create_table(
        "oidc_logins",
        sa.Column("state_hash", sa.String(), primary_key=True),
        sa.Column("browser_hash", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("code_verifier", sa.String(), nullable=False),
        sa.Column("next_path", sa.String(), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("user_id", sa.String(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False, unique=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME, nullable=True),
    )
    op.create_index("ix_api_tokens_user_id", "api_tokens", ["user_id"])
    op.create_table(
        "agent_secrets",
        sa.Column("agent_id", sa.String(), sa.ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("issued_at", _TIME, nullable=False),
        sa.Column("next_hash", sa.String(), nullable=False),
        sa.Column("next_expires_at", _TIME, nullable=True),
        sa.Column("rotate_by", _TIME, nullable=True),
    )
    op.create_table(
        "config_values",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
    )
    op.create_table(
        "config_changes",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
    )
    op.create_index("ix_config_changes_key", "config_changes", ["key"])
    op.create_table(
        "development_windows",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
    )


def _guard_audit() -> None:
    """Refuse what isn't an insert. A later migration that makes the table anew has to make the triggers anew too."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION streamswarm_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF TG_OP = 'DELETE' THEN IF EXISTS (SELECT 1 FROM audit_retention WHERE cutoff > OLD.time) THEN "
            "RETURN OLD; END IF; END IF; RAISE EXCEPTION 'the audit log is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit "
            "FOR EACH ROW EXECUTE FUNCTION streamswarm_audit_append_only()"
        )
        op.execute(
            "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION streamswarm_audit_append_only()"
        )
        return
    guarded = {
        "audit_no_update": "UPDATE ON audit",
        "audit_no_delete": "DELETE ON audit WHEN NOT EXISTS (SELECT 1 FROM audit_retention WHERE cutoff > OLD.time)",
        # INSERT OR REPLACE deletes without asking the trigger for that.
        "audit_no_replace": "INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)",
    }
    for name, what in guarded.items():
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {what} BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )
