"""What a SELECT without its times comes to on a measurement, remembered: a dashboard asks the same again and again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.columns import AggregateAtom, Columns, aggregate_columns, merged_fields
from streamswarm_collector.influxql.conditions import RowFilter, filter_rows
from streamswarm_collector.influxql.source import Groups, group_series
from streamswarm_collector.store.schema import FieldColumn, MeasurementSchema

_MOST_REMEMBERED: Final = 16
_MOST_SERIES: Final = 10_000
"""Of more series what is remembered would take more memory than its making takes time."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The parts of an answer that no time and no new row changes.

    Attributes:
        fields: the measurement's fields that it was made with.
        rows: which rows match, but for their times.
        groups: the series of the answer.
        columns: of a SELECT of aggregates; None for others.
    """

    fields: Mapping[str, FieldColumn]
    rows: RowFilter
    groups: Groups
    columns: Columns[AggregateAtom] | None

    @staticmethod
    def of(
        statement: ast.Select,
        condition: ast.Expression | None,
        measurement: MeasurementSchema,
        measurements: Sequence[MeasurementSchema],
        *,
        aggregate: bool,
    ) -> "Prepared":
        """Remembered with the measurement's tags, as long as neither they nor the fields change.

        Args:
            statement: what is asked.
            condition: its WHERE without the times.
            measurement: of whom.
            measurements: all that are asked, whose tags `GROUP BY *` means.
            aggregate: whether its columns are aggregates.

        Raises:
            ParseError: a part is not understood.
            ExecutionError: a part can't be had.
        """
        remembered = measurement.tags.prepared
        tag_keys = measurement.tag_keys if len(measurements) == 1 else _tag_keys(measurements)
        key = (
            statement.columns,
            condition,
            statement.dimensions,
            statement.window,
            statement.descending,
            statement.series_limit,
            statement.series_offset,
            tag_keys,
            None if len(measurements) == 1 else frozenset(merged_fields(measurements).items()),
        )
        found = remembered.get(key)
        if isinstance(found, Prepared) and found.fields is measurement.fields:
            return found
        rows = filter_rows(condition, measurement)
        groups = group_series(statement, measurement, rows, tag_keys)
        columns = None
        if aggregate and groups.sids:
            columns = aggregate_columns(statement, measurement, measurements, groups.keys)
        made = Prepared(measurement.fields, rows, groups, columns)
        if len(groups.sids) > _MOST_SERIES:
            return made
        if len(remembered) >= _MOST_REMEMBERED:
            remembered.clear()
        remembered[key] = made
        return made


def _tag_keys(measurements: Sequence[MeasurementSchema]) -> frozenset[str]:
    return frozenset[str]().union(*(one.tag_keys for one in measurements))
