"""Lines of one series, written faster than a point can be made: for those who write the same fields again and again."""

from collections.abc import Mapping
from functools import cache
from typing import Final

from streamswarm_core.catalogue.model import Kind, Measurement
from streamswarm_core.lineprotocol import encode, escape_measurement, escape_tag, format_field
from streamswarm_core.point import FieldValue, Point

Fields = Mapping[str, FieldValue | None]

_FORMATS: Final[Mapping[tuple[Kind, type], str]] = {
    (Kind.FLOAT, float): "%r",
    (Kind.INTEGER, int): "%di",
}
_SURELY_WRITABLE: Final = 2.0**62
"""Numbers whose magnitudes add up to less are finite and fit into 64 bits; a NaN makes the sum one."""


class SeriesLines:
    """A measurement with fixed tags.

    A line is what `Measurement.point` and `encode` make of the same fields, byte for byte, with the same checks. Names
    and types are looked at once for each combination of them; then only the values remain to be written.

    Args:
        measurement: from the catalogue.
        tags: as for `Measurement.point`.

    Raises:
        CatalogueError: an unknown tag.
    """

    def __init__(self, measurement: Measurement, tags: Mapping[str, str]) -> None:
        measurement.check_tags(tags)
        self._measurement = measurement
        self._tags = tags
        escaped = [f",{escape_tag(key)}={escape_tag(value)}" for key, value in sorted(tags.items()) if value != ""]
        self._prefix = escape_measurement(measurement.name) + "".join(escaped)
        self._patterns = _patterns_of(measurement)

    def line(self, fields: Fields, time_ns: int) -> str:
        """Write a point as a line, without a newline.

        Raises:
            CatalogueError: as `Measurement.point`.
            ValueError: as `encode`.

        >>> from streamswarm_core.catalogue.network import ICMP
        >>> SeriesLines(ICMP, {"target": "::1"}).line({"up": 1, "rtt_mean": 0.5, "ttl": None}, 7)
        'icmp,target=::1 up=1i,rtt_mean=0.5 7'
        """
        values = fields.values()
        key = (*fields, *map(type, values))
        pattern = self._patterns.get(key)
        if pattern is None:
            pattern = self._patterns[key] = _pattern(self._measurement, fields)
        if pattern and sum(map(abs, filter(None, values))) < _SURELY_WRITABLE:  # type: ignore[arg-type]
            return self._prefix + pattern % (*values, time_ns)
        return encode(self.point(fields, time_ns))

    def form(self, fields: Fields, varying: Mapping[str, str]) -> str:
        """A line with some values to be filled in by `%`, in the order of the fields, and then the time.

        Who fills it in answers for the values: of the types that stood here, and finite.

        Args:
            fields: an example of each varying one, and what all the others always are.
            varying: names of fields, and how each is filled in, without the `i` of an integer.

        Raises:
            CatalogueError: as `Measurement.point`.

        >>> from streamswarm_core.catalogue.network import ICMP
        >>> series = SeriesLines(ICMP, {"target": "::1"})
        >>> series.form({"up": 1, "rtt_mean": 0.5, "ttl": 64}, {"rtt_mean": "%s", "ttl": "%d"})
        'icmp,target=::1 up=1i,rtt_mean=%s,ttl=%di %d'
        """
        parts = []
        for name, value in self.point(fields, 0).fields.items():
            suffix = "i" if type(value) is int else ""
            written = f"{varying[name]}{suffix}" if name in varying else format_field(value).replace("%", "%%")
            parts.append(f"{escape_tag(name).replace('%', '%%')}={written}")
        return f"{self._prefix.replace('%', '%%')} {','.join(parts)} %d"

    def point(self, fields: Fields, time_ns: int) -> Point:
        """Make a point.

        Raises:
            CatalogueError: as `Measurement.point`.
        """
        return self._measurement.point(self._tags, time_ns=time_ns, **fields)


@cache
def _patterns_of(_measurement: Measurement) -> dict[tuple[object, ...], str]:
    """What all series of a measurement share; its fields come in a few combinations."""
    return {}


def _pattern(measurement: Measurement, fields: Fields) -> str:
    """How these fields are written if they are numbers of the very types declared; empty if they are not.

    `%.0s` takes a value and writes nothing: that is a field that is None.
    """
    pattern, separator = "", " "
    for name, value in fields.items():
        if value is None:
            pattern += "%.0s"
            continue
        form = _FORMATS.get((measurement[name].kind, type(value)))
        if form is None:
            return ""
        pattern += f"{separator}{escape_tag(name).replace('%', '%%')}={form}"
        separator = ","
    return f"{pattern} %d" if separator == "," else ""
