from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from streamswarm_cli.main import app
from streamswarm_core.errors import ConfigError
from streamswarm_ml.files import score_csv


def written(folder: Path, times: list[str]) -> Path:
    values = [*[10.0 + index % 5 for index in range(len(times) - 1)], 500.0]
    path = folder / "series.csv"
    pd.DataFrame({"timestamp": times, "value": values}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("shape", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S+00:00", "%s"])
def test_a_file_is_scored_whichever_way_its_times_are_written(tmp_path: Path, shape: str) -> None:
    moments = pd.date_range("2026-01-05", periods=300, freq="5min", tz="UTC")
    times = [str(int(one.timestamp())) if shape == "%s" else one.strftime(shape) for one in moments]
    result = CliRunner().invoke(app, ["ml", "score", str(written(tmp_path, times))])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "timestamp,value,score,anomaly,expected"
    assert len(lines) == 301
    assert [line.split(",")[3] for line in lines[1:]] == ["0"] * 299 + ["1"]


def test_the_hours_of_a_file_go_by_the_clock_that_is_named(tmp_path: Path) -> None:
    # From half past one on: by a clock that is half an hour off, other points share an hour.
    moments = pd.date_range("2026-01-05 01:30", periods=300, freq="7min", tz="UTC")
    path = written(tmp_path, [str(one) for one in moments])
    expected = [
        pd.read_csv(StringIO(score_csv(path, time_zone=zone).csv))["expected"] for zone in ("UTC", "Asia/Kolkata")
    ]
    assert not expected[0].equals(expected[1])
    with pytest.raises(ConfigError, match=r"no time zone 'Kolkata'.*did you mean Asia/Kolkata\?"):
        score_csv(path, time_zone="Kolkata")


def test_a_file_that_is_missing_or_lacks_a_column_is_refused_with_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv"):
        score_csv(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="a, b; it needs timestamp and value"):
        score_csv(tmp_path / "other.csv")
    (tmp_path / "times.csv").write_text("timestamp,value\nyesterday,2\n")
    with pytest.raises(ConfigError, match="ISO 8601"):
        score_csv(tmp_path / "times.csv")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("00:01:00,1\n{d} 00:02:00,2\n{d} 00:03:00,3", ""),
        ("00:03:00,1\n{d} 00:02:00,2\n{d} 00:01:00,3", "2 of 3 values have no score: 2 are not later than one before"),
        ("00:01:00,1\n{d} 00:02:00,off\n{d} 00:03:00,1e999", "2 of 3 values have no score: 2 are no finite numbers"),
        ("00:01:00,1\n{d} 00:01:00,2\n{d} 00:03:00,", "1 are no finite numbers, 1 are not later"),
        ("00:01:00,", "1 of 1 values have no score"),
    ],
)
def test_values_that_get_no_score_are_told_beside_the_table(tmp_path: Path, rows: str, told: str) -> None:
    day = "2026-01-05"
    path = tmp_path / "series.csv"
    path.write_text(f"timestamp,value\n{day} {rows.format(d=day)}\n")
    result = CliRunner().invoke(app, ["ml", "score", str(path)])
    assert result.exit_code == 0
    assert result.stdout.count("\n") == rows.count("\n") + 2
    assert told in result.stderr
    assert bool(told) == bool(result.stderr)
