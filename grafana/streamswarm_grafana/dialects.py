"""From an Ask to InfluxQL or PromQL as Grafana's data sources take it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import prometheus
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from streamswarm_core.catalogue import CATALOGUE, Field, Kind, Measurement
from streamswarm_core.catalogue.ml import ML
from streamswarm_core.catalogue.model import Unit
from streamswarm_core.promnames import histogram_name
from streamswarm_core.reader.promnaming import SCRAPED, WRITTEN, Naming
from streamswarm_grafana import influxdb
from streamswarm_grafana.ask import PROBES, Ask, Column, How, Raw

VARIABLES: Final = ("site", "agent", "target", "test")
"""Dashboard variables, each narrowed by those before it."""

_FIELD: Final = re.compile(r"<(\w+)\.(\w+)>")
_TAG: Final = re.compile(r"\{(\w+)\}")
_NONE: Final[Mapping[str, str]] = {}
RECENT: Final = "15m"

_NOT_EXPORTED: Final = {one.name for one in ML}
"""The ML service writes them to the store; nothing that Prometheus scrapes shows them."""

DATA: Final = "${data}"
STACK: Final = "${stack}"


class Dialect(Protocol):
    """One way to ask, for one kind of store."""

    @property
    def name(self) -> str:
        """Folder of the dashboards."""

    @property
    def short(self) -> str:
        """Part of the dashboards' uids."""

    @property
    def source(self) -> str:
        """Type of the data source."""

    def queries(self, ask: Ask | Raw, variables: Sequence[str], every: str) -> list[Dataquery]:
        """The queries of a panel, without refIds; none if this dialect can't say it."""

    def options(self, measurements: Sequence[Measurement], tag: str, before: Sequence[str]) -> str:
        """The query for a variable's values, narrowed by the variables before it; empty if there are none."""


def _ref(kind: str, uid: str) -> DataSourceRef:
    return DataSourceRef(type_val=kind, uid=uid)


def stack_query(ask: Raw, every: str) -> Dataquery:
    """A query about the stack's own services, which is PromQL in every dialect."""
    return prometheus.Dataquery(
        expr=ask.promql or "",
        range_val=not ask.table,
        instant=ask.table,
        format_val=prometheus.PromQueryFormat.TABLE if ask.table else prometheus.PromQueryFormat.TIME_SERIES,
        legend_format=_TAG.sub(r"{{\1}}", ask.legend),
        datasource=_ref("prometheus", STACK),
        interval=every,
    )


@dataclass(frozen=True, slots=True)
class InfluxQl:
    """InfluxDB 1.x, 2.x (DBRP), 3.x and the embedded store."""

    name: str = "influxql"
    short: str = "iql"
    source: str = influxdb.TYPE

    def queries(self, ask: Ask | Raw, variables: Sequence[str], every: str) -> list[Dataquery]:
        """One statement for each series, one for all columns of a table."""
        if isinstance(ask, Raw):
            if ask.stack:
                return [stack_query(ask, every)]
            if ask.influxql is None:
                return []
            return [self._query(ask.influxql.replace("<where>", self._where(ask.tags, variables)), ask)]
        columns = [ask.columns] if ask.table else [(column,) for column in ask.columns]
        return [self._query(self._statement(ask, some, variables), ask, some) for some in columns]

    def options(self, measurements: Sequence[Measurement], tag: str, before: Sequence[str]) -> str:
        """SHOW TAG VALUES."""
        shared = [name for name in before if all(name in one.tags for one in measurements)]
        where = " AND ".join(f'"{name}" =~ /^${{{name}:regex}}$/' for name in shared)
        return f'SHOW TAG VALUES FROM {_from(measurements)} WITH KEY = "{tag}"' + (f" WHERE {where}" if where else "")

    def _query(self, statement: str, ask: Ask | Raw, columns: Sequence[Column] = ()) -> Dataquery:
        legend = "$col" if isinstance(ask, Raw) and ask.heatmap else _TAG.sub(r"$tag_\1", ask.legend)
        if columns and not ask.table and len(_columns(ask)) > 1:
            legend = f"{legend} {columns[0].title}".strip()
        form: Literal["time_series", "table"] = "table" if ask.table else "time_series"
        return influxdb.Dataquery(
            statement, "", result_format=form, alias="" if ask.table else legend, datasource=_ref(self.source, DATA)
        )

    def _statement(self, ask: Ask, columns: Sequence[Column], variables: Sequence[str]) -> str:
        tags = set.intersection(*(set(one.tags) for one in ask.measurements))
        where = self._where(tags, variables, ask.where)
        factors = [_factor(ask, column) for column in columns]
        calls = [f"{_call(column)}{factor}" for column, factor in zip(columns, factors, strict=True)]
        if ask.table and ask.newest:
            # Fields beside one selector are those of its point: what that run didn't have stays empty.
            calls[1:] = [f'"{column.field}"{factor}' for column, factor in zip(columns[1:], factors[1:], strict=True)]
        if ask.now:
            where += f" AND time > ${{__to}}ms - {RECENT}"
        selected = ", ".join(f'{call} AS "{column.title}"' for call, column in zip(calls, columns, strict=True))
        groups = [f'"{tag}"' for tag in ask.by]
        if not (ask.table or ask.now):
            groups.insert(0, "time($__interval)")
        grouped = f" GROUP BY {', '.join(groups)}" if groups else ""
        fill = "" if ask.table or ask.now else " fill(none)"
        return f"SELECT {selected} FROM {_from(ask.measurements)} WHERE {where}{grouped}{fill}"

    @staticmethod
    def _where(tags: Iterable[str], variables: Sequence[str], fixed: Mapping[str, str] = _NONE) -> str:
        known = set(tags)
        parts = ["$timeFilter"]
        parts += [f'"{name}" =~ /^${{{name}:regex}}$/' for name in variables if name in known]
        parts += [f"\"{tag}\" = '{value}'" for tag, value in fixed.items()]
        return " AND ".join(parts)


@dataclass(frozen=True, slots=True)
class PromQl:
    """Prometheus, Mimir and VictoriaMetrics; the naming says how the points got there."""

    name: str
    short: str
    naming: Naming
    source: str = "prometheus"

    def queries(self, ask: Ask | Raw, variables: Sequence[str], every: str) -> list[Dataquery]:
        """One expression for each numeric field; text isn't stored."""
        if isinstance(ask, Raw):
            if ask.stack:
                return [stack_query(ask, every)]
            text = ask.written if self.naming is WRITTEN and ask.written is not None else ask.promql
            return [] if text is None else [self._query(self.fill_in(text, variables), ask, ask.legend, every)]
        found = []
        for column in ask.columns:
            if self.metric(ask.measurements, column.field) is None:
                continue
            legend = f"{ask.legend} {column.title}".strip() if len(ask.columns) > 1 else ask.legend
            window = "$__range" if ask.table else "$__rate_interval"
            if ask.now or (ask.table and ask.newest and self.naming is SCRAPED):
                window = RECENT
            found.append(self._query(self.expression(ask, column, variables, window), ask, legend, every))
        return found

    def options(self, measurements: Sequence[Measurement], tag: str, before: Sequence[str]) -> str:
        """Label values of whatever field every one of these measurements has."""
        field = "up" if all("up" in one for one in measurements) else _first_number(measurements[0]).name
        if self.metric(measurements, field) is None:
            return ""
        shared = [name for name in before if all(name in one.tags for one in measurements)]
        return f"label_values({self.selector(tuple(measurements), field, shared)}, {tag})"

    def expression(self, ask: Ask, column: Column, variables: Sequence[str], window: str) -> str:
        """A column's expression over a window."""
        tags = set.intersection(*(set(one.tags) for one in ask.measurements))
        names = [name for name in variables if name in tags]
        samples = f"{self.selector(ask.measurements, column.field, names, ask.where)}[{window}]"
        group = f"by ({', '.join(ask.by)}) " if ask.by else ""
        match column.how:
            case How.MEAN:
                text = f"avg {group}(avg_over_time({samples}))"
            case How.MAX | How.MIN:
                text = f"{column.how} {group}({column.how}_over_time({samples}))"
            case How.LAST:
                worst = "min" if ask.measurements[0][column.field].worse == "down" else "max"
                text = f"{worst} {group}(last_over_time({samples}))"
            case How.RATE | How.INCREASE:
                text = f"sum {group}({column.how}({samples}))"
        times = _unit(ask, column).times / self.naming.scale(ask.measurements[0].name, column.field)
        return text if times == 1 else f"{text} * {times:g}"

    def metric(self, measurements: Sequence[Measurement], field: str) -> str | None:
        """A metric's name, or a regular expression for several."""
        known = [one for one in measurements if self.naming is WRITTEN or one.name not in _NOT_EXPORTED]
        names = [name for one in known if (name := self.naming.metric(one.name, field)) is not None]
        return "|".join(names) or None

    def selector(
        self, measurements: Sequence[Measurement], field: str, names: Sequence[str], where: Mapping[str, str] = _NONE
    ) -> str:
        """An instant vector selector with the dashboard's variables."""
        metric = self.metric(measurements, field)
        labels = _chosen(names)
        labels += [f'{tag}="{value}"' for tag, value in where.items()]
        if metric is not None and "|" in metric:
            labels.insert(0, f'__name__=~"{metric}"')
            metric = ""
        return f"{metric}{{{','.join(labels)}}}"

    def fill_in(self, text: str, variables: Sequence[str]) -> str:
        """Put selectors in the place of `<measurement.field>`."""

        def named(found: re.Match[str]) -> str:
            measurement, field = found.groups()
            known = PROBES if measurement == "probes" else (CATALOGUE[measurement],)
            names = [name for name in variables if all(name in one.tags for one in known)]
            if known[0].distribution and self.naming is SCRAPED:
                return f"{histogram_name(known[0])}_bucket{{{','.join(_chosen(names))}}}"
            if known[0].distribution:
                labels = [f'__name__=~"{measurement}_to_[0-9].*"', *_chosen(names)]
                return f"{{{','.join(labels)}}}"
            return self.selector(known, field, names)

        return _FIELD.sub(named, text)

    def _query(self, text: str, ask: Ask | Raw, legend: str, every: str) -> Dataquery:
        forms = prometheus.PromQueryFormat
        instant = ask.table or (isinstance(ask, Ask) and ask.now)
        form = forms.TABLE if ask.table else forms.TIME_SERIES
        if isinstance(ask, Raw) and ask.heatmap and self.naming is SCRAPED:
            form = forms.HEATMAP
        return prometheus.Dataquery(
            expr=text,
            instant=instant,
            range_val=not instant,
            format_val=form,
            legend_format=_TAG.sub(r"{{\1}}", legend),
            datasource=_ref(self.source, DATA),
            interval=every,
        )


def _chosen(names: Iterable[str]) -> list[str]:
    # Without a format: the Prometheus data source escapes for a regular expression within PromQL's quotes by itself.
    return [f'{name}=~"${name}"' for name in names]


def _columns(ask: Ask | Raw) -> Sequence[Column]:
    return ask.columns if isinstance(ask, Ask) else ()


def _unit(ask: Ask, column: Column) -> Unit:
    return ask.measurements[0][column.field].unit


def _factor(ask: Ask, column: Column) -> str:
    times = _unit(ask, column).times
    return "" if times == 1 else f" * {times:g}"


def _call(column: Column) -> str:
    match column.how:
        case How.RATE:
            return f'non_negative_derivative(max("{column.field}"), 1s)'
        case How.INCREASE:
            return f'non_negative_difference(max("{column.field}"))'
        case _:
            return f'{column.how}("{column.field}")'


def _from(measurements: Sequence[Measurement]) -> str:
    if len(measurements) == 1:
        return f'"{measurements[0].name}"'
    return f"/^({'|'.join(one.name for one in measurements)})$/"


def _first_number(measurement: Measurement) -> Field:
    return next(one for one in measurement.fields if one.kind is not Kind.STRING)


INFLUXQL: Final = InfluxQl()
PROMQL: Final = PromQl("promql", "prom", SCRAPED)
VICTORIAMETRICS: Final = PromQl("victoriametrics", "vm", WRITTEN)
DIALECTS: Final[tuple[Dialect, ...]] = (INFLUXQL, PROMQL, VICTORIAMETRICS)
