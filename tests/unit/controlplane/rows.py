"""Rows in every table of a database, whatever its revision."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    select,
)

ROWS = 3
VERSION_TABLE = "alembic_version"
SAMPLES: dict[tuple[str, str], Any] = {
    ("tests", "probe"): "icmp",
    ("users", "role"): "admin",
    ("tokens", "scopes"): ["read"],
}
"""Values of columns that don't take any value of their type."""

Rows = dict[str, list[dict[str, Any]]]


def reflect(engine: Engine) -> MetaData:
    metadata = MetaData()
    metadata.reflect(engine)
    if VERSION_TABLE in metadata.tables:
        metadata.remove(metadata.tables[VERSION_TABLE])
    return metadata


def sample(column: Column[Any], number: int) -> Any:
    """A value that no other row has, of a type that the column takes."""
    named = SAMPLES.get((column.table.name, column.name))
    if named is not None:
        return named
    kind = column.type
    if isinstance(kind, Boolean):
        return number % 2 == 0
    if isinstance(kind, DateTime):
        value = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC) + timedelta(days=number)
        return value if kind.timezone else value.replace(tzinfo=None)
    if isinstance(kind, JSON):
        return {"n": number, "text": "größer"}
    if isinstance(kind, Integer | BigInteger):
        return number
    if isinstance(kind, Float):
        return number + 0.5
    if isinstance(kind, LargeBinary):
        return bytes([number])
    return f"{column.table.name}.{column.name} é {number}"


def fill(engine: Engine) -> None:
    """Put rows into every table; of those that may hold no value the last has none."""
    tables = reflect(engine).sorted_tables
    with engine.begin() as connection:
        for table in tables:
            for number in range(1, ROWS + 1):
                connection.execute(table.insert().values(row(connection, table, number)))


def row(connection: Connection, table: Table, number: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column in table.columns:
        if column.nullable and number == ROWS:
            values[column.name] = None
            continue
        values[column.name] = sample(column, number)
        for key in column.foreign_keys:
            referred = connection.execute(select(key.column).order_by(key.column).offset(number - 1)).first()
            # A table that refers to itself has no earlier row at first.
            values[column.name] = referred[0] if referred else None
    return values
