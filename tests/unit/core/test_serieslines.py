import math

import pytest

from streamswarm_core.catalogue.model import COUNT, NUMBER, TEXT, Field, Kind, Measurement
from streamswarm_core.errors import CatalogueError
from streamswarm_core.lineprotocol import encode
from streamswarm_core.serieslines import Fields, SeriesLines

ODD = Measurement(
    "odd name,",
    ("a=b", "t"),
    (
        Field("share %", NUMBER, "A float whose name has to be written with care."),
        Field("ratio", NUMBER, "A float."),
        Field("n", COUNT, "An integer.", kind=Kind.INTEGER),
        Field("note", TEXT, "A string.", kind=Kind.STRING),
    ),
    "For tests.",
)
TAGS = {"t": "one, two=three\\", "a=b": "%s 100%"}

CASES: list[Fields] = [
    {"ratio": 0.1, "n": 3},
    {"share %": 1e-300, "ratio": -1.5e300},
    {"ratio": None, "n": 0},
    {"share %": None, "ratio": None, "n": -7},
    {"n": 1, "ratio": None},
    {"ratio": math.nan, "n": 1},
    {"ratio": math.inf, "share %": -math.inf, "n": 1},
    {"ratio": 1e308, "share %": 1e308},
    {"ratio": 2, "n": True},
    {"note": 'say "hi" %d', "n": 2},
    {"note": None, "n": 2**63 - 1},
    {"n": -(2**63)},
]


@pytest.mark.parametrize("fields", CASES)
def test_a_line_is_what_the_point_would_be_encoded_as(fields: Fields) -> None:
    series = SeriesLines(ODD, TAGS)
    expected = encode(ODD.point(TAGS, time_ns=7, **fields))
    # The second time the pattern is known.
    assert [series.line(fields, 7), series.line(fields, 7)] == [expected, expected]
    assert encode(series.point(fields, 7)) == expected


def test_values_of_other_types_do_not_take_the_pattern_of_the_ones_before() -> None:
    series = SeriesLines(ODD, {})
    written = [series.line({"ratio": value, "n": 1}, 7).split(" ")[-2] for value in (0.5, 2, None, math.nan, 0.25)]
    assert written == ["ratio=0.5,n=1i", "ratio=2.0,n=1i", "n=1i", "n=1i", "ratio=0.25,n=1i"]


@pytest.mark.parametrize("fields", [{"ratoi": 1.0}, {"ratio": True}, {"ratio": "x"}, {"n": 1.5}, {"n": None}, {}])
def test_what_the_catalogue_refuses_is_refused(fields: Fields) -> None:
    series = SeriesLines(ODD, TAGS)
    for _ in range(2):
        with pytest.raises(CatalogueError):
            series.line(fields, 7)


def test_an_integer_beyond_64_bits_is_refused_also_when_its_pattern_is_known() -> None:
    series = SeriesLines(ODD, TAGS)
    series.line({"n": 1}, 7)
    with pytest.raises(ValueError, match="does not fit into 64 bits"):
        series.line({"n": 2**63}, 7)


def test_an_unknown_tag_is_refused_at_once() -> None:
    with pytest.raises(CatalogueError, match="has no tag 'x'"):
        SeriesLines(ODD, {"x": "1"})


@pytest.mark.parametrize("fields", [{"share %": 0.25, "ratio": 1e-300, "n": 3, "note": 'say "hi" %d'}, {"n": -(2**63)}])
def test_a_form_that_is_filled_in_is_the_line(fields: Fields) -> None:
    series = SeriesLines(ODD, TAGS)
    varying = {name: "%r" for name, value in fields.items() if not isinstance(value, str)}
    filled = series.form(fields, varying) % (*(fields[name] for name in fields if name in varying), 7)
    assert filled == series.line(fields, 7)


def test_a_form_of_what_the_catalogue_does_not_have_is_refused() -> None:
    with pytest.raises(CatalogueError):
        SeriesLines(ODD, TAGS).form({"ratoi": 1.0}, {"ratoi": "%r"})
