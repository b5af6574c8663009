"""Copies everything from one database into another, of whichever kind: the move to PostgreSQL, and backups of it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    Integer,
    Table,
    Text,
    bindparam,
    cast,
    func,
    insert,
    select,
)
from sqlalchemy.exc import DataError, SQLAlchemyError

from streamswarm_controlplane import models
from streamswarm_controlplane.db import Base
from streamswarm_controlplane.schema import check_current, database_name, migrate
from streamswarm_controlplane.sqlite import READING
from streamswarm_core.errors import ConfigError

_ROWS_AT_ONCE: Final = 1_000
_ = models
Progress = Callable[[str, int], None]
"""Told a table's name and how many rows of it have been copied."""


def copy_database(source: Engine, target: Engine, progress: Progress = lambda _table, _rows: None) -> int:
    """Copy all rows; the target is made, or has to be empty, and gets all of them or none.

    Args:
        source: of this program's schema; what it says is of one moment, even if it is being written to.
        target: another database.
        progress: told how far it is.

    Returns:
        How many rows were copied.

    Raises:
        ConfigError: one of them can't be used, the source has another revision, or the target holds something.
    """
    check_current(source)
    migrate(target)
    moment = {READING: True} if source.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    try:
        with source.execution_options(**moment).connect() as reading, target.begin() as writing:
            _refuse_filled(writing)
            return sum(_copy_table(reading, writing, table, progress) for table in Base.metadata.sorted_tables)
    except DataError as error:
        raise ConfigError(f"database {database_name(target.url)} can't hold a value: {_first_line(error)}") from None
    except SQLAlchemyError as error:
        raise ConfigError(
            f"from {database_name(source.url)} to {database_name(target.url)}: {_first_line(error)}; nothing was copied"
        ) from None


def _refuse_filled(writing: Connection) -> None:
    for table in Base.metadata.sorted_tables:
        if writing.execute(select(table).limit(1)).first() is not None:
            raise ConfigError(
                f"database {database_name(writing.engine.url)} isn't empty: there are rows in {table.name}; "
                "give another one"
            )


def _copy_table(reading: Connection, writing: Connection, table: Table, progress: Progress) -> int:
    statement = insert(table).values({column.name: _written(column, writing) for column in table.columns})
    copied = 0
    for rows in _read(reading, table):
        writing.execute(statement, rows)
        copied += len(rows)
        progress(table.name, copied)
    ((there,),) = writing.execute(select(func.count()).select_from(table))
    if there != copied:
        raise ConfigError(f"{table.name}: {copied} rows were copied and {there} arrived; nothing was changed")
    _go_on_counting(writing, table)
    return copied


def _read(reading: Connection, table: Table) -> Iterator[Sequence[dict[str, Any]]]:
    wanted = select(*(_read_as(column) for column in table.columns)).order_by(*table.primary_key)
    with reading.execution_options(yield_per=_ROWS_AT_ONCE).execute(wanted) as result:
        for rows in result.mappings().partitions():
            yield [dict(row) for row in rows]


def _read_as(column: Column[Any]) -> Any:
    """A column; JSON as its text, as a value of Python can't tell JSON's null from SQL's."""
    return cast(column, Text).label(column.name) if isinstance(column.type, JSON) else column


def _written(column: Column[Any], writing: Connection) -> Any:
    if not isinstance(column.type, JSON):
        return bindparam(column.name, type_=column.type)
    given = bindparam(column.name, type_=Text())
    # To SQLite JSON is text, and a cast would make a number of it.
    return given if writing.dialect.name == "sqlite" else cast(given, column.type)


def _go_on_counting(writing: Connection, table: Table) -> None:
    """Let PostgreSQL's counters go on behind the numbers that were copied; SQLite looks at the rows."""
    if writing.dialect.name != "postgresql":
        return
    for column in table.primary_key:
        if isinstance(column.type, Integer) and column is table.autoincrement_column:
            sequence = select(func.pg_get_serial_sequence(table.name, column.name)).scalar_subquery()
            highest = select(func.max(column)).scalar_subquery()
            used = func.coalesce(highest, 1)
            writing.execute(select(func.setval(sequence, used, highest.is_not(None))))


def _first_line(error: SQLAlchemyError) -> str:
    return str(error).splitlines()[0]
