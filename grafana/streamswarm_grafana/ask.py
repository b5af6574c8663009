"""What a panel asks for, said once for all query languages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from streamswarm_core.catalogue import CATALOGUE, Measurement

PROBES: Final = tuple(one for one in CATALOGUE.values() if "up" in one and "target" in one.tags)
"""Everything that says whether a target is up."""


class How(StrEnum):
    """What becomes of the points of one group and window."""

    MEAN = "mean"
    MAX = "max"
    MIN = "min"
    LAST = "last"
    RATE = "rate"
    """Of a counter, per second."""
    INCREASE = "increase"
    """Of a counter, over the window."""


@dataclass(frozen=True, slots=True)
class Column:
    """One field.

    Attributes:
        field: as in the catalogue.
        how: what becomes of its points.
        name: heading or name of the series; the field's own unless said.
        unit: Grafana's unit id, where the catalogue's is not how people read this.
    """

    field: str
    how: How = How.MEAN
    name: str = ""
    unit: str = ""

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.name or self.field.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Ask:
    """Fields of a measurement, by tags, over time or (`table`) over the whole range.

    Attributes:
        measurement: what to read; a field that several measurements share can be asked of all of them.
        columns: the fields.
        by: tags that stay apart.
        legend: name of a series, with tags in braces, such as "{agent} → {target}".
        where: tags that have to have a value, beside the dashboard's variables.
        table: one row for each group instead of a series.
        now: only the newest value of each series, from the last quarter of an hour of the range: what is older says
            nothing about now.
    """

    measurement: Measurement | tuple[Measurement, ...]
    columns: tuple[Column, ...]
    by: tuple[str, ...] = ()
    legend: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    table: bool = False
    now: bool = False

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What is read."""
        return self.measurement if isinstance(self.measurement, tuple) else (self.measurement,)

    @property
    def newest(self) -> bool:
        """Whether all columns are of the newest run."""
        return all(column.how is How.LAST for column in self.columns)

    def __post_init__(self) -> None:
        for measurement in self.measurements:
            measurement.check_tags((*self.by, *self.where))
            for column in self.columns:
                measurement[column.field]


@dataclass(frozen=True, slots=True)
class Raw:
    """A query written out for each language, where an Ask can't say it.

    `<where>` in InfluxQL is the range and the dashboard's variables; `<icmp.loss>` in PromQL is the selector of a
    field, and `<probes.up>` that of all probes' `up`.

    Attributes:
        tags: which variables of the dashboard apply.
        influxql: the statement, None where InfluxQL can't.
        promql: the expression for what agents' exporters show, None where PromQL can't.
        written: the same for line protocol in VictoriaMetrics, if it has to be another one.
        legend: as in an Ask.
        table: as in an Ask.
        by: as in an Ask, for the order of a table's columns.
        heatmap: whether it is a histogram's buckets.
        stack: whether the query is about the stack's own services, which only Prometheus has.
    """

    tags: tuple[str, ...]
    influxql: str | None = None
    promql: str | None = None
    written: str | None = None
    legend: str = ""
    table: bool = False
    by: tuple[str, ...] = ()
    heatmap: bool = False
    stack: bool = False


def over_time(
    measurement: Measurement | tuple[Measurement, ...],
    name: str,
    how: How = How.MEAN,
    *,
    by: tuple[str, ...] = (),
    legend: str = "",
    where: Mapping[str, str] | None = None,
) -> Ask:
    """One field as series.

    >>> from streamswarm_core.catalogue.network import ICMP
    >>> over_time(ICMP, "loss", How.MAX, by=("target",)).legend
    '{target}'
    """
    named = legend or " ".join(f"{{{tag}}}" for tag in by) or name.replace("_", " ")
    return Ask(measurement, (Column(name, how),), by, named, where or {})


def table(measurement: Measurement, *columns: Column, by: tuple[str, ...]) -> Ask:
    """One row for each group."""
    return Ask(measurement, columns, by, table=True)
