"""InfluxQL statements as frozen values."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from streamswarm_collector.influxql import regex


@dataclass(frozen=True, slots=True)
class Number:
    """An integer or decimal literal."""

    value: float | int


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time in nanoseconds."""

    nanoseconds: int


@dataclass(frozen=True, slots=True)
class String:
    """A string literal; next to `time` it is a moment."""

    value: str


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression, checked."""

    pattern: str

    def matches(self, text: str) -> bool:
        """Whether the expression is found anywhere in a name."""
        return regex.matches(self.pattern, text)

    def among(self, texts: Collection[str]) -> frozenset[str]:
        """The texts in which the expression is found."""
        return regex.matching(self.pattern, texts)


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`*`, or `*::field` and `*::tag` for one of the two kinds."""

    cast: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A field, a tag, or `time`."""

    name: str
    cast: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A function of expressions."""

    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic, comparison, `AND`, `OR`."""

    operator: str
    left: "Expression"
    right: "Expression"


Expression = Number | Duration | String | Boolean | Regex | Wildcard | Reference | Call | Binary


def folded(operator: str, operands: Sequence[Expression]) -> Expression:
    """AND or OR of operands as a tree of little depth: tools write one comparison for each of a thousand hosts."""
    if len(operands) == 1:
        return operands[0]
    middle = (len(operands) + 1) // 2
    return Binary(operator, folded(operator, operands[:middle]), folded(operator, operands[middle:]))


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a SELECT; the alias is "" where none is given."""

    expression: Expression
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a statement reads from: a name, or every name that a regular expression finds."""

    name: str | Regex
    database: str | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class TimeDimension:
    """`time(every, offset)`, in nanoseconds."""

    every: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class TagDimension:
    """A tag key, every one that a regular expression finds, or every one there is."""

    key: str | Regex | Wildcard


class FillMode(StrEnum):
    """What an empty window holds."""

    NULL = "null"
    NONE = "none"
    PREVIOUS = "previous"
    LINEAR = "linear"


Fill = FillMode | Number


@dataclass(frozen=True, slots=True)
class Select:
    """A SELECT statement."""

    columns: tuple[Column, ...]
    sources: tuple["Measurement | Select", ...]
    where: Expression | None = None
    window: TimeDimension | None = None
    dimensions: tuple[TagDimension, ...] = ()
    fill: Fill = FillMode.NULL
    descending: bool = False
    limit: int = 0
    offset: int = 0
    series_limit: int = 0
    series_offset: int = 0
    zone: ZoneInfo | None = None


class Subject(StrEnum):
    """What a SHOW statement lists."""

    DATABASES = "DATABASES"
    MEASUREMENTS = "MEASUREMENTS"
    TAG_KEYS = "TAG KEYS"
    TAG_VALUES = "TAG VALUES"
    FIELD_KEYS = "FIELD KEYS"
    RETENTION_POLICIES = "RETENTION POLICIES"
    SERIES = "SERIES"
    USERS = "USERS"
    SUBSCRIPTIONS = "SUBSCRIPTIONS"
    QUERIES = "QUERIES"
    DIAGNOSTICS = "DIAGNOSTICS"
    CONTINUOUS_QUERIES = "CONTINUOUS QUERIES"
    GRANTS = "GRANTS"


@dataclass(frozen=True, slots=True)
class Show:
    """A SHOW statement.

    Attributes:
        subject: what it lists.
        cardinality: "" for a list; else how the number of its elements is asked for, `ESTIMATED` or `EXACT`.
        database: `ON`, or None for the request's.
        sources: `FROM`, or `WITH MEASUREMENT`.
        keys: `WITH KEY`: which tag keys.
        keys_excluded: whether `keys` names those that are not wanted.
        where: conditions on tags.
        limit: rows at most; 0 for all.
        offset: rows passed over first.
    """

    subject: Subject
    cardinality: str = ""
    database: str | None = None
    sources: tuple[Measurement, ...] = ()
    keys: tuple[str | Regex, ...] = ()
    keys_excluded: bool = False
    where: Expression | None = None
    limit: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """What CREATE and ALTER say of a retention policy; None where they say nothing.

    Attributes:
        name: for `CREATE DATABASE … WITH NAME`.
        duration: nanoseconds that points are kept; 0 for ever.
        shard_duration: nanoseconds; shown and not used, as the store has no shards.
        replication: copies; shown and not used.
        default: whether writes and queries that name no policy mean this one.
    """

    name: str | None = None
    duration: int | None = None
    shard_duration: int | None = None
    replication: int | None = None
    default: bool = False


@dataclass(frozen=True, slots=True)
class CreateDatabase:
    """`CREATE DATABASE`."""

    name: str
    policy: PolicyOptions | None = None


@dataclass(frozen=True, slots=True)
class DropDatabase:
    """`DROP DATABASE`."""

    name: str


@dataclass(frozen=True, slots=True)
class CreatePolicy:
    """`CREATE RETENTION POLICY`."""

    name: str
    database: str
    options: PolicyOptions


@dataclass(frozen=True, slots=True)
class AlterPolicy:
    """`ALTER RETENTION POLICY`."""

    name: str
    database: str
    options: PolicyOptions


@dataclass(frozen=True, slots=True)
class DropPolicy:
    """`DROP RETENTION POLICY`."""

    name: str
    database: str


@dataclass(frozen=True, slots=True)
class Delete:
    """`DELETE`, or `DROP SERIES`, which also forgets the series and takes no condition on time."""

    sources: tuple[Measurement, ...] = ()
    where: Expression | None = None
    series: bool = False


@dataclass(frozen=True, slots=True)
class DropMeasurement:
    """`DROP MEASUREMENT`."""

    name: str


Statement = (
    Select | Show | CreateDatabase | DropDatabase | CreatePolicy | AlterPolicy | DropPolicy | Delete | DropMeasurement
)

DURATION_UNITS: Final[Mapping[str, int]] = {
    "ns": 1,
    "u": 1_000,
    "µ": 1_000,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
