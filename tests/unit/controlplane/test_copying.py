"""A database copied into another, from each kind to each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, select, text

from streamswarm_controlplane.audit.service import SYSTEM, record
from streamswarm_controlplane.copying import copy_database
from streamswarm_controlplane.db import Base, Database, connect
from streamswarm_controlplane.schema import migrate
from streamswarm_core.errors import ConfigError
from tests.unit.controlplane.conftest import DATABASES
from tests.unit.controlplane.rows import Rows, fill


def dump(engine: Engine) -> Rows:
    """All rows, as the program reads them."""
    with engine.connect() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in Base.metadata.sorted_tables
        }


@pytest.fixture
def make_engine(request: pytest.FixtureRequest) -> Iterator[list[Engine]]:
    made: list[Engine] = []
    yield made
    for engine in made:
        name = engine.url.database
        engine.dispose()
        if engine.dialect.name == "postgresql":
            request.getfixturevalue("postgresql").drop_database(name)


@pytest.fixture(params=[(one, other) for one in DATABASES for other in DATABASES], ids="-to-".join)
def engines(request: pytest.FixtureRequest, tmp_path: Path, make_engine: list[Engine]) -> tuple[Engine, Engine]:
    """Two empty databases."""
    for number, kind in enumerate(request.param):
        if kind == "sqlite":
            make_engine.append(connect(f"sqlite:///{tmp_path / str(number)}.db"))
        else:
            server = request.getfixturevalue("postgresql")
            make_engine.append(connect(server.url(server.new_database())))
    return make_engine[0], make_engine[1]


def test_every_row_of_every_table_arrives_as_it_was(engines: tuple[Engine, Engine]) -> None:
    source, target = engines
    migrate(source)
    fill(source)
    before = dump(source)
    told: dict[str, int] = {}
    copied = copy_database(source, target, told.__setitem__)
    assert copied == sum(map(len, before.values())) == sum(told.values())
    assert dump(target) == before


def test_null_of_sql_and_of_json_stay_two_things(engines: tuple[Engine, Engine]) -> None:
    source, target = engines
    migrate(source)
    fill(source)
    with source.begin() as connection:
        connection.execute(text("UPDATE config_changes SET before = NULL, after = 'null'"))
    copy_database(source, target)
    with target.connect() as connection:
        rows = connection.execute(text("SELECT before, CAST(after AS VARCHAR) FROM config_changes")).all()
    assert {tuple(row) for row in rows} == {(None, "null")}


def test_numbers_go_on_behind_those_that_were_copied(engines: tuple[Engine, Engine]) -> None:
    source, target = engines
    migrate(source)
    fill(source)
    copy_database(source, target)
    database = Database(target.url.render_as_string(hide_password=False))
    with database.session() as db:
        record(db, SYSTEM, "test.create", "x")
    database.close()
    assert [row["id"] for row in dump(target)["audit"]] == [1, 2, 3, 4]


def test_a_target_with_rows_is_refused_and_stays_as_it_is(engines: tuple[Engine, Engine]) -> None:
    source, target = engines
    for engine in engines:
        migrate(engine)
    fill(target)
    before = dump(target)
    with pytest.raises(ConfigError, match="isn't empty: there are rows in"):
        copy_database(source, target)
    assert dump(target) == before


def test_a_source_of_another_revision_is_refused_before_the_target_is_touched(engines: tuple[Engine, Engine]) -> None:
    source, target = engines
    migrate(source, "0003")
    with pytest.raises(ConfigError, match=r"revision 0003, this program's is .*streamswarm controlplane migrate"):
        copy_database(source, target)
    assert inspect(target).get_table_names() == []
