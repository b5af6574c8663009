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


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """One line that was not accepted.

    Attributes:
        number: its number in the body, from 1.
        reason: for the sender.
        kind: one word for the metrics: `syntax`, `type_conflict`, `measurement`.
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
        rows: the same points, parsed.
        refused: what was not accepted.
    """

    database: str
    lines: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    refused: list[RefusedLine] = field(default_factory=list)

    def payload(self) -> bytes:
        """What the log keeps: the database's name on the first line, then the points."""
        return "\n".join([self.database.replace("\n", ""), *self.lines]).encode()


def split_payload(payload: bytes) -> tuple[str, bytes]:
    """Undo Batch.payload: database and line protocol."""
    database, _, lines = payload.partition(b"\n")
    return database.decode(), lines
