"""From a request's body to a batch: parse, stamp, check types.

Most lines carry no escape and no quoted string; they are cut with `str.split`. All others go to the strict parser in
core, which is also what the fast path is tested against.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from streamswarm_collector import fieldtypes
from streamswarm_collector.batch import Batch, Block, RefusedLine, Row
from streamswarm_collector.bulk import ESCAPED_BYTE, block_types, cut_lines, is_utf8, read_block
from streamswarm_collector.fieldtypes import FieldTypes, field_type
from streamswarm_collector.series import ANYONE, SeriesLimitError, SeriesLimits
from streamswarm_collector.store.schema import FieldType
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.errors import LineError
from streamswarm_core.lineprotocol import (
    BLANK,
    MAX_TIME_NS,
    MIN_TIME_NS,
    PRECISION_NS,
    SURELY_SHORT,
    escape_measurement,
    escape_tag,
    format_field,
    parse_field_value,
    parse_line,
    split_lines,
)
from streamswarm_core.point import FieldValue, Point

_PLAIN_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?i?\Z", re.ASCII)
_PLAIN_TIME: Final = re.compile(r"-?\d{1,19}\Z", re.ASCII)
_MOST_CACHED_SERIES: Final = 200_000


class Parser:
    """Turns bodies into batches. For one thread: it caches what it learns of series and types.

    Args:
        types: what fields may be.
        limits: how many series there may be; None for as many as come.
    """

    def __init__(self, types: FieldTypes, limits: SeriesLimits | None = None) -> None:
        self._types = types
        self._limits = limits
        self._series: dict[tuple[str, str], tuple[str, str]] = {}

    def parse(
        self,
        body: str,
        *,
        database: str,
        precision: str,
        received_ns: int,
        stamp: Mapping[str, str],
        writer: str = ANYONE,
        oldest_ns: int = MIN_TIME_NS,
    ) -> Batch:
        """Read a body.

        Args:
            body: line protocol, decoded with `surrogateescape`.
            database: where it goes.
            precision: unit of its times, a key of PRECISION_NS.
            received_ns: the time of lines without one, cut to the precision.
            stamp: tags to write over whatever the sender put there; an empty value removes the tag.
            writer: who sent it, for the limits.
            oldest_ns: points before it are refused, because the database keeps them no longer.
        """
        factor = PRECISION_NS[precision]
        received_ns -= received_ns % factor
        bulk = self._parse_bulk(body, database, factor, received_ns, stamp)
        if bulk is not None and _all_kept(bulk, oldest_ns) and self._all_admitted(bulk, writer):
            self._learn_types(bulk)
            return bulk
        batch = Batch(database)
        stamp_key = ",".join(f"{key}={value}" for key, value in stamp.items())
        for number, line in _numbered_lines(body):
            try:
                row = self._fast_row(line, factor, received_ns, stamp, stamp_key) or self._strict_row(
                    line, precision, received_ns, stamp
                )
                measurement = self._measurement_of(row.series_key)
                row = _without_time(row, measurement)
                _check_age(row, oldest_ns)
                fresh_types = self._check_types(database, measurement, row.fields)
                if self._limits is not None:
                    self._limits.admit(database, row.series_key, writer)
            except LineError as error:
                batch.refused.append(RefusedLine(number, _displayable(str(error)), "syntax"))
            except FieldTypeConflictError as error:
                batch.refused.append(RefusedLine(number, str(error), "type_conflict"))
            except SeriesLimitError as error:
                batch.refused.append(RefusedLine(number, str(error), "series_limit"))
            except ExpiredError as error:
                batch.refused.append(RefusedLine(number, str(error), "retention"))
            else:
                if fresh_types:
                    self._types.add(database, measurement, fresh_types)
                batch.rows.append(row)
                batch.foreign += measurement not in CATALOGUE
                batch.lines.append(_canonical_line(row))
        return batch

    def _parse_bulk(
        self, body: str, database: str, factor: int, received_ns: int, stamp: Mapping[str, str]
    ) -> Batch | None:
        """Read a body of many plain lines column by column; None for one that has to be read line by line."""
        stamp_key = ",".join(f"{key}={value}" for key, value in stamp.items())
        cut = cut_lines(body)
        if cut is None:
            return None
        by_measurement: dict[str, list[tuple[str, str, str]]] = {}
        for key, fields, time in cut:
            series = self._series.get((key, stamp_key)) or self._series_or_none(key, stamp, stamp_key)
            if series is None or ",time=" in key:
                return None
            by_measurement.setdefault(series[1], []).append((series[0], fields, time))
        if not self._types.have_room(database, by_measurement):
            return None
        batch, fresh = Batch(database), 0
        for measurement, lines in by_measurement.items():
            block = read_block(measurement, lines, factor, received_ns)
            more = None if block is None else self._count_fresh(database, block)
            if block is None or more is None:
                return None
            fresh += more
            batch.blocks.append(block)
            batch.foreign += 0 if measurement in CATALOGUE else len(lines)
            batch.lines += [
                f"{key} {fields} {time_ns}" for (key, fields, _), time_ns in zip(lines, block.times, strict=True)
            ]
        return None if fresh and self._types.fields + fresh > fieldtypes.MOST_FIELDS_IN_ALL else batch

    def _all_admitted(self, bulk: Batch, writer: str) -> bool:
        """Whether all series may be there; if not, reading line by line says which lines have to go."""
        if self._limits is None:
            return True
        try:
            for block in bulk.blocks:
                for key in self._limits.unknown(bulk.database, block.series_keys):
                    self._limits.admit(bulk.database, key, writer)
        except SeriesLimitError:
            return False
        return True

    def _learn_types(self, bulk: Batch) -> None:
        for block in bulk.blocks:
            self._types.add(bulk.database, block.measurement, block_types(block))

    def _series_or_none(self, key: str, stamp: Mapping[str, str], stamp_key: str) -> tuple[str, str] | None:
        """The series of a line's key; None if the key is wrong, for the slow path to say how."""
        try:
            return self._new_series(key, stamp, stamp_key)
        except LineError:
            return None

    def _count_fresh(self, database: str, block: Block) -> int | None:
        """How many fields are new; None if some don't fit, for the slow path to say how."""
        known = self._types.known(database, block.measurement)
        types = block_types(block)
        fresh = sum(name not in known for name in types)
        fits = not fresh or len(known) + fresh <= fieldtypes.MOST_FIELDS
        return fresh if fits and all(known.get(name, kind) is kind for name, kind in types.items()) else None

    def _fast_row(
        self, line: str, factor: int, received_ns: int, stamp: Mapping[str, str], stamp_key: str
    ) -> Row | None:
        """Read a line without escapes and strings; None for one that needs the strict parser."""
        if "\\" in line or '"' in line or len(line) > SURELY_SHORT or not is_utf8(line):
            return None
        parts = line.split(" ")
        if len(parts) == 3 and _PLAIN_TIME.match(parts[2]):
            time_ns = int(parts[2]) * factor
            if not MIN_TIME_NS <= time_ns <= MAX_TIME_NS:
                return None
        elif len(parts) == 2:
            time_ns = received_ns
        else:
            return None
        fields: dict[str, FieldValue] = {}
        for pair in parts[1].split(","):
            key, equals, raw = pair.partition("=")
            if not key or not equals or key in fields or not _PLAIN_NUMBER.match(raw):
                return None
            fields[key] = parse_field_value(raw, line) if raw[-1] == "i" else float(raw)
            if fields[key] == math.inf or fields[key] == -math.inf:
                return None
        series = self._series.get((parts[0], stamp_key)) or self._series_or_none(parts[0], stamp, stamp_key)
        return Row(series[0], time_ns, fields) if series else None

    def _new_series(self, key: str, stamp: Mapping[str, str], stamp_key: str) -> tuple[str, str]:
        point = _stamped(parse_line(f"{key} x=1"), stamp)
        if len(self._series) >= _MOST_CACHED_SERIES:
            self._series.clear()
        series = (canonical_series_key(point), point.measurement)
        self._series[(key, stamp_key)] = series
        self._series[(series[0], "")] = series
        return series

    def _strict_row(self, line: str, precision: str, received_ns: int, stamp: Mapping[str, str]) -> Row:
        point = parse_line(line, default_time_ns=received_ns, precision=precision)
        if not is_utf8(line):
            point = _in_utf8(point, line)
        point = _stamped(point, stamp)
        series_key = canonical_series_key(point)
        self._series[(series_key, "")] = (series_key, point.measurement)
        return Row(series_key, point.time_ns if point.time_ns is not None else received_ns, point.fields)

    def _measurement_of(self, series_key: str) -> str:
        cached = self._series.get((series_key, ""))
        return cached[1] if cached else parse_line(f"{series_key} x=1").measurement

    def _check_types(self, database: str, measurement: str, fields: Mapping[str, FieldValue]) -> dict[str, FieldType]:
        """Compare with the known types; returns the fields that are new.

        Raises:
            FieldTypeConflictError: one is known otherwise.
            LineError: the measurement would have too many fields, or is one too many.
        """
        known = self._types.known(database, measurement)
        if not known and not self._types.have_room(database, [measurement]):
            raise LineError(
                f"too many measurements: there are {self._types.foreign} and can be {fieldtypes.MOST_MEASUREMENTS}; "
                "what differs from thing to thing, such as a number in a measurement's name, belongs into a tag"
            )
        fresh: dict[str, FieldType] = {}
        for name, value in fields.items():
            given = field_type(value)
            stored = known.get(name)
            if stored is None:
                fresh[name] = given
            elif stored is not given:
                raise FieldTypeConflictError(
                    f'field type conflict: input field "{name}" on measurement "{measurement}" is type {given}, '
                    f"already exists as type {stored}"
                )
        if fresh and len(known) + len(fresh) > fieldtypes.MOST_FIELDS:
            raise LineError(
                f'too many fields: measurement "{measurement}" has {len(known)} and can have {fieldtypes.MOST_FIELDS}; '
                "what differs from thing to thing, such as a number in a field's name, belongs into a tag"
            )
        if fresh and self._types.fields + len(fresh) > fieldtypes.MOST_FIELDS_IN_ALL:
            raise LineError(
                f"too many fields: all measurements together have {self._types.fields} and can have "
                f"{fieldtypes.MOST_FIELDS_IN_ALL} beside StreamSwarm's own; put what differs from thing to thing "
                "into a tag"
            )
        return fresh


def _without_time(row: Row, measurement: str) -> Row:
    """Leave out a field called `time`, refuse a tag called so or a point of nothing else, as InfluxDB does."""
    if ",time=" in row.series_key and "time" in parse_line(f"{row.series_key} x=1").tags:
        raise LineError(f'invalid tag key: input tag "time" on measurement "{measurement}" is invalid')
    if "time" not in row.fields:
        return row
    fields = {name: value for name, value in row.fields.items() if name != "time"}
    if not fields:
        raise LineError(f'invalid field name: input field "time" on measurement "{measurement}" is invalid')
    return Row(row.series_key, row.time_ns, fields)


def _in_utf8(point: Point, line: str) -> Point:
    """Put U+FFFD for each byte of a string that isn't UTF-8, which is how InfluxDB shows it; refuse such names.

    Two names that differ only there would become one.
    """
    if not all(map(is_utf8, [point.measurement, *point.tags, *point.tags.values(), *point.fields])):
        raise LineError("not UTF-8 in the measurement, a tag or a field key", line)
    strings = {name: _displayable(value) for name, value in point.fields.items() if isinstance(value, str)}
    return replace(point, fields={**point.fields, **strings})


def _displayable(text: str) -> str:
    return text if is_utf8(text) else ESCAPED_BYTE.sub("\N{REPLACEMENT CHARACTER}", text)


class FieldTypeConflictError(Exception):
    """A field came with another type than it is stored with."""


class ExpiredError(Exception):
    """A point is older than its database keeps points."""


def _check_age(row: Row, oldest_ns: int) -> None:
    if row.time_ns < oldest_ns:
        raise ExpiredError("points beyond retention policy")


def _all_kept(bulk: Batch, oldest_ns: int) -> bool:
    return all(min(block.times) >= oldest_ns for block in bulk.blocks)


def canonical_series_key(point: Point) -> str:
    """Measurement and tags sorted by key, escaped: the name of a series."""
    tags = "".join(f",{escape_tag(key)}={escape_tag(value)}" for key, value in sorted(point.tags.items()) if value)
    return escape_measurement(point.measurement) + tags


def parse_rows(lines: str) -> Iterator[Row]:
    """Read canonical lines back, as they come from the log."""
    for _, line in split_lines(lines):
        point = parse_line(line)
        if point.time_ns is None:
            raise LineError("a line of the log has no time", line)
        yield Row(canonical_series_key(point), point.time_ns, point.fields)


def _canonical_line(row: Row) -> str:
    fields = ",".join(f"{escape_tag(key)}={format_field(value)}" for key, value in row.fields.items())
    return f"{row.series_key} {fields} {row.time_ns}"


def _stamped(point: Point, stamp: Mapping[str, str]) -> Point:
    return point.with_tags(**stamp) if stamp else point


def _numbered_lines(body: str) -> Iterator[tuple[int, str]]:
    if '"' in body or "\\" in body:
        yield from split_lines(body)
        return
    for number, line in enumerate(body.split("\n"), start=1):
        stripped = line.strip(BLANK)
        if stripped and stripped[0] != "#":
            yield number, stripped
