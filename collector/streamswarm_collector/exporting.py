"""Writes what a store holds into a file: line protocol, CSV or Parquet, day by day in order of time."""

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO, cast

import duckdb
from duckdb import DuckDBPyConnection

from streamswarm_collector.ingest import canonical_series_key
from streamswarm_collector.store.cold import quoted
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.freezing import DAY
from streamswarm_collector.store.schema import FieldColumn, MeasurementSchema
from streamswarm_core.errors import ConfigError
from streamswarm_core.lineprotocol import escape_tag, format_field
from streamswarm_core.point import FieldValue, Point

_BATCH_ROWS: Final = 10_000
Progress = Callable[[int, int], None]
"""Told how many rows are written, and of how many."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is exported.

    Attributes:
        database: from which database.
        policy: which retention policy of it; None for the default one.
        measurement: only this one; None for all.
        start: nanoseconds, the first that are wanted.
        stop: nanoseconds, the first that are not wanted any more.
    """

    database: str
    policy: str | None = None
    measurement: str | None = None
    start: int = -(2**63)
    stop: int = 2**63 - 1


def export(store: EmbeddedStore, wanted: Wanted, form: str, out: Path, progress: Progress) -> int:
    """Write a file, which takes its name when it is whole; returns how many rows it has.

    Raises:
        RefusedError: there is no such database or policy.
        ConfigError: there is no such measurement, or the form is for one measurement and none is named.
        OSError: the file can't be written.
    """
    measurements = store.database(wanted.database, wanted.policy).measurements
    if wanted.measurement is not None and wanted.measurement not in measurements:
        raise ConfigError(f"no measurement {wanted.measurement!r} in {wanted.database}")
    if form == "parquet" and wanted.measurement is None:
        raise ConfigError("a Parquet file holds one measurement; name it with --measurement")
    chosen = [one for name, one in sorted(measurements.items()) if wanted.measurement in {None, name}]
    unfinished = out.with_name(f"{out.name}.part")
    try:
        with store.cursor() as cursor:
            if form == "parquet":
                rows = _write_parquet(cursor, chosen[0], wanted, unfinished)
                progress(rows, rows)
            else:
                with _opened(unfinished, packed=out.suffix == ".gz") as file:
                    rows = _write_rows(cursor, chosen, wanted, _WRITERS[form](file, chosen), progress)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return rows


Writer = Callable[[MeasurementSchema, Sequence[FieldColumn], Sequence[tuple[Any, ...]]], None]


def _write_rows(
    cursor: DuckDBPyConnection,
    measurements: Sequence[MeasurementSchema],
    wanted: Wanted,
    write: Writer,
    progress: Progress,
) -> int:
    relations = [one.relation(cursor, wanted.start, wanted.stop) for one in measurements]
    span = f"time >= {wanted.start} AND time < {wanted.stop}"
    counts = [cursor.execute(f"SELECT count(*) FROM {one} WHERE {span}").fetchall()[0][0] for one in relations]  # noqa: S608 - our own text
    done, total = 0, sum(counts)
    for measurement, relation in zip(measurements, relations, strict=True):
        fields = list(measurement.fields.values())
        columns = ", ".join(["time", "sid", *(one.column for one in fields)])
        for start, stop in _days(cursor, relation, wanted):
            cursor.execute(
                f"SELECT {columns} FROM {relation} WHERE time >= {start} AND time < {stop} ORDER BY time, sid"  # noqa: S608 - our own text
            )
            while rows := cursor.fetchmany(_BATCH_ROWS):
                write(measurement, fields, rows)
                done += len(rows)
                progress(done, total)
    return done


def _days(cursor: DuckDBPyConnection, relation: str, wanted: Wanted) -> Iterator[tuple[int, int]]:
    """Begin and end of each day that has rows, so that no more than a day has to be sorted."""
    start = wanted.start
    while True:
        ((first,),) = cursor.execute(
            f"SELECT min(time) FROM {relation} WHERE time >= {start} AND time < {wanted.stop}"  # noqa: S608 - our own text
        ).fetchall()
        if first is None:
            return
        start = min((first // DAY + 1) * DAY, wanted.stop)
        yield first, start


def _lines_writer(file: TextIO, _measurements: Sequence[MeasurementSchema]) -> Writer:
    keys: dict[tuple[str, int], str] = {}

    def write(measurement: MeasurementSchema, fields: Sequence[FieldColumn], rows: Sequence[tuple[Any, ...]]) -> None:
        names = [escape_tag(field.name) for field in fields]
        lines = []
        for time, sid, *values in rows:
            key = keys.get((measurement.table, sid))
            if key is None:
                point = Point(measurement.name, measurement.series[sid])
                key = keys[measurement.table, sid] = canonical_series_key(point)
            there = [
                f"{name}={format_field(value)}" for name, value in zip(names, values, strict=True) if value is not None
            ]
            lines.append(f"{key} {','.join(there)} {time}\n")
        file.writelines(lines)

    return write


TAG: Final = "tag:"
FIELD: Final = "field:"


def _csv_writer(file: TextIO, measurements: Sequence[MeasurementSchema]) -> Writer:
    """Columns `measurement`, `time` in nanoseconds, `tag:KEY`, `field:TYPE:KEY`; an empty cell is no value."""
    tags = sorted({key for one in measurements for key in one.tag_keys})
    fields = sorted({(field.name, field.type.value) for one in measurements for field in one.fields.values()})
    place = {field: number for number, field in enumerate(fields)}
    table = csv.writer(file, lineterminator="\n")
    table.writerow(
        ["measurement", "time", *(f"{TAG}{key}" for key in tags), *(f"{FIELD}{kind}:{name}" for name, kind in fields)]
    )

    def write(measurement: MeasurementSchema, own: Sequence[FieldColumn], rows: Sequence[tuple[Any, ...]]) -> None:
        places = [place[field.name, field.type.value] for field in own]
        series = {sid: [given.get(key, "") for key in tags] for sid, given in measurement.series.items()}
        for time, sid, *values in rows:
            cells = [""] * len(fields)
            for number, value in zip(places, values, strict=True):
                if value is not None:
                    cells[number] = as_cell(value)
            table.writerow([measurement.name, time, *series[sid], *cells])

    return write


def as_cell(value: FieldValue) -> str:
    """A value as text; a string that is empty or begins with a quote is written as JSON, for empty means none.

    >>> [as_cell(value) for value in (1.5, 3, True, "x", "")]
    ['1.5', '3', 'true', 'x', '""']
    """
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if not value or value[0] == '"' else value
    return str(value).lower() if isinstance(value, bool) else repr(value)


_WRITERS: Final = {"lines": _lines_writer, "csv": _csv_writer}


@contextmanager
def _opened(path: Path, *, packed: bool) -> Iterator[TextIO]:
    if packed:
        with gzip.open(path, "wt", encoding="utf-8", newline="", compresslevel=6) as unpacked:
            yield cast("TextIO", unpacked)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file


def _write_parquet(cursor: DuckDBPyConnection, measurement: MeasurementSchema, wanted: Wanted, path: Path) -> int:
    """Times as timestamps, tags and fields by their names; a field that is called like a tag gets `_field` behind."""
    tags = sorted(measurement.tag_keys)
    series = {
        "series": list(measurement.series),
        **{f"t{number}": [given.get(key) for given in measurement.series.values()] for number, key in enumerate(tags)},
    }
    columns = ", ".join(f"t{number} VARCHAR" for number in range(len(tags)))
    cursor.execute(f"CREATE TEMP TABLE exported_series (series INTEGER{', ' + columns if columns else ''})")
    rows = list(zip(*series.values(), strict=True))
    if rows:
        cursor.executemany(f"INSERT INTO exported_series VALUES ({', '.join('?' * len(series))})", rows)  # noqa: S608
    taken = {"time", *tags}
    selected = [
        "make_timestamp_ns(time) AS time",
        *(f"t{number} AS {_identifier(key)}" for number, key in enumerate(tags)),
        *(
            f"{field.column} AS {_identifier(field.name + ('_field' if field.name in taken else ''))}"
            for field in measurement.fields.values()
        ),
    ]
    relation = measurement.relation(cursor, wanted.start, wanted.stop)
    span = f"time >= {wanted.start} AND time < {wanted.stop}"
    rows_in_order = f"(SELECT * FROM {relation} WHERE {span} ORDER BY sid, time)"  # noqa: S608 - our own text
    try:
        ((count,),) = cursor.execute(
            f"COPY (SELECT {', '.join(selected)} FROM {rows_in_order} JOIN exported_series ON sid = series) "  # noqa: S608
            f"TO {quoted(path)} (FORMAT parquet, COMPRESSION zstd)"
        ).fetchall()
    except duckdb.IOException as error:
        raise OSError(0, str(error).splitlines()[0], str(path)) from None
    return int(count)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
