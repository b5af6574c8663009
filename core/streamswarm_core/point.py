from collections.abc import Mapping
from dataclasses import dataclass, field, replace

FieldValue = float | int | bool | str
"""What one field may hold. `int` is written with InfluxDB's `i` suffix, `bool` as `true` or `false`."""


@dataclass(frozen=True, slots=True)
class Point:
    """One InfluxDB point: what was measured, where, when.

    Attributes:
        measurement: a name from the catalogue.
        tags: indexed strings; an empty value is the same as no tag and is not written.
        fields: at least one value.
        time_ns: nanoseconds since the epoch, or None for "when the collector received it".
    """

    measurement: str
    tags: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    time_ns: int | None = None

    def with_tags(self, **tags: str) -> "Point":
        """Return the same point with these tags added or replaced."""
        return replace(self, tags={**self.tags, **tags})

    def at(self, time_ns: int) -> "Point":
        """Return the same point with this time, in nanoseconds since the epoch."""
        return replace(self, time_ns=time_ns)
