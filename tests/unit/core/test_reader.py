from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.reader import Aggregate, Condition, Fill, InfluxQLReader, Select, TokenFile
from streamswarm_core.reader.select import quote_identifier, quote_string
from tests.support import find_free_port, serve_app


async def answer(request: Request) -> Response:
    async with request.form() as form:
        statement = str(form["q"])
    if statement == "overload":
        return PlainTextResponse("busy", 503)
    if statement == "syntax":
        return JSONResponse({"error": "error parsing query: found syntax"}, 400)
    if statement == "failure":
        return JSONResponse({"results": [{"statement_id": 0, "error": "database not found: x"}]})
    series = {"name": "m", "tags": {"a": ""}, "columns": ["time", "v"], "values": [[1, 2.5], [2, None]]}
    return JSONResponse({"results": [{"statement_id": 0, "series": [series]}, {"statement_id": 1}]})


@pytest.fixture(scope="module")
def reader() -> Iterator[InfluxQLReader]:
    with (
        serve_app(Starlette(routes=[Route("/query", answer, methods=["POST"])])) as url,
        InfluxQLReader(url, database="d") as reader,
    ):
        yield reader


def test_series_come_with_tags_columns_and_rows(reader: InfluxQLReader) -> None:
    (series,) = reader.execute("anything")
    assert (series.name, series.tags, series.column("v")) == ("m", {"a": ""}, [2.5, None])
    assert list(series.records()) == [{"time": 1, "v": 2.5}, {"time": 2, "v": None}]


def test_an_overloaded_store_is_worth_another_try(reader: InfluxQLReader) -> None:
    with pytest.raises(Unavailable, match="503: busy"):
        reader.execute("overload")


@pytest.mark.parametrize(("statement", "words"), [("syntax", "found syntax"), ("failure", "database not found")])
def test_a_refused_statement_says_why(reader: InfluxQLReader, statement: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        reader.execute(statement)


def test_a_token_in_a_file_is_read_at_each_use_and_is_none_while_the_file_is_not_there(tmp_path: Path) -> None:
    token = TokenFile(tmp_path / "token")
    assert token() == ""
    (tmp_path / "token").write_text("first\n")
    assert token() == "first"
    (tmp_path / "token").write_text("second\n")
    assert token() == "second"


def test_a_store_that_is_not_there_is_unavailable() -> None:
    with InfluxQLReader(f"http://127.0.0.1:{find_free_port()}", database="d") as reader, pytest.raises(Unavailable):
        reader.measurements()


def test_a_select_renders_every_clause() -> None:
    statement = Select(
        "icmp",
        [Aggregate("mean", "rtt_mean", "rtt"), Aggregate("count", "up")],
        start_ns=1,
        stop_ns=2,
        where=[Condition("agent", "a'b"), Condition("site", "", "!=")],
        every_ns=10,
        group_by=("test",),
        fill=Fill.ZERO,
        descending=True,
        limit=5,
    )
    assert statement.render() == (
        'SELECT mean("rtt_mean") AS "rtt", count("up") AS "up" FROM "icmp" '
        "WHERE \"agent\" = 'a\\'b' AND \"site\" != '' AND time >= 1ns AND time < 2ns "
        'GROUP BY time(10ns), "test" fill(0) ORDER BY time DESC LIMIT 5'
    )


@given(st.text())
def test_quoting_leaves_no_way_out_of_the_quotes(text: str) -> None:
    for quoted, mark in ((quote_identifier(text), '"'), (quote_string(text), "'")):
        inner = quoted[1:-1]
        index = 0
        while index < len(inner):
            assert inner[index] != mark
            index += 2 if inner[index] == "\\" else 1
        assert index == len(inner)
