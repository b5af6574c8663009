"""Every revision with rows in every table, up and down on both databases; a new one is tested by being there."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import (
    Engine,
    create_engine,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from streamswarm_controlplane import models, schema
from streamswarm_controlplane.db import Base, connect
from streamswarm_controlplane.schema import MIGRATIONS, alembic_config, current_revision, downgrade, migrate, revisions
from streamswarm_core.errors import ConfigError
from tests.postgres import PostgreSQL
from tests.unit.controlplane.conftest import DATABASES
from tests.unit.controlplane.rows import ROWS, VERSION_TABLE, Rows, fill, reflect, sample

REWRITTEN: dict[tuple[str, str, str], str] = {}
"""Revision, table and column whose values a step changes on purpose, and why."""

_SCRIPTS = ScriptDirectory.from_config(alembic_config(create_engine("sqlite://")))
REVISIONS = [script.revision for script in reversed(list(_SCRIPTS.walk_revisions()))]


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'x.db'}"
    else:
        server = request.getfixturevalue("postgresql")
        url = server.url(server.new_database())
    made = connect(url)
    yield made
    name = made.url.database
    made.dispose()
    if request.param == "postgresql":
        server.drop_database(name)


def test_a_database_that_was_made_without_a_locale_holds_text(postgresql: PostgreSQL) -> None:
    name = f"ascii_{uuid.uuid4().hex}"
    # ICU, which may be the template's since PostgreSQL 15, has no such encoding.
    [(version,)] = postgresql.execute(sql.SQL("SHOW server_version_num").format())
    provider = sql.SQL("LOCALE_PROVIDER libc" if int(version) >= 150_000 else "")
    made = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C' {}")
    postgresql.execute(made.format(sql.Identifier(name), provider))
    engine = connect(postgresql.url(name))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.scalar(select(literal("Zürich"))) == "Zürich"
    engine.dispose()
    postgresql.drop_database(name)


def dump(engine: Engine) -> Rows:
    tables = reflect(engine).sorted_tables
    with engine.connect() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in tables
        }


def assert_kept(before: Rows, after: Rows, step: str) -> None:
    """What both revisions have room for is the same in both."""
    for name, rows in before.items():
        if name not in after:
            continue
        assert len(after[name]) == len(rows), f"{step}: rows of {name}"
        for old, new in zip(rows, after[name], strict=True):
            common = [key for key in old if key in new and (step, name, key) not in REWRITTEN]
            assert {key: new[key] for key in common} == {key: old[key] for key in common}, f"{step}: {name}"


@pytest.mark.parametrize("start", REVISIONS)
def test_rows_of_every_table_survive_the_way_up_from_every_revision(engine: Engine, start: str) -> None:
    migrate(engine, start)
    fill(engine)
    before = dump(engine)
    assert before
    assert all(len(rows) == ROWS for rows in before.values())
    for revision in REVISIONS[REVISIONS.index(start) + 1 :]:
        migrate(engine, revision)
        after = dump(engine)
        assert_kept(before, after, revision)
        before = after
    with Session(engine) as session:
        for mapper in Base.registry.mappers:
            assert len(session.scalars(select(mapper.class_)).unique().all()) == len(
                before[mapper.class_.__tablename__]
            )


def test_rows_of_every_table_survive_the_way_down_and_up_again(engine: Engine) -> None:
    migrate(engine)
    fill(engine)
    before = dump(engine)
    for revision in reversed(REVISIONS[:-1]):
        downgrade(engine, revision)
        after = dump(engine)
        assert_kept(before, after, revision)
        before = after
    migrate(engine)
    assert_kept(before, dump(engine), "head")


def test_nothing_but_the_mark_is_left_at_the_base(engine: Engine) -> None:
    migrate(engine)
    fill(engine)
    downgrade(engine, "base")
    assert inspect(engine).get_table_names() in ([], [VERSION_TABLE])
    assert current_revision(engine) is None


def test_migrations_make_exactly_the_schema_that_the_models_describe(engine: Engine) -> None:
    assert models.__all__
    migrate(engine)
    command.check(alembic_config(engine))
    made, described = reflect(engine), Base.metadata
    assert {name: set(table.columns.keys()) for name, table in made.tables.items()} == {
        name: set(table.columns.keys()) for name, table in described.tables.items()
    }


def test_revisions_are_one_line_and_each_says_what_it_is_for(engine: Engine) -> None:
    assert len(_SCRIPTS.get_heads()) == 1
    migrate(engine)
    known = revisions(engine)
    assert [one.id for one in known] == REVISIONS
    assert all(one.title for one in known)
    assert [one.id for one in known if one.current] == REVISIONS[-1:]


def test_a_database_of_a_newer_program_is_refused(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for attempt in (lambda: migrate(engine), lambda: downgrade(engine, REVISIONS[0]), lambda: revisions(engine)):
        with pytest.raises(ConfigError, match=r"revision 9999, which StreamSwarm .* doesn't know; a newer version"):
            attempt()
    assert current_revision(engine) == "9999"


def test_an_unknown_revision_is_refused_with_those_there_are(engine: Engine) -> None:
    with pytest.raises(ConfigError, match=f"no schema revision 'x'; one of base, {REVISIONS[0]}"):
        migrate(engine, "x")


def test_a_step_that_fails_leaves_the_database_as_it_was(engine: Engine) -> None:
    with engine.begin() as connection:
        # In the way of the first revision, half-way through it.
        connection.execute(text("CREATE TABLE users (id INTEGER)"))
    with pytest.raises(ConfigError, match="users"):
        migrate(engine)
    assert inspect(engine).get_table_names() == ["users"]


RENAMING = """
from alembic import op

revision = "renamed"
down_revision = {head!r}


def upgrade() -> None:
    with op.batch_alter_table("users") as batch:
        batch.alter_column("username", new_column_name="login")
"""


def test_a_table_that_others_refer_to_is_changed_without_losing_their_rows(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite makes such a table anew; `ON DELETE CASCADE` would empty those that refer to it."""
    migrate(engine)
    fill(engine)
    before = dump(engine)
    assert before["sessions"]
    shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    (tmp_path / "migrations" / "versions" / "renamed.py").write_text(RENAMING.format(head=REVISIONS[-1]))
    monkeypatch.setattr(schema, "MIGRATIONS", tmp_path / "migrations")
    migrate(engine, "renamed")
    after = dump(engine)
    assert [row["login"] for row in after["users"]] == [row["username"] for row in before["users"]]
    assert_kept(before, after, "renamed")


def test_a_foreign_key_still_holds_after_migrations(engine: Engine) -> None:
    migrate(engine)
    fill(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM users"))
    assert dump(engine)["sessions"] == []
    sessions = reflect(engine).tables["sessions"]
    orphan = sessions.insert().values({column.name: sample(column, 9) for column in sessions.columns})
    with engine.connect() as connection, pytest.raises(SQLAlchemyError, match=r"(?i)foreign key"):
        connection.execute(orphan)


def test_tests_that_share_a_name_keep_it_and_the_oldest_has_the_claim(engine: Engine) -> None:
    migrate(engine, "0006")
    fill(engine)
    tests = reflect(engine).tables["tests"]
    with engine.begin() as connection:
        connection.execute(tests.update().values(name="Head office"))
    migrate(engine)
    kept = [(row["name"], row["name_key"]) for row in sorted(dump(engine)["tests"], key=lambda row: row["created_at"])]
    assert kept == [("Head office", "head office"), ("Head office", None), ("Head office", None)]


def test_a_database_that_passed_a_revision_by_gets_what_it_brings(engine: Engine) -> None:
    migrate(engine, "0003")
    fill(engine)
    before = dump(engine)
    command.stamp(alembic_config(engine), "0004")
    migrate(engine)
    assert_kept(before, dump(engine), REVISIONS[-1])
    command.check(alembic_config(engine))


def test_a_database_that_lacks_a_column_is_refused_at_the_start_and_not_request_by_request(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE users DROP COLUMN display_name"))
        connection.execute(text("DROP TABLE markers"))
    with pytest.raises(ConfigError, match=r"revision \d+ and lacks markers, users.display_name: .*take back a backup"):
        migrate(engine)
