"""What the InfluxQL engine may know of the embedded store; the seam between the two.

A measurement is one wide DuckDB table `(time BIGINT, sid INTEGER, <one nullable column per field>)`; `time` is in
nanoseconds since the epoch and `sid` numbers a series, whose tags are kept in memory. A pair of sid and time occurs at
most once. Rows are in no promised order.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from duckdb import DuckDBPyConnection


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


class MeasurementSchema(Protocol):
    """One measurement of a database."""

    @property
    def name(self) -> str:
        """The measurement's name."""

    @property
    def table(self) -> str:
        """A qualified SQL identifier that can stand in a statement as it is."""

    @property
    def fields(self) -> Mapping[str, FieldColumn]:
        """Field columns by field key."""

    @property
    def tag_keys(self) -> frozenset[str]:
        """All tag keys that any series has."""

    @property
    def series(self) -> Mapping[int, Mapping[str, str]]:
        """Tags by sid, the same mapping object as long as no series is added."""


class DatabaseSchema(Protocol):
    """One database (InfluxDB 1.x) or bucket (2.x)."""

    @property
    def name(self) -> str:
        """The database's name."""

    @property
    def measurements(self) -> Mapping[str, MeasurementSchema]:
        """Measurements by name."""


class QueryableStore(Protocol):
    """What a query needs."""

    def databases(self) -> tuple[str, ...]:
        """Names of all databases, sorted."""

    def database(self, name: str) -> DatabaseSchema | None:
        """A consistent view of one database that holds every point acknowledged before the call, or None."""

    def cursor(self) -> AbstractContextManager[DuckDBPyConnection]:
        """A read cursor of its own, to be used by one thread."""
