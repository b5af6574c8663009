import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_core.errors import LineError
from streamswarm_core.lineprotocol import (
    INT64_MAX,
    INT64_MIN,
    encode,
    parse_line,
    split_lines,
)
from streamswarm_core.point import Point

# Line protocol can't carry a newline in a key, nor a backslash before a separator; everything else must survive.
KEYS = st.text(st.characters(exclude_characters="\n\\\r", exclude_categories=["Cs", "Cc"]), min_size=1).filter(
    lambda key: not key.startswith("#")
)
VALUES = st.one_of(
    st.booleans(),
    st.integers(INT64_MIN, INT64_MAX),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")),
)


@given(
    st.builds(
        Point,
        KEYS,
        st.dictionaries(KEYS, KEYS, max_size=4),
        st.dictionaries(KEYS, VALUES, min_size=1, max_size=4),
        st.one_of(st.none(), st.integers(INT64_MIN + 2, INT64_MAX - 1)),
    )
)
def test_what_is_written_is_read_back(point: Point) -> None:
    assert parse_line(encode(point)) == point


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("cpu", "missing fields"),
        (",host=a v=1", "missing measurement"),
        ("cpu,host v=1", "missing tag value"),
        ("cpu,host= v=1", "missing tag value"),
        ("cpu,=a v=1", "missing tag key"),
        ("cpu,a=1,a=2 v=1", "duplicate tags"),
        ("cpu v", "missing field value"),
        ("cpu =1", "missing field key"),
        ("cpu v=1x", "invalid number"),
        ("cpu v=nan", "invalid number"),
        ("cpu v=truth", "invalid boolean"),
        ('cpu v="open', "unbalanced quotes"),
        ("cpu v=9223372036854775808i", "out of range"),
        ("cpu v=1 yesterday", "bad timestamp"),
        ("cpu v=1 9223372036854775807", "time outside range"),
        (
            f"cpu v={'9' * 5000}i",
            "unable to parse integer 99999999999999999999... of 5000 characters: value out of range",
        ),
        (
            f"cpu v={'9' * 5000}",
            "unable to parse number 99999999999999999999... of 5000 characters: value out of range",
        ),
        (f"cpu v=1 {'9' * 5000}", "time outside range"),
        (r"cpu\\ v=1 1", "missing field value"),
        (r"cpu,a=b\\ v=1 1", "invalid tag format"),
        (r"cpu,a\\=b v=1", "missing tag value"),
        (r"cpu v\\=1", "missing field value"),
        ("cpu,a==b v=1", "invalid tag format"),
        ("cpu,a=b\\\nc v=1", "a newline in the measurement or a tag"),
        ("cpu a\\\nb=1", "a newline in a field key"),
        ('cpu v="a"b', "unbalanced quotes"),
        ('cpu v="a"b="c"', "invalid field format"),
        (r"cpu v\\=1w=t", "invalid field format"),
        ('cpu v="a"b"', "unbalanced quotes"),
        ('cpu v=1"', "unbalanced quotes"),
        ("cpu v=1,v=1i", 'field "v" comes twice with different types'),
        (f"cpu,a={'b' * 65_530} v=1", "max key length exceeded: 65541 > 65535"),
        (f"cpu {'v' * 65_530}=1", "max key length exceeded"),
    ],
)
def test_a_bad_line_says_what_is_wrong(line: str, reason: str) -> None:
    with pytest.raises(LineError, match=reason):
        parse_line(line)


def test_every_way_to_write_a_value() -> None:
    line = r'm,t=a\ b f=1,g=-2.5e3,i=7i,u=9u,t=T,n=false,s="a \"b\" \\ c, d=e" 42'
    assert dict(parse_line(line).fields) == {
        "f": 1.0,
        "g": -2500.0,
        "i": 7,
        "u": 9,
        "t": True,
        "n": False,
        "s": r'a "b" \ c, d=e',
    }


def test_times_are_read_in_their_precision() -> None:
    assert parse_line("m v=1 5", precision="ms").time_ns == 5_000_000
    assert parse_line("m v=1", default_time_ns=9).time_ns == 9


def test_comments_and_blank_lines_are_passed_over_and_lines_keep_their_numbers() -> None:
    assert list(split_lines("# note\n\nm v=1\r\n  \nn v=2\n")) == [(3, "m v=1"), (5, "n v=2")]


def test_a_backslash_before_another_character_stands_for_itself() -> None:
    point = parse_line(r'a\b\=c,t\x\ y=\\z\, \"f\ g="\x\n" 1')
    assert point == Point(r"a\b\=c", {r"t\x y": r"\\z,"}, {'"f g': r"\x\n"}, 1)


@pytest.mark.parametrize("text", ["a\\", "a\\\\", "\\"])
def test_a_backslash_at_the_end_of_a_name_does_not_swallow_what_follows(text: str) -> None:
    point = parse_line(encode(Point(text, {text: text}, {"v": 1.0}, 5)))
    assert (list(point.fields), point.time_ns) == (["v"], 5)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ('m v=1" 1\nm v=2', ['m v=1" 1\nm v=2']),
        ('m,t="x v=1 1\nm,t=y" v=2', ['m,t="x v=1 1', 'm,t=y" v=2']),
        ('m s="a\\" 1\nb" 1\nm v=2', ['m s="a\\" 1\nb" 1', "m v=2"]),
        ('m s="a\\\\" 1\nm v=2', ['m s="a\\\\" 1', "m v=2"]),
        ("m,t=a\\\nb v=1", ["m,t=a\\\nb v=1"]),
        ('# say "hi v="\nm v=1', ["m v=1"]),
        ("\N{NO-BREAK SPACE}#m v=1", ["\N{NO-BREAK SPACE}#m v=1"]),
        ('m s="#\n# no comment\n" 1', ['m s="#\n# no comment\n" 1']),
        ("\0\r\t \nm v=1\0", ["m v=1"]),
    ],
)
def test_lines_end_where_influxdb_ends_them(body: str, lines: list[str]) -> None:
    assert [line for _, line in split_lines(body)] == lines


def test_a_newline_within_a_quoted_value_does_not_end_the_line() -> None:
    assert list(split_lines('m s="a\nb" 1\nn v=1')) == [(1, 'm s="a\nb" 1'), (3, "n v=1")]
