import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from streamswarm_core.errors import CatalogueError
from streamswarm_core.point import FieldValue, Point


class Kind(StrEnum):
    """The type a field has in InfluxDB; it can never change once points are written."""

    FLOAT = "float"
    INTEGER = "integer"
    STRING = "string"


_TYPES: Final = {Kind.FLOAT: float, Kind.INTEGER: int, Kind.STRING: str}


class Metric(StrEnum):
    """What a field is to Prometheus."""

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Unit:
    """A base unit.

    Attributes:
        name: as written in docs, such as "seconds".
        suffix: what a Prometheus name ends with; empty for a bare number.
        grafana: Grafana's unit id, so that a panel reads "12 ms" and not "0.012".
        scale: what a value is multiplied by for Prometheus, which has its own base units.
        times: what a value is multiplied by for people, who read it in Grafana's unit.
    """

    name: str
    suffix: str
    grafana: str
    scale: float = 1.0
    times: float = 1.0


SECONDS = Unit("seconds", "seconds", "s")
BYTES = Unit("bytes", "bytes", "bytes")
BYTES_PER_SECOND = Unit("bytes per second", "bytes_per_second", "Bps")
BITS_PER_SECOND = Unit("bits per second", "bytes_per_second", "bps", scale=1 / 8)
LINE_RATE = Unit("bytes per second of a link", "bytes_per_second", "bps", times=8)
"""What goes over a link: counted in bytes, and read in bits per second as the link's own speed is."""
RATIO = Unit("ratio 0..1", "ratio", "percentunit")
CELSIUS = Unit("degrees Celsius", "celsius", "celsius")
HERTZ = Unit("hertz", "hertz", "hertz")
PER_SECOND = Unit("per second", "per_second", "count:/s")
WATTS = Unit("watts", "watts", "watt")
VOLTS = Unit("volts", "volts", "volt")
DBM = Unit("decibels above one milliwatt", "dbm", "dBm")
DECIBELS = Unit("decibels", "decibels", "dB")
RPM = Unit("revolutions per minute", "rpm", "rotrpm")
COUNT = Unit("count", "", "short")
NUMBER = Unit("number", "", "none")
STATE = Unit("0 or 1", "", "bool_yes_no")
SCORE = Unit("score 0..1", "", "percentunit")
METRES = Unit("metres", "meters", "lengthm")
DEGREES = Unit("degrees", "degrees", "degree")
TEXT = Unit("text", "", "string")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a measurement.

    Attributes:
        name: as stored, without the unit.
        unit: always a base unit.
        help: one sentence for the docs, Prometheus HELP and Grafana's panel description.
        kind: the InfluxDB type; follows the unit unless said.
        worse: which direction is bad, or None where neither is.
        feature: whether the ML service watches it.
        metric: gauge, or counter for a sum that only grows.
    """

    name: str
    unit: Unit
    help: str
    kind: Kind = Kind.FLOAT
    worse: Literal["up", "down"] | None = None
    feature: bool = False
    metric: Metric = Metric.GAUGE


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement, declared once; everything that names it is derived from here.

    Attributes:
        name: as stored.
        tags: the tag keys its points may carry.
        fields: in the order they are documented.
        help: one sentence.
        open_tags: whether further tags are accepted (scores carry the tags of the series they judge).
        distribution: whether the fields are those of a sketch (`streamswarm_core.sketch`); Prometheus gets a histogram.
    """

    name: str
    tags: tuple[str, ...]
    fields: tuple[Field, ...]
    help: str
    open_tags: bool = False
    distribution: bool = False
    _by_name: dict[str, Field] = field(init=False, repr=False, compare=False, hash=False, default_factory=dict)
    _known_tags: frozenset[str] = field(init=False, repr=False, compare=False, hash=False, default=frozenset())
    _types: dict[str, type] = field(init=False, repr=False, compare=False, hash=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known_tags", frozenset(self.tags))
        for declared in self.fields:
            if declared.name in self._by_name or declared.name in self.tags:
                raise CatalogueError(f"{self.name}.{declared.name} is declared twice")
            self._by_name[declared.name] = declared
            self._types[declared.name] = _TYPES[declared.kind]

    def __getitem__(self, name: str) -> Field:
        try:
            return self._by_name[name]
        except KeyError:
            known = ", ".join(self._by_name)
            raise CatalogueError(f"{self.name!r} has no field {name!r}; it has {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @property
    def features(self) -> tuple[Field, ...]:
        """The fields that the ML service watches."""
        return tuple(declared for declared in self.fields if declared.feature)

    def point(self, tags: Mapping[str, str], *, time_ns: int | None = None, **fields: FieldValue | None) -> Point:
        """Make a point, refusing what the catalogue doesn't declare.

        A field that is None, NaN or infinite is left out: absent is not zero.

        Raises:
            CatalogueError: an unknown tag or field, a value of the wrong kind, or no field left.
        """
        self.check_tags(tags)
        values: dict[str, FieldValue] = {}
        types = self._types
        for name, value in fields.items():
            if value is None or (isinstance(value, float) and not math.isfinite(value)):
                continue
            # A value of the very type needs no call: agents make thousands of points a second.
            values[name] = value if type(value) is types.get(name) else self._coerce(self[name], value)
        if not values:
            raise CatalogueError(f"a point of {self.name!r} needs at least one field")
        return Point(self.name, {key: value for key, value in tags.items() if value != ""}, values, time_ns)

    def check_tags(self, tags: Iterable[str]) -> None:
        """Refuse tags that the catalogue doesn't declare.

        Raises:
            CatalogueError: an unknown tag.
        """
        if not (self.open_tags or self._known_tags.issuperset(tags)):
            unknown = next(key for key in tags if key not in self._known_tags)
            raise CatalogueError(f"{self.name!r} has no tag {unknown!r}; it has {', '.join(self.tags)}")

    def _coerce(self, declared: Field, value: FieldValue | None) -> FieldValue:
        match declared.kind, value:
            case Kind.FLOAT, bool() | str() | None:
                pass
            case Kind.FLOAT, int() | float():
                return float(value)
            case Kind.INTEGER, bool() | int():
                return int(value)
            case Kind.STRING, str():
                return value
            case _:
                pass
        raise CatalogueError(f"{self.name}.{declared.name} takes a {declared.kind}, not {value!r}")


class Catalogue(Mapping[str, Measurement]):
    """All measurements by name; declaring one twice raises."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._measurements: dict[str, Measurement] = {}
        for measurement in measurements:
            if measurement.name in self._measurements:
                raise CatalogueError(f"measurement {measurement.name!r} is declared twice")
            self._measurements[measurement.name] = measurement

    def __getitem__(self, name: str) -> Measurement:
        return self._measurements[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._measurements)

    def __len__(self) -> int:
        return len(self._measurements)
