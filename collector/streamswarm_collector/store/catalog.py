"""What the store knows of its databases, measurements, fields and series.

It is in memory; each change leaves a statement behind that repeats it in the side tables of the file, in the same
transaction as the rows that needed it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from duckdb import DuckDBPyConnection

from streamswarm_collector.store import cold, newest
from streamswarm_collector.store.changes import Change, GoneTable, NewColumn, NewTable
from streamswarm_collector.store.cold import ColdTier
from streamswarm_collector.store.policies import Policies
from streamswarm_collector.store.recent import RecentRows
from streamswarm_collector.store.rollups import (
    NO_ROLLUPS,
    Range,
    Rollups,
    StoredRollups,
    no_steps,
    storing_marks,
)
from streamswarm_collector.store.schema import FieldColumn, FieldType
from streamswarm_collector.store.tagindex import TagIndex
from streamswarm_core.lineprotocol import parse_line

TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS databases (name VARCHAR PRIMARY KEY);
CREATE TABLE IF NOT EXISTS policies
  (database VARCHAR, name VARCHAR, duration BIGINT, shard_duration BIGINT, replication INTEGER, is_default BOOLEAN);
CREATE TABLE IF NOT EXISTS measurements (table_name VARCHAR PRIMARY KEY, database VARCHAR, name VARCHAR);
CREATE TABLE IF NOT EXISTS fields (table_name VARCHAR, column_name VARCHAR, name VARCHAR, type VARCHAR);
CREATE TABLE IF NOT EXISTS series (table_name VARCHAR, sid INTEGER, key VARCHAR, tags VARCHAR);
CREATE TABLE IF NOT EXISTS position (lsn UBIGINT);
{cold.TABLES}
{newest.TABLES}
"""


@dataclass(frozen=True, slots=True)
class MeasurementView:
    """A MeasurementSchema that never changes; a new one takes its place when something is added."""

    name: str
    table: str
    fields: Mapping[str, FieldColumn]
    tags: TagIndex
    recent: RecentRows
    cold: ColdTier
    rollups: Rollups = NO_ROLLUPS

    def relation(self, connection: DuckDBPyConnection, start: int | None, stop: int | None) -> str:
        """The rows of a range, hot and cold; see MeasurementSchema."""
        return self.cold.relation(connection, self.table, start, stop)

    @property
    def series(self) -> Mapping[int, Mapping[str, str]]:
        """Tags by sid."""
        return self.tags.series

    @property
    def tag_keys(self) -> frozenset[str]:
        """All tag keys that any series has."""
        return self.tags.keys


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
        last_sid: the highest number given to a series; numbers are not used again.
        last_column: the same for columns.
    """

    view: MeasurementView
    sids: dict[str, int] = field(default_factory=dict)
    newest: dict[int, int] = field(default_factory=dict)
    columns: dict[str, FieldColumn] = field(default_factory=dict)
    tags: dict[int, Mapping[str, str]] = field(default_factory=dict)
    last_sid: int = 0
    last_column: int = 0

    def refresh(self, *, fields: bool, series: bool) -> None:
        """Make a new view where the old one is out of date."""
        if fields:
            self.view = replace(self.view, fields=dict(self.columns))
        if series:
            self.view = replace(self.view, tags=TagIndex(dict(self.tags)))

    def set_recent(self, recent: RecentRows) -> None:
        """Publish other recent rows."""
        self.view = replace(self.view, recent=recent)

    def set_rollups(self, rollups: Rollups) -> None:
        """Publish what is now known of the roll-ups."""
        self.view = replace(self.view, rollups=rollups)


class Catalog:
    """All databases. The writer changes it; readers take views.

    Args:
        on_change: takes the statements that repeat a change in the file.
        cold_tier: the days that are in files of their own.
    """

    def __init__(self, on_change: Callable[[Change], None], cold_tier: ColdTier) -> None:
        self.on_change = on_change
        self.cold = cold_tier
        self._buckets: dict[str, dict[str, Table]] = {}
        self.policies = Policies(on_change)
        self._last_table = 0

    def load(self, connection: DuckDBPyConnection) -> int:
        """Create the side tables or read them; returns the newest log sequence number that is stored."""
        connection.execute(TABLES)
        self.policies.load(connection)
        by_table: dict[str, Table] = {}
        for table_name, bucket, name in connection.execute("SELECT * FROM measurements").fetchall():
            table = _empty_table(name, table_name, self.cold)
            by_table[table_name] = self._buckets.setdefault(bucket, {})[name] = table
            self._last_table = max(self._last_table, int(table_name[1:]))
        for table_name, column, name, kind in connection.execute("SELECT * FROM fields").fetchall():
            table = by_table[table_name]
            table.columns[name] = FieldColumn(name, FieldType(kind), column)
            table.last_column = max(table.last_column, int(column[1:]))
        for table_name, sid, key, tags in connection.execute("SELECT * FROM series").fetchall():
            by_table[table_name].sids[key] = sid
            by_table[table_name].tags[sid] = json.loads(tags)
        rollups = StoredRollups.load(connection)
        for table_name, times in newest.load_newest(connection, by_table).items():
            table = by_table[table_name]
            table.last_sid = max([*table.tags, *times], default=0)
            table.newest = {sid: time for sid, time in times.items() if sid in table.tags}
            table.set_rollups(rollups.of(table_name))
            table.refresh(fields=True, series=True)
        row = connection.execute("SELECT max(lsn) FROM position").fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def tables(self) -> list[tuple[str, Table]]:
        """Every measurement with the bucket it is in."""
        return [(bucket, table) for bucket, tables in self._buckets.items() for table in list(tables.values())]

    def view(self, bucket: str) -> DatabaseView:
        """One bucket as it is now."""
        tables = self._buckets.get(bucket, {}).copy()
        return DatabaseView(bucket, {key: table.view for key, table in tables.items()})

    def series_count(self) -> int:
        """Series of all databases."""
        return sum(len(table.tags) for _, table in self.tables())

    def drop_database(self, name: str) -> None:
        """Remove a database, all its policies and all its data."""
        for bucket in self.policies.buckets(name):
            self.drop_bucket(bucket)
        self.policies.drop_database(name)

    def drop_bucket(self, bucket: str) -> None:
        """Remove what a bucket holds."""
        for measurement in list(self._buckets.get(bucket, {})):
            self.drop_measurement(bucket, measurement)
        self._buckets.pop(bucket, None)

    def drop_measurement(self, bucket: str, name: str) -> None:
        """Remove one measurement and all its data, if it is there."""
        table = self._buckets.get(bucket, {}).pop(name, None)
        if table is None:
            return
        self.on_change(GoneTable(table.view.table, bucket, name))

    def find(self, bucket: str, measurement: str) -> Table | None:
        """The table of a measurement, if there is one."""
        return self._buckets.get(bucket, {}).get(measurement)

    def table(self, bucket: str, measurement: str) -> Table:
        """The table of a measurement, created with its database when it is new."""
        self.policies.ensure(bucket)
        tables = self._buckets.setdefault(bucket, {})
        if measurement not in tables:
            self._last_table += 1
            table_name = f"m{self._last_table}"
            tables[measurement] = _empty_table(measurement, table_name, self.cold)
            self.on_change(NewTable(table_name, bucket, measurement))
        return tables[measurement]

    def add_series(self, table: Table, keys: Iterable[str]) -> bool:
        """Number the series that are new; says whether there were any."""
        fresh = [key for key in dict.fromkeys(keys) if key not in table.sids]
        sids, tags = [], []
        for key in fresh:
            table.last_sid += 1
            table.sids[key] = table.last_sid
            table.tags[table.last_sid] = dict(parse_line(f"{key} x=1").tags)
            sids.append(table.last_sid)
            tags.append(json.dumps(table.tags[table.last_sid], ensure_ascii=False))
        if fresh:
            added = [table.view.table, sids, fresh, tags]
            self.on_change(
                lambda connection: connection.execute(
                    "INSERT INTO series SELECT ?, unnest(?), unnest(?), unnest(?)", added
                )
            )
        return bool(fresh)

    def drop_series(self, table: Table, sids: Iterable[int]) -> None:
        """Forget series; their rows are somebody else's to delete."""
        gone = set(sids)
        table.sids = {key: sid for key, sid in table.sids.items() if sid not in gone}
        for sid in gone:
            table.tags.pop(sid, None)
            table.newest.pop(sid, None)
        table.refresh(fields=False, series=True)
        stored, numbers = table.view.table, sorted(gone)
        self.on_change(
            lambda connection: connection.execute(
                "DELETE FROM series WHERE table_name = ? AND sid IN (SELECT unnest(?))", [stored, numbers]
            )
        )

    def mark(self, table: Table, ranges: Sequence[Range]) -> None:
        """Note that rows of these ranges change, so that roll-ups of them are made again and not used until then."""
        rollups, made, gone = table.view.rollups.marked(ranges)
        if made:
            table.set_rollups(rollups)
            self.on_change(storing_marks(table.view.table, made, gone))

    def add_fields(self, table: Table, types: Mapping[str, FieldType]) -> bool:
        """Add columns for the fields that are new; says whether there were any."""
        fresh = {name: kind for name, kind in types.items() if name not in table.columns}
        for name, kind in fresh.items():
            table.last_column += 1
            table.columns[name] = column = FieldColumn(name, kind, f"f{table.last_column}")
            self.on_change(NewColumn(table.view.table, column))
        return bool(fresh)


def _empty_table(measurement: str, table_name: str, cold_tier: ColdTier) -> Table:
    rollups = Rollups(no_steps(table_name))
    return Table(MeasurementView(measurement, table_name, {}, TagIndex({}), RecentRows(), cold_tier, rollups))
