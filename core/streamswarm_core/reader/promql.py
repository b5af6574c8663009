"""The reader for stores that answer PromQL: VictoriaMetrics, Prometheus, Mimir.

What is other than with InfluxQL, because these stores are other:

- Times are whole milliseconds; what was written with finer ones is found at the millisecond before.
- Every value is a float (a count is an integer). Text isn't stored: such columns hold None.
- A store that scrapes has a value at each scrape, not at each run: means are weighted by scrapes.
- `first` and `last` as aggregates are refused; the newest rows are asked for with `descending` and `limit`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import httpx

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.clock import now_ns
from streamswarm_core.closing import Closing
from streamswarm_core.errors import Refused
from streamswarm_core.reader.promapi import AHEAD_MS, PromApi, Samples
from streamswarm_core.reader.promnaming import WRITTEN, Naming
from streamswarm_core.reader.promselector import Matcher, aggregation, conditions, grouping, one_of, selector
from streamswarm_core.reader.promtable import Table, Tags
from streamswarm_core.reader.promwindows import MILLISECOND, Span, ceil_ms, range_selector, single_window, split
from streamswarm_core.reader.select import Aggregate, Condition, Function, Select
from streamswarm_core.reader.series import Series

_NAME: Final = "__name__"
_RECENT_MS: Final = 300_000
_MOST_NARROWED: Final = 200


class PromQLReader(Closing):
    """A blocking reader; safe to share between threads.

    Args:
        url: base URL of the Prometheus API, without `/api/v1`: `http://prometheus:9090`,
            `http://victoria-metrics:8428`, `http://vmselect:8481/select/0/prometheus`, `http://mimir:9009/prometheus`.
        naming: what fields are called there.
        database: the database that line protocol was written to.
        token: gives the current bearer token; asked before each request. An empty token sends none.
        tenant: for a Mimir with tenants.
        timeout: seconds for one answer.
        client: an HTTP client to use instead of an own one.
        clock: nanoseconds since the epoch.
    """

    def __init__(
        self,
        url: str,
        *,
        naming: Naming = WRITTEN,
        database: str = "streamswarm",
        token: Callable[[], str] = lambda: "",
        tenant: str = "",
        timeout: float = 20.0,
        client: httpx.Client | None = None,
        clock: Callable[[], int] = now_ns,
    ) -> None:
        self._api = PromApi(url, token, tenant=tenant, timeout=timeout, client=client)
        self._naming = naming
        self._database = database
        self._clock = clock

    def select(self, statement: Select) -> list[Series]:
        """Answer one SELECT; no point is an empty list.

        `start_ns` has to be given; `stop_ns` is now if it isn't. Windows are whole milliseconds.

        Raises:
            Unavailable: the store can't be reached or is overloaded; the message names its URL.
            Refused: the store doesn't take the statement, or PromQL can't say it.
        """
        if statement.start_ns is None:
            raise Refused("a range without start can't be asked for by PromQL: give start_ns", status=400)
        start = ceil_ms(statement.start_ns)
        stop = ceil_ms(self._clock() if statement.stop_ns is None else statement.stop_ns)
        aggregates = [column for column in statement.columns if isinstance(column, Aggregate)]
        fields = [column for column in statement.columns if isinstance(column, str)]
        if aggregates and fields:
            raise Refused("a SELECT has fields or aggregates, not both", status=400)
        if start >= stop:
            return []
        if aggregates:
            return self._aggregated(statement, aggregates, start, stop)
        if statement.descending and statement.limit is not None:
            return self._newest(statement, fields, start, stop).answer(statement)
        table = Table(statement.group_by)
        self._read_rows(table, statement, fields, start, stop)
        return table.answer(statement)

    def series(
        self, measurement: str, *, start_ns: int, stop_ns: int, where: Sequence[Condition] = ()
    ) -> list[Mapping[str, str]]:
        """The tags of every series with a point in [start_ns, stop_ns), without empty ones, sorted.

        The store answers from its index: Prometheus may add series of the same block, VictoriaMetrics of the same day.

        Raises:
            Unavailable, Refused: as for `select`.
        """
        names = self._naming.metrics(measurement)
        start, stop = ceil_ms(start_ns), ceil_ms(stop_ns)
        if names is None or start >= stop:
            return []
        found = self._api.series(self._selector(Matcher(_NAME, "=~", names), where), start, stop - 1)
        return [dict(tags) for tags in sorted({self._tags(labels) for labels in found})]

    def measurements(self) -> list[str]:
        """The measurements of the catalogue that are stored, sorted; others can't be told from metric names.

        Raises:
            Unavailable, Refused: as for `select`.
        """
        stored = set(self._api.metric_names(ceil_ms(self._clock())))
        return sorted(
            measurement.name
            for measurement in CATALOGUE.values()
            if any(self._naming.metric(measurement.name, field.name) in stored for field in measurement.fields)
        )

    def complaint(self) -> str:
        """Nothing: stores that speak PromQL say at /health that they run, and no more."""
        return ""

    def close(self) -> None:
        """Drop the connections."""
        self._api.close()

    def _aggregated(self, statement: Select, aggregates: Sequence[Aggregate], start: int, stop: int) -> list[Series]:
        if statement.every_ns is None:
            spans = [Span(start, stop - start, 1, start)]
        elif statement.every_ns % MILLISECOND or statement.every_ns < 2 * MILLISECOND:
            raise Refused(
                f"a window of {statement.every_ns} ns: PromQL takes whole milliseconds, at least two", status=400
            )
        else:
            spans = list(split(start, stop, statement.every_ns // MILLISECOND))
        table = Table(statement.group_by)
        group = grouping(statement.group_by, self._naming.added_labels)
        for aggregate in aggregates:
            function, column = Function(aggregate.function), aggregate.name or aggregate.field
            query = aggregation(function, group)
            metric = self._naming.metric(statement.measurement, aggregate.field)
            if metric is None:
                continue
            matching = self._selector(Matcher(_NAME, "=", metric), statement.where)
            scale = 1.0 if function is Function.COUNT else self._naming.scale(statement.measurement, aggregate.field)
            for span in spans:
                for labels, samples in self._evaluate(span, matching, query):
                    for time, value in samples:
                        if math.isfinite(value):
                            table.put(self._tags(labels), time, column, _number(function, value / scale))
        return table.answer(statement, spans)

    def _evaluate(
        self, span: Span, matching: str, query: Callable[[str], str]
    ) -> Iterable[tuple[dict[str, str], Samples]]:
        """One aggregate in each window of a span, at the time of the row."""
        closed = self._api.closed_ranges
        if span.count == 1:
            window = single_window(matching, span, closed=closed)
            for labels, samples in self._api.instant(query(window), span.end):
                yield labels, [(span.label, value) for _, value in samples]
            return
        windows = range_selector(matching, span.length, closed=closed, ahead=AHEAD_MS)
        first = span.end - AHEAD_MS
        last = first + (span.count - 1) * span.length
        for labels, samples in self._api.range(query(windows), first, last, span.length):
            yield labels, [(time + AHEAD_MS - span.length, value) for time, value in samples]

    def _read_rows(
        self,
        table: Table,
        statement: Select,
        fields: Sequence[str],
        start: int,
        stop: int,
        narrowed: Sequence[Matcher] = (),
    ) -> None:
        """Put every sample of [start, stop) into the table."""
        metrics = self._metrics(statement.measurement, fields)
        if not metrics or start >= stop:
            return
        matching = self._selector(one_of(_NAME, metrics), statement.where, narrowed)
        scales = {metric: self._naming.scale(statement.measurement, field) for metric, field in metrics.items()}
        for labels, samples in self._api.instant(range_selector(matching, stop - start, closed=False), stop):
            tags = self._tags(labels)
            for time, value in samples:
                # Where ranges hold their left end there is one sample too many.
                if time >= start and math.isfinite(value):
                    table.put(tags, time, metrics[labels[_NAME]], value / scales[labels[_NAME]])

    def _newest(self, statement: Select, fields: Sequence[str], start: int, stop: int) -> Table:
        """The newest rows: of the last minutes, and of the whole range only for groups that have fewer there."""
        recent = max(start, stop - _RECENT_MS)
        table = Table(statement.group_by)
        self._read_rows(table, statement, fields, recent, stop)
        metrics = self._metrics(statement.measurement, fields)
        if recent == start or not metrics:
            return table
        # A sample too many where ranges hold their left end: it is left out when the rows are read.
        older = range_selector(self._selector(one_of(_NAME, metrics), statement.where), recent - start, closed=False)
        # last_over_time keeps the metric's name, without which two fields of a series would be the same series.
        group = grouping(statement.group_by, self._naming.added_labels)
        present = self._api.instant(f"count {group} (last_over_time({older}))", recent)
        wanted = statement.limit or 0
        missing = [tags for labels, _ in present if table.count(tags := self._tags(labels)) < wanted]
        if missing:
            self._read_rows(table, statement, fields, start, recent, _narrowed(missing))
        return table

    def _metrics(self, measurement: str, fields: Iterable[str]) -> dict[str, str]:
        """Field by metric name."""
        named = {field: self._naming.metric(measurement, field) for field in fields}
        return {metric: field for field, metric in named.items() if metric is not None}

    def _selector(self, name: Matcher, where: Sequence[Condition], narrowed: Sequence[Matcher] = ()) -> str:
        return selector([name, *self._naming.scope(self._database), *conditions(where), *narrowed])

    def _tags(self, labels: Mapping[str, str]) -> Tags:
        passed_over = self._naming.added_labels | {_NAME}
        return tuple(sorted((key, value) for key, value in labels.items() if value and key not in passed_over))


def _narrowed(groups: Sequence[Tags]) -> list[Matcher]:
    """Matchers that let these groups through, and perhaps others; none if they would be very long."""
    if len(groups) > _MOST_NARROWED:
        return []
    keys = {key for tags in groups for key, _ in tags}
    return [one_of(key, (dict(tags).get(key, "") for tags in groups)) for key in sorted(keys)]


def _number(function: Function, value: float) -> float | int:
    return int(value) if function is Function.COUNT else value
