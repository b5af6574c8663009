"""Questions and values at the far end of what there is are answered or refused, never a failure."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import orjson
import pytest
from duckdb import DuckDBPyConnection

from streamswarm_collector.batch import Row
from streamswarm_collector.influxql.admin import Administrator
from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.influxql.errors import ParseError
from streamswarm_collector.influxql.parser import parse
from streamswarm_collector.store.embedded import EmbeddedStore
from tests.unit.collector.conftest import Write, rows_of

FIRST, LAST = -9_223_372_036_854_775_806, 9_223_372_036_854_775_806


def test_one_comparison_for_each_of_five_thousand_hosts_is_answered(store: EmbeddedStore, write: Write) -> None:
    write("m,host=h4999 v=1 1\nm,host=other v=2 1")
    hosts = " OR ".join(f"host = 'h{number}'" for number in range(5_000))
    fields = " AND ".join(f"v != {number}" for number in range(10, 2_000))
    reply = Engine(store).execute(f"SELECT v FROM m WHERE ({hosts}) AND {fields}", database="d", epoch="ns")
    assert reply.body["results"][0]["series"][0]["values"] == [(1, 1.0)]


@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT {'+'.join(['v'] * 3_000)} FROM m",
        f"SELECT {'abs(' * 3_000}v{')' * 3_000} FROM m",
        f"SELECT v FROM {'(SELECT v FROM ' * 500}m{')' * 500}",
        f"SELECT v FROM m WHERE {'+'.join(['v'] * 3_000)} > 1",
    ],
)
def test_what_is_nested_too_deeply_is_refused_as_such(store: EmbeddedStore, write: Write, statement: str) -> None:
    write("m v=1 1")
    reply = Engine(store).execute(statement, database="d")
    assert (reply.status, list(reply.body)) == (400, ["error"])
    assert "nested too deeply" in reply.body["error"]


@pytest.mark.parametrize("call", ["count(v)", "mean(v)", "mode(v)", "percentile(v, 50)"])
@pytest.mark.parametrize("clause", ["", "WHERE time < '1677-12-01T00:00:00Z'"])
def test_windows_that_64_bits_can_not_count_are_an_error_of_the_statement(
    store: EmbeddedStore, write: Write, call: str, clause: str
) -> None:
    write(f"m v=1 {FIRST}\nm v=2 {LAST}")
    reply = Engine(store).execute(f"SELECT {call} FROM m {clause} GROUP BY time(1w)", database="d")
    assert reply.status == 200
    assert "64 bits" in reply.body["results"][0]["error"]


def test_integers_that_become_too_large_wrap_as_influxdbs_do(store: EmbeddedStore, write: Write) -> None:
    write("m n=4i 1\nm n=9223372036854775807i 2")
    columns = "n * 9223372036854775807 AS a, n + 1 AS b, cumulative_sum(n) AS c, difference(n) AS d"
    reply = Engine(store).execute(f"SELECT {columns} FROM m", database="d", epoch="ns")
    (series,) = orjson.loads(orjson.dumps(reply.body))["results"][0]["series"]
    top = 2**63
    assert series["values"] == [[1, -4, 5, 4, None], [2, 1, -top, 3 - top, top - 5]]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT v FROM m LIMIT {}",
        "SELECT v FROM m LIMIT 1 OFFSET {}",
        "SELECT v FROM m WHERE v > {}",
        "SELECT v FROM m WHERE time > now() - {}h",
        "SELECT percentile(v, {}) FROM m",
        "SELECT mean(v) FROM m GROUP BY time({}w)",
        "CREATE RETENTION POLICY p ON d DURATION {}w REPLICATION 1",
        "CREATE RETENTION POLICY p ON d DURATION 1w REPLICATION {}",
    ],
)
@pytest.mark.parametrize("digits", [20, 400, 5_000])
def test_a_number_that_no_64_bits_hold_is_refused_and_the_store_goes_on(
    store: EmbeddedStore, write: Write, statement: str, digits: int
) -> None:
    # A retention policy too long for the file once kept every later point from it, until a restart.
    write("m v=1 1")
    engine = Engine(store, administrator=Administrator(store, lambda _bucket, _measurement=None: None))
    reply = engine.execute(statement.format("9" * digits), database="d", may_change=True)
    assert (reply.status, list(reply.body)) == (400, ["error"])
    assert "unable to parse integer" in reply.body["error"]
    write("m v=2 2")
    assert len(rows_of(store, "m")) == 2


def test_a_duration_of_more_than_292_years_is_refused() -> None:
    with pytest.raises(ParseError, match="invalid duration 15251w; at most 106751d"):
        parse("SELECT mean(v) FROM m GROUP BY time(15251w)")


def test_a_time_of_more_than_292_years_is_refused_whatever_was_read_before() -> None:
    parse("SELECT v FROM m WHERE time > 153000000m")
    with pytest.raises(ParseError, match="invalid duration 999000000m; at most 106751d"):
        parse("SELECT v FROM m WHERE time > 999000000m")


def test_the_mean_of_great_integers_is_the_same_in_memory_and_in_the_file(store: EmbeddedStore, write: Write) -> None:
    write(f"m n={2**62}i,o=1i 1\nm n={2**62}i,o=1i 2\nm n={2**62 + 1024}i,o=1i 3")
    statement = "SELECT mean(n) FROM m; SELECT mean(n) FROM m WHERE o = 1"
    reply = Engine(store).execute(statement, database="d", epoch="ns")
    assert [list(result["series"][0]["values"]) for result in reply.body["results"]] == [[(0, float(2**62))]] * 2


def test_no_answer_holds_an_integer_of_more_than_64_bits(store: EmbeddedStore, write: Write) -> None:
    write(f"m n={-(2**63)}i 1")
    reply = Engine(store).execute("SELECT abs(n) FROM m", database="d", epoch="ns")
    assert list(reply.body["results"][0]["series"][0]["values"]) == [(1, -(2**63))]


class GrowingStore(EmbeddedStore):
    """In which a new series comes between a statement's look at the series and its look at the file."""

    @contextmanager
    def cursor(self) -> Iterator[DuckDBPyConnection]:
        """The same, a moment later."""
        self.add(2, "d", [Row("m,h=new", 3, {"v": 9.0})])
        with super().cursor() as cursor:
            yield cursor


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT v, h FROM m WHERE v > 0 ORDER BY time DESC LIMIT 1",
        "SELECT last(v), h FROM m",
        "SELECT top(v, h, 1) FROM m WHERE v > 0",
    ],
)
def test_a_series_that_is_newer_than_the_question_is_no_failure(tmp_path: Path, statement: str) -> None:
    with closing(GrowingStore(tmp_path / "s.duckdb")) as store:
        store.add(1, "d", [Row("m,h=old", 1, {"v": 1.0})])
        reply = Engine(store).execute(statement, database="d", epoch="ns")
        assert list(reply.body["results"][0]["series"][0]["values"]) == [(1, 1.0, "old")]
