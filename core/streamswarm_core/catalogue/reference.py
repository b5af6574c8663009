"""Writes docs/measurements.md from the catalogue."""

from collections.abc import Iterator

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.model import Field, Kind, Measurement
from streamswarm_core.promnames import metric_name
from streamswarm_core.sketch import BUCKET_FIELDS

_HEADER = """\
# Measurements

Made from the catalogue by `make generate`; edit `core/streamswarm_core/catalogue/` instead of this page.

Times are UTC in nanoseconds, durations in seconds, sizes in bytes, ratios from 0 to 1. A field without a value is
absent, never zero. Text fields have no Prometheus name. "Worse" is the direction that is bad; "ML" marks what the ML
service watches.
"""


def render() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEADER, *(_section(measurement) for measurement in CATALOGUE.values())])


def _section(measurement: Measurement) -> str:
    return "\n".join(_lines(measurement)) + "\n"


def _lines(measurement: Measurement) -> Iterator[str]:
    yield f"## `{measurement.name}`"
    yield ""
    yield measurement.help
    yield ""
    yield (
        "Tags: "
        + ", ".join(f"`{tag}`" for tag in measurement.tags)
        + (", and those of the series it judges" if measurement.open_tags else "")
    )
    yield ""
    yield "| field | type | unit | worse | ML | Prometheus | meaning |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    shown = measurement.fields[: -len(BUCKET_FIELDS)] if measurement.distribution else measurement.fields
    yield from (_row(measurement, field) for field in shown)
    if measurement.distribution:
        yield _row(measurement, measurement[BUCKET_FIELDS[0]], f"`{BUCKET_FIELDS[0]}` … `{BUCKET_FIELDS[-1]}`")


def _row(measurement: Measurement, field: Field, name: str = "") -> str:
    prometheus = "" if field.kind is Kind.STRING else f"`{metric_name(measurement, field)}`"
    watched = "yes" if field.feature else ""
    unit = field.unit.name if field.unit.times == 1 else f"{field.unit.name}, shown as bits"
    cells = (name or f"`{field.name}`", field.kind, unit, field.worse or "", watched, prometheus, field.help)
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201 - standard output is this program's result
