"""A batch on its way from a request to the log and the sinks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamswarm_core.point import FieldValue


@dataclass(frozen=True, slots=True)
class Row:
    """One point, its series named by the canonical key (`measurement,tag=value…`, tags sorted, escaped)."""

    series_key: str
    time_ns: int
    fields: Mapping[str, FieldValue]


@dataclass(slots=True)
class Block:
    """Points of one measurement that all have the same fields, column by column: how bulk writes travel.

    Attributes:
        measurement: its name.
        series_keys: canonical series key of each point.
        times: nanoseconds since the epoch.
        columns: values by field; a column holds floats only, or integers only.
    """

    measurement: str
    series_keys: list[str]
    times: list[int]
    columns: dict[str, list[float] | list[int]]

    def rows(self) -> list[Row]:
        """The same points one by one."""
        names = list(self.columns)
        values = zip(*self.columns.values(), strict=True)
        return [
            Row(key, time_ns, dict(zip(names, row, strict=True)))
            for key, time_ns, row in zip(self.series_keys, self.times, values, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """One line that was not accepted.

    Attributes:
        number: its number in the body, from 1.
        reason: for the sender.
        kind: one word for the metrics: `syntax`, `type_conflict`, `series_limit`, `retention`.
    """

    number: int
    reason: str
    kind: str


@dataclass(slots=True)
class Batch:
    """The accepted lines of one request in canonical form, ready for the log, and what was refused.

    Attributes:
        database: where they go.
        lines: canonical line protocol, nanosecond times, one point each.
        rows: the same points, parsed; either these or `blocks`.
        blocks: the same points, parsed in bulk.
        refused: what was not accepted.
        foreign: how many of the points are of measurements that the catalogue doesn't declare.
    """

    database: str
    lines: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    refused: list[RefusedLine] = field(default_factory=list)
    foreign: int = 0

    def payload(self) -> bytes:
        """What the log keeps: the database's name on the first line, then the points."""
        return "\n".join([self.database.replace("\n", ""), *self.lines]).encode()


def split_payload(payload: bytes) -> tuple[str, bytes]:
    """Undo Batch.payload: database and line protocol."""
    database, _, lines = payload.partition(b"\n")
    return database.decode(), lines
