"""Statements that are read by their shape are those that are read whole."""

import pytest

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.errors import ParseError
from streamswarm_collector.influxql.parser import parse

TIMES = [(1_700_000_000, 1_700_000_600), (123_456_789, 9_223_372_036), (1_699_999_999, 1_700_000_000)]
SHAPES = [
    "SELECT mean(v) FROM m WHERE time >= {}s AND time < {}s AND host = 'a' GROUP BY time(30s)",
    "SELECT v FROM m WHERE time>{}ms and TIME <= {}ms",
    "SELECT v FROM m WHERE (time > {} OR v > 5) AND time < {}",
    "SELECT max(a) FROM (SELECT mean(v) AS a FROM m WHERE time > {}s) WHERE time < {}s",
    "SELECT v FROM m WHERE note = 'time > {}s' AND time < {}s",
    "SELECT v FROM m WHERE uptime > {} AND time < {}",
    "SELECT v FROM m WHERE time > {}s; SELECT w FROM n WHERE time > {}s",
    "SELECT v FROM m WHERE time > {}s + 1h AND time < {}s",
    "SHOW TAG VALUES FROM m WITH KEY = host WHERE time > {} AND v = {}",
    "SELECT v FROM m WHERE " + " OR ".join(["(time > {0}s AND time < {1}s)"] * 40),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_statement_whose_shape_was_seen_is_read_as_if_it_were_the_first(shape: str) -> None:
    for start, stop in TIMES:
        text = shape.format(start, stop)
        # A bound parameter that isn't used takes the way without shapes.
        assert parse(text) == parse(text, {"unused": 1})


@pytest.mark.parametrize("unit", ["", "ns", "u", "ms", "s", "m"])
def test_a_statement_that_differs_only_in_its_times_is_not_read_again(unit: str) -> None:
    shape = f"SELECT mean(v) FROM m WHERE time >= {{}}{unit} AND time < {{}}{unit} AND host = '{unit}'"
    (first,), (second,) = parse(shape.format(100_000_000, 100_000_600)), parse(shape.format(100_000_001, 100_000_601))
    assert isinstance(first, ast.Select)
    assert isinstance(second, ast.Select)
    assert first.where != second.where
    assert first.columns is second.columns


def test_the_time_stands_where_it_was_written() -> None:
    (statement,) = parse("SELECT v FROM m WHERE time > 1700000000s")
    assert isinstance(statement, ast.Select)
    assert statement.where == ast.Binary(">", ast.Reference("time"), ast.Duration(1_700_000_000_000_000_000))


def test_an_error_names_the_place_in_the_text_that_was_sent() -> None:
    with pytest.raises(ParseError, match=r"found FRM, expected .* at line 1, char 10") as first:
        parse("SELECT v FRM m WHERE time > 1700000000s")
    with pytest.raises(ParseError) as second:
        parse("SELECT v FROM m WHERE time > 1700000000s LIMIT x")
    assert "char 48" in str(second.value)
    assert "FRM" in str(first.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELEC v FROM m", "found SELEC, expected ALTER, CREATE, DELETE, DROP, SELECT, SHOW at line 1, char 1"),
        ("SELECT v FROM", "found EOF, expected (, identifier, regex at line 1, char 14"),
        ("SELECT v\nFROM m\nWHERE", "found EOF, expected identifier, string, number, bool at line 3, char 6"),
        ("SHOW TAG VALUES", "found EOF, expected FROM, ON, WITH at line 1, char 16"),
        ("SELECT v FROM m GROUP BY time(1x)", "found 1x, expected duration at line 1, char 31"),
        ("SELECT v FROM m LIMIT -1", "found -, expected integer at line 1, char 23"),
        ("SELECT v FROM m WHERE h =~ x", "found x, expected $parameter, regex at line 1, char 28"),
        ("SELECT v FROM m WHERE h = 'x", "found ' without its end, expected identifier, string, number, bool"),
        ("SELECT v FROM m HAVING v > 1", "expected EOF, FILL, GROUP, LIMIT, OFFSET, ORDER, SLIMIT, SOFFSET, TZ, WHERE"),
    ],
)
def test_an_error_says_what_would_be_understood_there(text: str, words: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse(text)
    assert words in str(refused.value)


def test_comments_of_both_kinds_are_left_out() -> None:
    text = "/* who\n asks */ SELECT v / 2 -- half\nFROM m /* here */ WHERE h =~ /a\\/*/"
    assert parse(text) == parse("SELECT v / 2 FROM m WHERE h =~ /a\\/*/")


@pytest.mark.parametrize(("hosts", "kept"), [(1, True), (400, True), (3000, False)])
def test_statements_are_kept_unless_they_are_very_long(hosts: int, kept: bool) -> None:
    text = "SELECT v FROM m WHERE " + " OR ".join(f"host = 'host{number:05}.example.org'" for number in range(hosts))
    first, second = parse(text), parse(text)
    assert first == second
    assert (first[0] is second[0]) is kept
    assert parse(f"{text} AND time > 1711834200000ms") == parse(f"{text} AND time > 1711834200s")
