"""The 1.x client's data frames: written to the collector and read back as from InfluxDB."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from influxdb import DataFrameClient

from tests.compat.conftest import Server

pytestmark = [
    pytest.mark.xdist_group("compat"),
    # The client is older than what pandas deprecates.
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
]

START = "2023-11-14T22:13:20Z"


@pytest.fixture
def frames(server: Server, database: str) -> Iterator[Any]:
    with DataFrameClient(server.host, server.port, "telegraf", server.token, database) as client:
        yield client


def frame() -> pd.DataFrame:
    index = pd.date_range(START, periods=4, freq="1s", tz="UTC", unit="ns")
    columns = {"value": [0.5, 1.5, None, 3.5], "n": [1, 2, 3, 4], "ok": [True, False, True, True], "host": list("abab")}
    return pd.DataFrame(columns, index=index)


@pytest.mark.parametrize("precision", [None, "n", "u", "ms", "s"])
def test_a_data_frame_is_written_and_read_back(frames: Any, precision: str | None) -> None:
    frames.write_points(
        frame(), "cpu", tag_columns=["host"], tags={"site": "x y"}, time_precision=precision, batch_size=3
    )
    found = frames.query("SELECT * FROM cpu")["cpu"]
    expected = frame().assign(site="x y")
    pd.testing.assert_frame_equal(
        found.astype({"n": "int64", "ok": "bool"}),
        expected,
        check_like=True,
        check_freq=False,
        check_dtype=False,
        check_index_type=False,
    )


def test_a_data_frame_comes_for_each_group(frames: Any) -> None:
    frames.write_points(frame(), "cpu", tag_columns=["host"])
    found = frames.query(
        "SELECT sum(n) FROM cpu WHERE time >= 1700000000s AND time < 1700000004s GROUP BY time(2s), host"
    )
    assert {key: list(frame["sum"]) for key, frame in found.items()} == {
        ("cpu", (("host", "a"),)): [1, 3],
        ("cpu", (("host", "b"),)): [2, 4],
    }


def test_no_data_frame_comes_from_an_empty_answer(frames: Any) -> None:
    frames.write_points(frame(), "cpu", tag_columns=["host"])
    assert frames.query("SELECT n FROM nothing") == {}
    assert frames.get_list_measurements() == [{"name": "cpu"}]
