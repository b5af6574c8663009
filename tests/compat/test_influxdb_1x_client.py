"""The 1.x client from PyPI, `influxdb` 5.x, does the same with the collector as with InfluxDB."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from influxdb import InfluxDBClient, SeriesHelper
from influxdb.exceptions import InfluxDBClientError

from tests.compat.conftest import Server

pytestmark = pytest.mark.xdist_group("compat")

START = "2023-11-14T22:13:20Z"
START_S = 1_700_000_000


@pytest.fixture
def client(server: Server, database: str) -> Iterator[Any]:
    with InfluxDBClient(server.host, server.port, "telegraf", server.token, database) as client:
        yield client


def point(host: str, value: float, seconds: int, **fields: Any) -> dict[str, Any]:
    stamp = datetime.fromtimestamp(START_S + seconds, UTC).isoformat().replace("+00:00", "Z")
    return {"measurement": "cpu", "tags": {"host": host}, "time": stamp, "fields": {"value": value, **fields}}


def filled(client: Any) -> Any:
    client.write_points([point("ab"[number % 2], number / 2, number) for number in range(10)])
    return client


def test_ping_gives_a_version(client: Any) -> None:
    assert client.ping().startswith("1.")


@pytest.mark.parametrize("precision", ["n", "u", "ms", "s", "m", "h", None])
def test_points_are_written_in_every_precision(client: Any, precision: str | None) -> None:
    start = datetime(2023, 11, 14, 22, tzinfo=UTC)
    written = {"measurement": "cpu", "time": start, "fields": {"value": 0.5}}
    assert client.write_points([written], time_precision=precision)
    (found,) = client.query("SELECT * FROM cpu").get_points()
    assert found == {"time": "2023-11-14T22:00:00Z", "value": 0.5}


def test_every_type_of_value_comes_back_as_it_was(client: Any) -> None:
    fields = {
        "float": 1.5,
        "whole": 2.0,
        "integer": 7,
        "largest": 2**63 - 1,
        "yes": True,
        "text": 'say "hi", \\o/ = é',
        "nothing": None,
    }
    client.write_points([{"measurement": "cpu", "time": START, "fields": fields}])
    (found,) = client.query("SELECT * FROM cpu").get_points()
    del fields["nothing"]
    assert found == {"time": START, **fields}


def test_names_and_tags_are_escaped_by_the_client_and_unescaped_by_the_server(client: Any) -> None:
    tags = {"a b": "c,d=e", "path": "/x\"y'z", "é": "ü ö", "gone": ""}
    client.write_points([{"measurement": "my m,x", "tags": tags, "time": START, "fields": {"f g=h,i": 1}}])
    (found,) = client.query('SELECT * FROM "my m,x"').get_points()
    del tags["gone"]
    assert found == {"time": START, "f g=h,i": 1, **tags}


def test_lines_batches_tags_and_an_explicit_database_and_policy(client: Any, database: str) -> None:
    lines = [f"cpu,host=a value={number} {START_S + number}" for number in range(7)]
    client.write_points(lines, time_precision="s", protocol="line", batch_size=3)
    more = [{"measurement": "cpu", "time": START_S + number, "fields": {"value": number / 2}} for number in range(7, 9)]
    client.write_points(more, time_precision="s", tags={"host": "b"}, database=database, retention_policy="autogen")
    client.write(["cpu,host=c value=1 9"], params={"db": database}, protocol="line")
    client.write({"points": [point("d", 1.0, 1)]}, params={"db": database})
    counts = client.query("SELECT count(value) FROM cpu GROUP BY host")
    assert {tags["host"]: next(points)["count"] for (_, tags), points in counts.items()} == {
        "a": 7,
        "b": 2,
        "c": 1,
        "d": 1,
    }


def test_a_compressing_client_works(server: Server, database: str) -> None:
    with InfluxDBClient(server.host, server.port, "telegraf", server.token, database, gzip=True) as client:
        assert len(list(filled(client).query("SELECT value FROM cpu").get_points())) == 10


def test_a_series_helper_commits_its_points(client: Any) -> None:
    given = client

    class Load(SeriesHelper):  # type: ignore[misc] # the package has no types
        class Meta:
            series_name = "load.{host}"
            fields: ClassVar = ["one", "five"]
            tags: ClassVar = ["host"]
            bulk_size = 2
            autocommit = True
            client: ClassVar[Any] = given

    Load._client = client
    Load(host="a", one=0.5, five=0.25)
    Load(host="a", one=1.5, five=1.25)
    assert [found["one"] for found in client.query('SELECT one FROM "load.a"').get_points()] == [0.5, 1.5]


def test_a_result_set_is_walked_by_measurement_and_tags(client: Any) -> None:
    found = filled(client).query("SELECT value FROM cpu GROUP BY host")
    assert sorted(found.keys(), key=repr) == [("cpu", {"host": "a"}), ("cpu", {"host": "b"})]
    assert [row["value"] for row in found.get_points(measurement="cpu", tags={"host": "b"})] == [
        0.5,
        1.5,
        2.5,
        3.5,
        4.5,
    ]
    assert len(found) == 2
    assert found.error is None
    assert next(found.get_points(tags={"host": "a"})) == {"time": START, "value": 0}


def test_several_statements_are_several_result_sets(client: Any) -> None:
    first, second, third = filled(client).query(
        "SELECT count(value) FROM cpu; SELECT value FROM nothing; SELECT max(value) FROM cpu"
    )
    assert [next(first.get_points())["count"], list(second.get_points()), next(third.get_points())["max"]] == [
        10,
        [],
        4.5,
    ]


@pytest.mark.parametrize(
    "epoch",
    ["ns", "n", "u", "ms", "s", "m", "h"],
)
def test_times_come_in_the_unit_that_was_asked_for(client: Any, epoch: str) -> None:
    found = filled(client).query("SELECT last(value) FROM cpu", epoch=epoch)
    divisor = {"n": 1, "ns": 1, "u": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}[epoch]
    assert next(found.get_points())["time"] == (START_S + 9) * 10**9 // divisor


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_parameters_are_bound(client: Any, method: str) -> None:
    statement = "SELECT value FROM cpu WHERE host = $host AND value > $low AND time >= $start"
    bound = {"host": "a", "low": 1, "start": START}
    found = filled(client).query(statement, bind_params=bound, method=method)
    assert [row["value"] for row in found.get_points()] == [2, 3, 4]


def test_a_bound_value_can_not_leave_its_quotes(client: Any) -> None:
    found = filled(client).query("SELECT value FROM cpu WHERE host = $host", bind_params={"host": "x' OR host = 'a"})
    assert list(found.get_points()) == []


def test_an_error_in_a_statement_is_raised(client: Any) -> None:
    with pytest.raises(InfluxDBClientError, match="error parsing query") as caught:
        client.query("SELECT FROM cpu")
    assert caught.value.code == 400


def test_an_unknown_database_is_an_error_of_the_result(client: Any) -> None:
    with pytest.raises(InfluxDBClientError, match="database not found: nowhere"):
        client.query("SELECT value FROM cpu", database="nowhere")
    found = client.query("SELECT value FROM cpu", database="nowhere", raise_errors=False)
    assert "database not found" in found.error


def test_a_type_conflict_is_raised_and_the_rest_is_kept(client: Any) -> None:
    filled(client)
    with pytest.raises(InfluxDBClientError, match=r"partial write: .*field type conflict: input field") as caught:
        client.write_points([point("z", 1.0, 20), {**point("z", 0, 21), "fields": {"value": "text"}}])
    assert caught.value.code == 400
    assert len(list(client.query("SELECT value FROM cpu WHERE host = 'z'").get_points())) == 1


def test_what_there_is_is_listed(client: Any, database: str) -> None:
    filled(client)
    assert {"name": database} in client.get_list_database()
    assert client.get_list_measurements() == [{"name": "cpu"}]
    assert client.get_list_series() == ["cpu,host=a", "cpu,host=b"]
    assert client.get_list_series(measurement="cpu", tags={"host": "a"}) == ["cpu,host=a"]
    assert client.get_list_series(database=database, measurement="other") == []


def test_the_default_policy_is_listed(client: Any, database: str) -> None:
    filled(client)
    (policy,) = client.get_list_retention_policies(database)
    assert policy == {
        "name": "autogen",
        "duration": "0s",
        "shardGroupDuration": "168h0m0s",
        "replicaN": 1,
        "default": True,
    }


def test_a_database_is_created_and_dropped(client: Any, database: str) -> None:
    name = f'{database} "x"'
    client.create_database(name)
    client.create_database(name)
    assert {"name": name} in client.get_list_database()
    client.drop_database(name)
    assert {"name": name} not in client.get_list_database()


def test_a_policy_is_created_altered_and_dropped(client: Any, database: str) -> None:
    client.create_database(database)
    client.create_retention_policy("short", "2d", 1, database, default=True, shard_duration="1h")
    (found,) = [policy for policy in client.get_list_retention_policies(database) if policy["name"] == "short"]
    assert (found["duration"], found["shardGroupDuration"], found["default"]) == ("48h0m0s", "1h0m0s", True)
    client.alter_retention_policy("short", database, duration="INF")
    client.drop_retention_policy("short", database)
    assert [policy["name"] for policy in client.get_list_retention_policies(database)] == ["autogen"]


def test_a_measurement_and_series_are_dropped(client: Any, database: str) -> None:
    filled(client)
    client.delete_series(database, "cpu", {"host": "a"})
    assert client.get_list_series() == ["cpu,host=b"]
    client.drop_measurement("cpu")
    assert client.get_list_measurements() == []


def test_rows_are_deleted_by_time(client: Any) -> None:
    filled(client).query(f"DELETE FROM cpu WHERE time < {START_S + 8}s", method="POST")
    assert [row["value"] for row in client.query("SELECT value FROM cpu").get_points()] == [4, 4.5]


@pytest.mark.collector_lacks("SELECT … INTO is not there yet")
def test_a_selection_is_written_into_another_measurement(client: Any) -> None:
    filled(client).query("SELECT mean(value) AS value INTO halves FROM cpu GROUP BY host")
    assert len(list(client.query("SELECT value FROM halves").get_points())) == 2


@pytest.mark.collector_lacks("there are no users; tokens are the control plane's")
def test_users_are_created_listed_and_dropped(client: Any, database: str) -> None:
    client.create_user(database, "a password")
    assert {"user": database, "admin": False} in client.get_list_users()
    client.drop_user(database)
    assert {"user": database, "admin": False} not in client.get_list_users()


@pytest.fixture
def chunks(server: Server, database: str) -> Iterator[list[Any]]:
    # The client can't take MessagePack, for which it asks by default, apart into chunks.
    headers = {"Accept": "application/json"}
    with InfluxDBClient(server.host, server.port, "telegraf", server.token, database, headers=headers) as client:
        yield list(filled(client).query("SELECT value FROM cpu", chunked=True, chunk_size=3))


def test_an_answer_in_chunks_is_complete(chunks: list[Any]) -> None:
    assert [row["value"] for chunk in chunks for row in chunk.get_points()] == [number / 2 for number in range(10)]


def test_a_chunk_has_as_many_rows_as_were_asked_for(chunks: list[Any]) -> None:
    assert [len(list(chunk.get_points())) for chunk in chunks] == [3, 3, 3, 1]
