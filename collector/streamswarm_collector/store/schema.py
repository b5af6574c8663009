"""What the InfluxQL engine may know of the embedded store; the seam between the two.

A measurement is one wide relation `(time BIGINT, sid INTEGER, <one nullable column per field>)`; `time` is in
nanoseconds since the epoch and `sid` numbers a series, whose tags are kept in memory. A pair of sid and time occurs at
most once. Rows are in no promised order.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from duckdb import DuckDBPyConnection

from streamswarm_collector.store.recent import RecentRows
from streamswarm_collector.store.rollups import Rollups
from streamswarm_collector.store.tagindex import TagIndex


class FieldType(StrEnum):
    """Types of fields, by the names that `SHOW FIELD KEYS` gives them."""

    FLOAT = "float"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class FieldColumn:
    """Where a field is stored: DOUBLE, BIGINT, BOOLEAN or VARCHAR by its type.

    Attributes:
        name: the field key.
        type: its type, fixed by the first point that had it.
        column: a SQL identifier that can stand in a statement as it is.
    """

    name: str
    type: FieldType
    column: str


class RefusedError(Exception):
    """What is asked of the store can't be done; the message is for whoever asked.

    Args:
        message: says what and why.
        missing_database: whether it is because there is no such database.
    """

    def __init__(self, message: str, *, missing_database: bool = False) -> None:
        super().__init__(message)
        self.missing_database = missing_database


class MeasurementSchema(Protocol):
    """One measurement of a database."""

    @property
    def name(self) -> str:
        """The measurement's name."""

    @property
    def table(self) -> str:
        """The table of the rows that are not in cold files, to be written in a SQL statement as it is."""

    def relation(self, connection: DuckDBPyConnection, start: int | None, stop: int | None) -> str:
        """A relation with every row from `start` on and before `stop`, and maybe others.

        It can stand in statements of the transaction that the connection is in.
        """

    @property
    def fields(self) -> Mapping[str, FieldColumn]:
        """Field columns by field key."""

    @property
    def tag_keys(self) -> frozenset[str]:
        """All tag keys that any series has."""

    @property
    def series(self) -> Mapping[int, Mapping[str, str]]:
        """Tags by sid."""

    @property
    def tags(self) -> TagIndex:
        """Finds series by their tags."""

    @property
    def recent(self) -> RecentRows:
        """The newest rows, in memory."""

    @property
    def rollups(self) -> Rollups:
        """What has been rolled up of it."""


class DatabaseSchema(Protocol):
    """One bucket: a database (InfluxDB 1.x) as one of its retention policies holds it."""

    @property
    def name(self) -> str:
        """The bucket's name."""

    @property
    def measurements(self) -> Mapping[str, MeasurementSchema]:
        """Measurements by name."""


class PolicySchema(Protocol):
    """One retention policy; durations in nanoseconds, 0 for ever."""

    @property
    def name(self) -> str:
        """Unique in its database."""

    @property
    def duration(self) -> int:
        """How long points are kept."""

    @property
    def shard_duration(self) -> int:
        """Shown to clients."""

    @property
    def replication(self) -> int:
        """Shown to clients."""

    @property
    def default(self) -> bool:
        """Whether it is meant where none is named."""


class QueryableStore(Protocol):
    """What a query needs. All views hold every point acknowledged before the call."""

    def databases(self) -> tuple[str, ...]:
        """Names of all databases, sorted."""

    def policies(self, name: str) -> Sequence[PolicySchema]:
        """Retention policies of a database; RefusedError if it isn't there."""

    def database(self, name: str, policy: str | None = None) -> DatabaseSchema:
        """A consistent view of what a policy holds; RefusedError if database or policy isn't there."""

    def whole_database(self, name: str) -> DatabaseSchema:
        """A view over all policies, to list what there is; RefusedError if it isn't there."""

    def cursor(self) -> AbstractContextManager[DuckDBPyConnection]:
        """A read cursor of its own, to be used by one thread, that sees every point acknowledged before the call."""
