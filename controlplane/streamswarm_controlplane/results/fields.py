"""Which fields are asked for, by their names in the catalogue."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from streamswarm_controlplane.problems import ApiError
from streamswarm_core.catalogue.model import Field, Kind, Measurement, Metric
from streamswarm_core.probespecs import ProbeSpec
from streamswarm_core.reader.select import Function


@dataclass(frozen=True, slots=True)
class Selection:
    """Fields of one measurement."""

    measurement: Measurement
    fields: tuple[Field, ...]


def select_fields(spec: ProbeSpec, names: Sequence[str]) -> list[Selection]:
    """The fields with these names, by measurement; without names the headline, and those that the ML service watches.

    Args:
        spec: the probe.
        names: `field`, which may be in several of the probe's measurements, or `measurement.field`.

    Raises:
        ApiError: 422 for a name that the probe doesn't have.
    """
    if not names:
        usual = [Selection(one, tuple(_usual(spec, one))) for one in spec.measurements if not one.distribution]
        return [one for one in usual if one.fields]
    for name in names:
        if not any(name in _names(one, field) for one in spec.measurements for field in one.fields):
            raise ApiError(422, f"the probe {spec.name} has no field {name!r}; {_accepted(spec)}", field="query.field")
    wanted = set(names)
    found = (
        Selection(one, tuple(field for field in one.fields if wanted & _names(one, field))) for one in spec.measurements
    )
    return [one for one in found if one.fields]


def select_measurement(spec: ProbeSpec, name: str | None, names: Sequence[str]) -> Selection:
    """Fields of one measurement of the probe; without names all of them.

    Raises:
        ApiError: 422 for a measurement or field that the probe doesn't have.
    """
    known = {one.name: one for one in spec.measurements}
    measurement = spec.measurements[0] if name is None else known.get(name)
    if measurement is None:
        raise ApiError(
            422,
            f"the probe {spec.name} has no measurement {name!r}; it has {', '.join(known)}",
            field="query.measurement",
        )
    for one in names:
        if one not in measurement:
            accepted = ", ".join(field.name for field in measurement.fields)
            raise ApiError(422, f"{measurement.name} has no field {one!r}; it has {accepted}", field="query.field")
    return Selection(measurement, tuple(one for one in measurement.fields if not names or one.name in names))


def usual_aggregate(measurement: Measurement, field: Field) -> Function | None:
    """How a window of a field is made one value; None for text, which can't be.

    Counts of a distribution add up, a counter only grows; of everything else the mean tells most: of `up` it is the
    share of runs that went well.
    """
    if field.kind is Kind.STRING:
        return None
    if measurement.distribution:
        return Function.SUM
    return Function.MAX if field.metric is Metric.COUNTER else Function.MEAN


def without_text(selection: Selection, names: Iterable[str]) -> Selection:
    """The fields that windows can be made of.

    Raises:
        ApiError: 422 if a text field was asked for by name.
    """
    wanted = set(names)
    for field in selection.fields:
        if field.kind is Kind.STRING and wanted & _names(selection.measurement, field):
            raise ApiError(
                422,
                f"{selection.measurement.name}.{field.name} is text, of which there are no windows; "
                "ask for single points with every=raw, or for the runs",
                field="query.field",
            )
    return Selection(selection.measurement, tuple(field for field in selection.fields if field.kind is not Kind.STRING))


def _usual(spec: ProbeSpec, measurement: Measurement) -> Iterator[Field]:
    """The headline first: it is what people look at first."""
    headline = spec.headline if measurement is spec.measurements[0] else None
    if headline is not None:
        yield measurement[headline]
    yield from (field for field in measurement.features if field.name != headline)


def _names(measurement: Measurement, field: Field) -> set[str]:
    return {field.name, f"{measurement.name}.{field.name}"}


def _accepted(spec: ProbeSpec) -> str:
    """The names, short enough to be read: distributions have dozens of buckets."""
    parts = [
        f"{one.name} has "
        + ("sum, count and its buckets" if one.distribution else ", ".join(f.name for f in one.fields))
        for one in spec.measurements
    ]
    return "; ".join(parts)
