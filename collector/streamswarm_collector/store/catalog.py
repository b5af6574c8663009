"""What the store knows of its databases, measurements, fields and series; in memory, and in side tables of the file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from duckdb import DuckDBPyConnection

from streamswarm_collector.store.schema import FieldColumn, FieldType
from streamswarm_core.lineprotocol import parse_line

SQL_TYPES: Final[Mapping[FieldType, str]] = {
    FieldType.FLOAT: "DOUBLE",
    FieldType.INTEGER: "BIGINT",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.STRING: "VARCHAR",
}

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS databases (name VARCHAR PRIMARY KEY);
CREATE TABLE IF NOT EXISTS measurements (table_name VARCHAR PRIMARY KEY, database VARCHAR, name VARCHAR);
CREATE TABLE IF NOT EXISTS fields (table_name VARCHAR, column_name VARCHAR, name VARCHAR, type VARCHAR);
CREATE TABLE IF NOT EXISTS series (table_name VARCHAR, sid INTEGER, key VARCHAR, tags VARCHAR);
CREATE TABLE IF NOT EXISTS position (lsn UBIGINT);
CREATE SEQUENCE IF NOT EXISTS table_numbers;
"""


@dataclass(frozen=True, slots=True)
class MeasurementView:
    """A MeasurementSchema that never changes; a new one takes its place when a field or series is added."""

    name: str
    table: str
    fields: Mapping[str, FieldColumn]
    tag_keys: frozenset[str]
    series: Mapping[int, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class DatabaseView:
    """A DatabaseSchema that never changes."""

    name: str
    measurements: Mapping[str, MeasurementView]


@dataclass(slots=True)
class Table:
    """One measurement as the writer keeps it.

    Attributes:
        view: what readers get; made anew when something was added.
        sids: number of each series by its canonical key.
        newest: newest stored time of each series by its number.
        columns: field columns by field key.
        tags: tags by series number.
    """

    view: MeasurementView
    sids: dict[str, int] = field(default_factory=dict)
    newest: dict[int, int] = field(default_factory=dict)
    columns: dict[str, FieldColumn] = field(default_factory=dict)
    tags: dict[int, Mapping[str, str]] = field(default_factory=dict)

    def refresh(self, *, fields: bool, series: bool) -> None:
        """Make a new view where the old one is out of date."""
        if fields:
            self.view = replace(self.view, fields=dict(self.columns))
        if series:
            keys = frozenset(key for tags in self.tags.values() for key in tags)
            self.view = replace(self.view, series=dict(self.tags), tag_keys=keys)


class Catalog:
    """All databases. The writer thread changes it; readers take views."""

    def __init__(self) -> None:
        self._databases: dict[str, dict[str, Table]] = {}

    def load(self, connection: DuckDBPyConnection) -> int:
        """Create the side tables or read them; returns the newest log sequence number that is stored."""
        connection.execute(_TABLES)
        for (name,) in connection.execute("SELECT name FROM databases").fetchall():
            self._databases[name] = {}
        by_table: dict[str, Table] = {}
        for table_name, database, name in connection.execute("SELECT * FROM measurements").fetchall():
            table = Table(MeasurementView(name, table_name, {}, frozenset(), {}))
            by_table[table_name] = self._databases[database][name] = table
        for table_name, column, name, kind in connection.execute("SELECT * FROM fields").fetchall():
            by_table[table_name].columns[name] = FieldColumn(name, FieldType(kind), column)
        for table_name, sid, key, tags in connection.execute("SELECT * FROM series").fetchall():
            by_table[table_name].sids[key] = sid
            by_table[table_name].tags[sid] = json.loads(tags)
        for table_name, table in by_table.items():
            newest = connection.execute(f"SELECT sid, max(time) FROM {table_name} GROUP BY sid").fetchall()  # noqa: S608 - our own table name
            table.newest = dict(newest)
            table.refresh(fields=True, series=True)
        row = connection.execute("SELECT max(lsn) FROM position").fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def names(self) -> tuple[str, ...]:
        """Names of all databases, sorted."""
        return tuple(sorted(self._databases))

    def view(self, name: str) -> DatabaseView | None:
        """One database as it is now."""
        tables = self._databases.get(name)
        return None if tables is None else DatabaseView(name, {key: table.view for key, table in tables.copy().items()})

    def series_count(self) -> int:
        """Series of all databases."""
        return sum(len(table.tags) for tables in self._databases.values() for table in tables.values())

    def create_database(self, connection: DuckDBPyConnection, name: str) -> None:
        """Add a database unless it is there."""
        connection.execute("INSERT OR IGNORE INTO databases VALUES (?)", [name])
        self._databases.setdefault(name, {})

    def drop_database(self, connection: DuckDBPyConnection, name: str) -> None:
        """Remove a database and all its data."""
        for measurement in list(self._databases.get(name, {})):
            self.drop_measurement(connection, name, measurement)
        connection.execute("DELETE FROM databases WHERE name = ?", [name])
        self._databases.pop(name, None)

    def drop_measurement(self, connection: DuckDBPyConnection, database: str, name: str) -> None:
        """Remove one measurement and all its data."""
        table = self._databases[database].pop(name).view.table
        connection.execute(f"DROP TABLE {table}")
        for side_table in ("measurements", "fields", "series"):
            connection.execute(f"DELETE FROM {side_table} WHERE table_name = ?", [table])  # noqa: S608 - our own names

    def table(self, connection: DuckDBPyConnection, database: str, measurement: str) -> Table:
        """The table of a measurement, created with its database when it is new."""
        if database not in self._databases:
            self.create_database(connection, database)
        tables = self._databases[database]
        if measurement not in tables:
            row = connection.execute("SELECT nextval('table_numbers')").fetchone()
            table_name = f"m{row[0] if row else 0}"
            connection.execute(f"CREATE TABLE {table_name} (time BIGINT NOT NULL, sid INTEGER NOT NULL)")
            connection.execute("INSERT INTO measurements VALUES (?, ?, ?)", [table_name, database, measurement])
            tables[measurement] = Table(MeasurementView(measurement, table_name, {}, frozenset(), {}))
        return tables[measurement]


def add_series(connection: DuckDBPyConnection, table: Table, keys: Iterable[str]) -> bool:
    """Number the series that are new; says whether there were any."""
    fresh = [key for key in dict.fromkeys(keys) if key not in table.sids]
    rows = []
    for key in fresh:
        sid = len(table.sids) + 1
        tags = dict(parse_line(f"{key} x=1").tags)
        table.sids[key] = sid
        table.tags[sid] = tags
        rows.append((table.view.table, sid, key, json.dumps(tags, ensure_ascii=False)))
    if rows:
        connection.executemany("INSERT INTO series VALUES (?, ?, ?, ?)", rows)
    return bool(rows)


def add_fields(connection: DuckDBPyConnection, table: Table, types: Mapping[str, FieldType]) -> bool:
    """Add columns for the fields that are new; says whether there were any."""
    fresh = {name: kind for name, kind in types.items() if name not in table.columns}
    for name, kind in fresh.items():
        column = f"f{len(table.columns) + 1}"
        connection.execute(f"ALTER TABLE {table.view.table} ADD COLUMN {column} {SQL_TYPES[kind]}")
        connection.execute("INSERT INTO fields VALUES (?, ?, ?, ?)", [table.view.table, column, name, kind])
        table.columns[name] = FieldColumn(name, kind, column)
    return bool(fresh)
