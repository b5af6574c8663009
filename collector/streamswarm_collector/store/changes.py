"""What the catalog changes in the file's schema, and what of it can be committed ahead of the rows.

DuckDB keeps a copy of a table's whole entry, all columns, for each change of it until the transaction ends: a thousand
columns added to a table of thousands take gigabytes. So a new table is created with all columns that it gets in the
same flush, and additions are committed in small transactions ahead of the rows that need them. A crash in between
leaves tables and columns without rows, which the log's replay finds and fills.

A column that is added to a table with rows takes a block of memory for each of its row groups until the next
checkpoint makes nothing of it. So there are fewer columns in one transaction the more rows there are, and a checkpoint
behind each.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from duckdb import DuckDBPyConnection

from streamswarm_collector.store import cold
from streamswarm_collector.store.rollups import forget_rollups
from streamswarm_collector.store.schema import FieldColumn, FieldType

SQL_TYPES: Final[Mapping[FieldType, str]] = {
    FieldType.FLOAT: "DOUBLE",
    FieldType.INTEGER: "BIGINT",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.STRING: "VARCHAR",
}
MOST_VERSIONS: Final = 50_000
"""Columns in all versions of tables that one transaction makes; each takes about 700 bytes until its end."""

_MOST_BLOCKS: Final = 512
"""Of 256 KiB each."""
_ROW_GROUP: Final = 122_880
_WORTH_A_CHECKPOINT: Final = 64
"""Blocks; what takes fewer is left to DuckDB's own checkpoints."""

Change = Callable[[DuckDBPyConnection], object]


@dataclass(frozen=True, slots=True)
class NewTable:
    """A measurement's table, with the columns that are known by now."""

    table: str
    bucket: str
    measurement: str
    columns: tuple[FieldColumn, ...] = ()

    @property
    def versions(self) -> int:
        """What it takes of MOST_VERSIONS."""
        return 2 + len(self.columns)

    def __call__(self, connection: DuckDBPyConnection) -> None:
        """Create it."""
        columns = "".join(f", {one.column} {SQL_TYPES[one.type]}" for one in self.columns)
        connection.execute(f"CREATE TABLE {self.table} (time BIGINT NOT NULL, sid INTEGER NOT NULL{columns})")
        connection.execute("INSERT INTO measurements VALUES (?, ?, ?)", [self.table, self.bucket, self.measurement])
        _list_fields(connection, self.table, self.columns)


@dataclass(frozen=True, slots=True)
class NewColumn:
    """A column of a table that may be there already."""

    table: str
    column: FieldColumn

    @property
    def versions(self) -> int:
        """What it takes of MOST_VERSIONS: columns are numbered, and each has those before it beside it."""
        return 2 + int(self.column.column[1:])

    def __call__(self, connection: DuckDBPyConnection) -> None:
        """Add it."""
        one = self.column
        connection.execute(f"ALTER TABLE {self.table} ADD COLUMN {one.column} {SQL_TYPES[one.type]}")
        _list_fields(connection, self.table, [one])


@dataclass(frozen=True, slots=True)
class GoneTable:
    """A measurement that was dropped."""

    table: str
    bucket: str
    measurement: str

    def __call__(self, connection: DuckDBPyConnection) -> None:
        """Remove it with all that belongs to it."""
        connection.execute(f"DROP TABLE {self.table}")
        forget_rollups(connection, self.table)
        cold.retire(connection, "table_name = ?", [self.table])
        for side_table in ("measurements", "fields", "series", "newest"):
            connection.execute(f"DELETE FROM {side_table} WHERE table_name = ?", [self.table])  # noqa: S608 - our own names


Addition = NewTable | NewColumn


def parted(changes: Sequence[Change]) -> tuple[list[Addition], list[Change]]:
    """What can be committed ahead, and what has to come in one transaction, each in the order it was made.

    A table that takes the place of one that is dropped before it stays behind the drop: after a crash in between a
    measurement would have two.
    """
    columns: dict[str, list[FieldColumn]] = {one.table: [] for one in changes if isinstance(one, NewTable)}
    for one in changes:
        if isinstance(one, NewColumn) and one.table in columns:
            columns[one.table].append(one.column)
    ahead: list[Addition] = []
    rest: list[Change] = []
    dropped: set[tuple[str, str]] = set()
    for one in changes:
        if isinstance(one, NewTable):
            follows = (one.bucket, one.measurement) in dropped
            (rest if follows else ahead).append(replace(one, columns=tuple(columns[one.table])))
        elif isinstance(one, NewColumn):
            if one.table not in columns:
                ahead.append(one)
        else:
            if isinstance(one, GoneTable):
                dropped.add((one.bucket, one.measurement))
            rest.append(one)
    return ahead, rest


@dataclass(slots=True)
class Piece:
    """Additions for one transaction.

    Attributes:
        additions: them.
        versions: what they take of MOST_VERSIONS.
        blocks: memory they take until the next checkpoint, in blocks of 256 KiB.
    """

    additions: list[Addition]
    versions: int = 0
    blocks: int = 0

    @property
    def needs_checkpoint(self) -> bool:
        """Whether the memory it takes has to be given back before anything else."""
        return self.blocks >= _WORTH_A_CHECKPOINT


def in_pieces(additions: Iterable[Addition], rows: Mapping[str, int]) -> Iterator[Piece]:
    """Additions in groups that are small enough for one transaction each.

    Args:
        additions: in order.
        rows: about how many rows a table has, by its name.
    """
    piece = Piece([])
    for one in additions:
        blocks = -(-rows.get(one.table, 0) // _ROW_GROUP) if isinstance(one, NewColumn) else 0
        full = piece.versions + one.versions > MOST_VERSIONS or piece.blocks + blocks > _MOST_BLOCKS
        if piece.additions and full:
            yield piece
            piece = Piece([])
        piece.additions.append(one)
        piece.versions += one.versions
        piece.blocks += blocks
    if piece.additions:
        yield piece


def rows_of_tables(connection: DuckDBPyConnection) -> dict[str, int]:
    """About how many rows each table has."""
    return dict(connection.execute("SELECT table_name, estimated_size FROM duckdb_tables()").fetchall())


def _list_fields(connection: DuckDBPyConnection, table: str, columns: Sequence[FieldColumn]) -> None:
    """One statement for all: each takes DuckDB a millisecond, however little it does."""
    if columns:
        connection.execute(
            "INSERT INTO fields SELECT ?, unnest(?), unnest(?), unnest(?)",
            [
                table,
                [one.column for one in columns],
                [one.name for one in columns],
                [one.type.value for one in columns],
            ],
        )
