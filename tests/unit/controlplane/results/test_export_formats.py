import csv
import io
import json
import subprocess
import sys

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from streamswarm_controlplane.results.export.extract import Extract, Row, make_columns
from streamswarm_controlplane.results.export.formats import write_array, write_csv, write_lines
from streamswarm_controlplane.results.export.parquet import ROW_GROUP, write_parquet
from streamswarm_controlplane.results.fields import select_measurement
from streamswarm_controlplane.results.times import TimeRange
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reader.select import Function

BASE = 1_750_000_020 * NANOSECONDS
FIELDS = ["rtt_mean", "received", "error_detail"]


def extract(every_ns: int | None = None, aggregate: Function | None = None, fields: list[str] = FIELDS) -> Extract:
    selection = select_measurement(SPECS["icmp"], None, fields)
    columns = make_columns(selection, windows=every_ns is not None, aggregate=aggregate)
    return Extract(selection, columns, (), (), TimeRange(BASE, BASE + 1), every_ns, NANOSECONDS)


def row(number: int, error: str | None = None, rtt: float | None = 0.0125) -> Row:
    return BASE + number, ("berlin-1", "", "ping", "192.0.2.1", "ipv4"), (error, 4, rtt)


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_a_spreadsheet_would_run_is_made_harmless_in_csv(text: str) -> None:
    written = b"".join(write_csv(extract(), [[row(0, text)]])).decode()
    cell = next(csv.DictReader(io.StringIO(written, newline="")))["error_detail"]
    assert cell == "'" + text


def test_csv_has_a_header_quotes_what_needs_it_and_leaves_numbers_alone() -> None:
    written = b"".join(write_csv(extract(), [[row(0, 'a "b",\nc', -0.5)], [row(1, None, None)]], units=True)).decode()
    lines = list(csv.reader(io.StringIO(written, newline="")))
    assert lines[0] == [
        "time",
        "agent",
        "site",
        "test",
        "target",
        "family",
        "error_detail",
        "received",
        "rtt_mean [seconds]",
    ]
    assert lines[1][-3:] == ['a "b",\nc', "4", "-0.5"]
    assert lines[2] == ["2025-06-15T15:07:00.000000001Z", "berlin-1", "", "ping", "192.0.2.1", "ipv4", "", "4", ""]


def test_json_lines_and_array_hold_the_same_objects() -> None:
    chunks = [[row(0, "=1")], [row(1), row(2, rtt=None)]]
    lines = [json.loads(line) for line in b"".join(write_lines(extract(), chunks)).splitlines()]
    assert json.loads(b"".join(write_array(extract(), chunks))) == lines
    assert lines[0]["error_detail"] == "=1"  # no spreadsheet reads this
    assert (lines[2]["rtt_mean"], len(lines)) == (None, 3)
    assert json.loads(b"".join(write_array(extract(), []))) == []


def test_parquet_has_typed_columns_row_groups_and_units() -> None:
    rows = [row(number, "timeout" if number % 2 else None) for number in range(ROW_GROUP + 10)]
    pieces = list(write_parquet(extract(), [rows[start : start + 7000] for start in range(0, len(rows), 7000)]))
    file = pq.ParquetFile(io.BytesIO(b"".join(pieces)))
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [ROW_GROUP, 10]
    schema = file.schema_arrow
    assert [schema.field(name).type for name in ("time", "agent", "received", "rtt_mean", "error_detail")] == [
        pa.timestamp("ns", tz="UTC"),
        pa.string(),
        pa.int64(),
        pa.float64(),
        pa.string(),
    ]
    assert schema.field("rtt_mean").metadata[b"unit"] == b"seconds"
    assert schema.metadata[b"measurement"] == b"icmp"
    table = file.read()
    assert table["time"].cast(pa.int64()).to_pylist() == [one[0] for one in rows]
    assert table["error_detail"].null_count == len(rows) // 2
    # The first row group left before the last row was there: nothing waits for the end.
    assert len([piece for piece in pieces if piece]) > 2


def test_an_empty_parquet_file_still_has_its_columns() -> None:
    table = pq.read_table(io.BytesIO(b"".join(write_parquet(extract(), []))))
    assert table.num_rows == 0
    assert table.column_names[0] == "time"


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [(None, "double"), (Function.COUNT, "int64"), (Function.MAX, "int64"), (Function.MEAN, "double")],
)
def test_the_type_of_a_window_follows_its_aggregate(aggregate: Function | None, expected: str) -> None:
    shape = pq.read_schema(io.BytesIO(b"".join(write_parquet(extract(NANOSECONDS, aggregate, ["received"]), []))))
    assert str(shape.field("received").type) == expected
    assert shape.field("received").metadata[b"aggregate"] == str(aggregate or "mean").encode()


def test_a_control_plane_loads_pyarrow_with_the_first_parquet_file_only() -> None:
    loaded = "import sys, streamswarm_controlplane.app; print('pyarrow' in sys.modules, 'fastapi' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "True"]
