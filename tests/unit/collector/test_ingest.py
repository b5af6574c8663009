import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_collector.batch import Batch, Row, split_payload
from streamswarm_collector.fieldtypes import MOST_FIELDS, FieldTypes
from streamswarm_collector.ingest import Parser, canonical_series_key, parse_rows
from streamswarm_collector.series import SeriesLimits
from streamswarm_core.errors import LineError
from streamswarm_core.lineprotocol import parse_line
from streamswarm_core.point import FieldValue, Point

PIECES = st.sampled_from(
    [
        "m", "cpu", ",", "=", " ", "a", "host=x", "v=1", "v=1i", "v=-1.5e3", "v=t", 'v="s t"', "\\ ", "\\,", '"', "\\",
        "10", "-5", "9223372036854775806", "9223372036854775807", "nan", "1.", ".5", "+1", "é", "u=7u", "  ", "\udcff",
        "time=1", "m,h=a v=1",
    ]
)  # fmt: skip


def points(batch: Batch) -> list[Row]:
    """What was accepted, however it was read."""
    return [*batch.rows, *(row for block in batch.blocks for row in block.rows())]


def strictly(line: str) -> Point | str:
    """What the strict parser reads, or why it doesn't."""
    try:
        return parse_line(line, default_time_ns=7)
    except LineError as error:
        return str(error)


@given(st.lists(PIECES, max_size=10).map("".join))
def test_the_fast_path_reads_a_line_as_the_strict_parser_does(line: str) -> None:
    if "\n" in line or not line.strip() or line.lstrip().startswith("#"):
        return
    batch = Parser(FieldTypes()).parse(line, database="d", precision="ns", received_ns=7, stamp={})
    expected = strictly(line.strip("\r\t "))
    if isinstance(expected, str):
        assert [refused.reason for refused in batch.refused] == [expected.replace("\udcff", "\ufffd")]
        return
    if batch.refused:
        # What the parser of lines alone doesn't know.
        assert re.search('input (tag|field) "time"|not UTF-8', batch.refused[0].reason)
        return
    strings = {
        key: value.replace("\udcff", "\ufffd") for key, value in expected.fields.items() if isinstance(value, str)
    }
    kept = {name: value for name, value in expected.fields.items() if name != "time"} | strings
    expected = replace(expected, fields=kept)
    (row,) = points(batch)
    assert (row.series_key, row.time_ns) == (canonical_series_key(expected), expected.time_ns)
    assert {name: (type(value), value) for name, value in row.fields.items()} == {
        name: (type(value), value) for name, value in expected.fields.items()
    }


@given(
    st.lists(
        st.one_of(PIECES, st.sampled_from(["m,h=a\\", ' v="a\n', "\\\\", "\n", "\r", "#", "\xa0"])), max_size=12
    ).map("".join)
)
def test_what_is_accepted_is_read_back_from_the_log(body: str) -> None:
    batch = Parser(FieldTypes()).parse(body, database="d", precision="ns", received_ns=7, stamp={})
    _, lines = split_payload(batch.payload())
    assert list(parse_rows(lines.decode())) == points(batch)


def test_good_lines_are_kept_and_bad_ones_named_by_number_and_reason() -> None:
    body = "m v=1 1\n# note\nm v= 2\nm v=3 3\nm v=1i 4\n"
    batch = Parser(FieldTypes()).parse(body, database="d", precision="ns", received_ns=7, stamp={})
    assert [row.time_ns for row in points(batch)] == [1, 3]
    assert [(refused.number, refused.kind) for refused in batch.refused] == [(3, "syntax"), (5, "type_conflict")]
    assert (
        batch.refused[1].reason
        == 'field type conflict: input field "v" on measurement "m" is type integer, already exists as type float'
    )


@pytest.mark.parametrize("lines", [1, 300], ids=["by line", "whole columns at a time"])
def test_a_line_with_a_field_too_many_is_refused_and_what_is_known_goes_on(lines: int) -> None:
    parser = Parser(FieldTypes())

    def parse(fields: str) -> Batch:
        body = "\n".join(f"m {fields} {number}" for number in range(1, lines + 1))
        return parser.parse(body, database="d", precision="ns", received_ns=7, stamp={})

    for first in range(0, MOST_FIELDS, 64):
        assert not parse(",".join(f"f{number}=1" for number in range(first, first + 64))).refused
    batch = parse("f1=2,more=1")
    assert not points(batch)
    assert {refused.reason.partition(";")[0] for refused in batch.refused} == {
        f'too many fields: measurement "m" has {MOST_FIELDS} and can have {MOST_FIELDS}'
    }
    assert not parse("f1=2").refused


def test_the_catalogue_says_the_type_before_anything_is_stored() -> None:
    batch = Parser(FieldTypes()).parse("icmp rtt_mean=1i", database="d", precision="ns", received_ns=7, stamp={})
    assert "rtt_mean" in batch.refused[0].reason


def test_an_agents_own_tags_are_written_over() -> None:
    batch = Parser(FieldTypes()).parse(
        "m,agent=liar,site=moon,z=1 v=1 1\nm,agent=liar,site=moon,z=1 v=2 2",
        database="d",
        precision="ns",
        received_ns=7,
        stamp={"agent": "real", "site": ""},
    )
    assert {row.series_key for row in points(batch)} == {"m,agent=real,z=1"}


def test_the_same_series_is_stamped_for_each_sender() -> None:
    parser = Parser(FieldTypes())
    keys = [
        points(parser.parse("m v=1", database="d", precision="ns", received_ns=7, stamp={"agent": name}))[0].series_key
        for name in ("one", "two", "one")
    ]
    assert keys == ["m,agent=one", "m,agent=two", "m,agent=one"]


@pytest.mark.parametrize(("precision", "expected"), [("s", 5_000_000_000), ("ms", 5_000_000), ("us", 5_000), ("ns", 5)])
def test_times_are_read_in_the_requests_precision(precision: str, expected: int) -> None:
    batch = Parser(FieldTypes()).parse("m v=1 5", database="d", precision=precision, received_ns=7, stamp={})
    assert points(batch)[0].time_ns == expected


@pytest.mark.parametrize(
    ("precision", "expected"), [("h", 3_600 * 10**9), ("s", 3_601 * 10**9), ("ns", 3_601 * 10**9 + 7)]
)
@pytest.mark.parametrize("body", ["m v=1", 'm s="a"'])
def test_a_missing_time_is_cut_to_the_requests_precision(body: str, precision: str, expected: int) -> None:
    received_ns = 3_601 * 10**9 + 7
    batch = Parser(FieldTypes()).parse(body, database="d", precision=precision, received_ns=received_ns, stamp={})
    assert points(batch)[0].time_ns == expected


def test_a_field_called_time_is_left_out_and_refused_only_where_it_is_alone() -> None:
    batch = Parser(FieldTypes()).parse(
        "m time=1,v=2 1\nm time=3 2\nm v=4 3", database="d", precision="ns", received_ns=7, stamp={}
    )
    assert [(row.time_ns, row.fields) for row in points(batch)] == [(1, {"v": 2.0}), (3, {"v": 4.0})]
    assert [refused.number for refused in batch.refused] == [2]


def test_a_tag_called_time_is_refused_each_time_it_comes() -> None:
    parser = Parser(FieldTypes())
    for _ in range(2):
        batch = parser.parse("m,time=1 v=1 1", database="d", precision="ns", received_ns=7, stamp={})
        assert (points(batch), len(batch.refused)) == ([], 1)


def test_bytes_that_are_not_utf8_are_replaced_in_strings_and_refused_in_names() -> None:
    body = b'm s="caf\xe9",v=1 1\nm,t=caf\xe9 v=1 2\nm v=2 3\nm v=\xe9 4'.decode(errors="surrogateescape")
    batch = Parser(FieldTypes()).parse(body, database="d", precision="ns", received_ns=7, stamp={})
    assert [(row.time_ns, row.fields) for row in points(batch)] == [(1, {"s": "caf\ufffd", "v": 1.0}), (3, {"v": 2.0})]
    assert [refused.reason for refused in batch.refused] == [
        "unable to parse 'm,t=caf\ufffd v=1 2': not UTF-8 in the measurement, a tag or a field key",
        "unable to parse 'm v=\ufffd 4': invalid number",
    ]


def test_a_refused_line_is_quoted_as_it_was_sent() -> None:
    batch = Parser(FieldTypes()).parse(
        "m,a=1,a=2 v=1 1\nm v=1.0i 2", database="d", precision="ns", received_ns=7, stamp={}
    )
    assert [refused.reason for refused in batch.refused] == [
        "unable to parse 'm,a=1,a=2 v=1 1': duplicate tags",
        "unable to parse 'm v=1.0i 2': invalid number",
    ]


def test_the_log_holds_what_the_store_gets() -> None:
    batch = Parser(FieldTypes()).parse(
        'a\\ b,t=x\\,y s="q \\"u\\"",i=1i,ok=t 3', database="d", precision="ns", received_ns=7, stamp={}
    )
    assert parse_line(batch.lines[0]) == parse_line('a\\ b,t=x\\,y s="q \\"u\\"",i=1i,ok=true 3')


FIELD_CELLS = st.sampled_from(
    ["1", "-2.5", "3i", "-4i", "1e3", ".5", "7.", "1-2", "--1", "1.2.3", "e", "9e999", "t", "nan", ""]
)
BULK_LINES = st.lists(
    st.tuples(
        st.sampled_from(["m,h=a", "m,h=b", "n", "m,h=", "m,time=1"]),
        st.sampled_from(
            ["x={},y={}", "x={},y={}", "x={},y={}", "y={},x={}", "x={}", "x={},x={}", "x={}={}", "x,{}=y={}"]
        ),
        FIELD_CELLS,
        FIELD_CELLS,
        st.sampled_from([" 1", " 2", " -3", "", " x", " 9223372036854775807"]),
    ).map(lambda parts: f"{parts[0]} {parts[1].format(parts[2], parts[3])}{parts[4]}"),
    min_size=1,
    max_size=6,
)


@given(BULK_LINES)
def test_bulk_reading_accepts_and_refuses_what_reading_line_by_line_does(lines: list[str]) -> None:
    arguments: dict[str, Any] = {"database": "d", "precision": "ns", "received_ns": 7, "stamp": {}}
    bulk = Parser(FieldTypes()).parse("\n".join(lines), **arguments)
    slow = Parser(FieldTypes())
    # A comment line is not plain, so it sends the whole body down the slow path without changing what it says.
    by_line = slow.parse("\n".join([*lines, "# comment"]), **arguments)
    assert [(one.number, one.reason) for one in bulk.refused] == [(one.number, one.reason) for one in by_line.refused]

    def comparable(batch: Batch) -> list[tuple[str, int, dict[str, FieldValue]]]:
        found = [(row.series_key, row.time_ns, dict(row.fields)) for row in points(batch)]
        return sorted(found, key=repr)

    assert comparable(bulk) == comparable(by_line)
    assert sorted(map(parse_line, bulk.lines), key=repr) == sorted(map(parse_line, by_line.lines), key=repr)


def test_a_plain_body_is_read_in_bulk() -> None:
    body = "\n".join(f"m,h={number % 3} x={number}.5,n={number}i {number}" for number in range(10))
    batch = Parser(FieldTypes()).parse(body, database="d", precision="s", received_ns=7, stamp={})
    (block,) = batch.blocks
    assert (batch.rows, len(block.times), block.columns["n"][3]) == ([], 10, 3)


def test_a_type_that_is_known_otherwise_is_refused_from_bulk_bodies_too() -> None:
    parser = Parser(FieldTypes())
    parser.parse("m x=1 1", database="d", precision="ns", received_ns=7, stamp={})
    batch = parser.parse("m x=1i 1\nm x=2i 2", database="d", precision="ns", received_ns=7, stamp={})
    assert [refused.kind for refused in batch.refused] == ["type_conflict", "type_conflict"]


@pytest.mark.parametrize("form", ["{} v=1", '{} v=1,s="line by line"'])
def test_a_measurement_too_many_is_refused_and_our_own_never_are(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr("streamswarm_collector.fieldtypes.MOST_MEASUREMENTS", 3)
    types = FieldTypes()
    parser = Parser(types)

    def parse(*names: str, database: str = "d") -> Batch:
        body = "\n".join(form.format(name) for name in names)
        return parser.parse(body, database=database, precision="ns", received_ns=7, stamp={})

    assert len(points(parse("a", "b"))) == 2
    batch = parse("c", "x", "a", "y", "icmp", database="d")
    assert [(line.number, line.reason[:52]) for line in batch.refused] == [
        (2, "too many measurements: there are 3 and can be 3; wha"),
        (4, "too many measurements: there are 3 and can be 3; wha"),
    ]
    assert parse("a", database="e").refused
    assert not parse("icmp", database="e").refused
    types.forget("d", "a")
    assert not parse("a", database="e").refused


def test_what_is_refused_leaves_nothing_behind() -> None:
    types = FieldTypes()
    parser = Parser(types, SeriesLimits(1, 1))
    body = "\n".join(f"m{number} v=1" for number in range(5))
    assert len(parser.parse(body, database="d", precision="ns", received_ns=7, stamp={}).refused) == 4
    assert types.foreign == 1


@pytest.mark.parametrize("form", ["{}=1", '{}=1,s="line by line"'])
def test_all_measurements_together_have_so_many_fields(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr("streamswarm_collector.fieldtypes.MOST_FIELDS_IN_ALL", 6)
    types = FieldTypes()
    parser = Parser(types)

    def parse(*lines: str) -> Batch:
        return parser.parse("\n".join(lines), database="d", precision="ns", received_ns=7, stamp={})

    assert not parse(f"a {form.format('x')},y=1", f"b {form.format('x')}").refused
    (refused,) = parse("icmp rtt_avg=0.1", f"a {form.format('x')}", "c p=1,q=1,r=1,s=1,t=1,u=1").refused
    assert (refused.number, refused.reason[:52]) == (
        3,
        "too many fields: all measurements together have " + str(types.fields) + " an",
    )
    assert not parse("icmp rtt_avg=0.1,sent=1i").refused
    before = types.fields
    types.forget("d", "a")
    assert types.fields < before
    types.forget("d")
    assert (types.fields, types.foreign) == (0, 0)
