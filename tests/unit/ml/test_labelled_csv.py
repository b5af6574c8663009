"""Labelled files as collections come in, and the measure over them."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks import vus
from benchmarks.labelled_csv import load_folder, read_file


def write(folder: Path, text: str, name: str = "one.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "value,label\n1.5,0\n2.5,1\n",
        "1.5,0\n2.5,1\n",
        "timestamp,value,is_anomaly\n1700000000,1.5,0\n1700000060,2.5,1\n",
        "Label,Data\n0,1.5\n1,2.5\n",
        "datetime;value;anomaly;changepoint\n2020-03-09 10:14:33;1.5;0.0;1.0\n2020-03-09 10:14:34;2.5;1.0;0.0\n",
        "timestamp\tvalue\tlabel\n2020-03-09T10:14:33Z\t1.5\t0\n2020-03-09T10:15:33Z\t2.5\t1\n",
    ],
)
def test_files_of_several_makes_are_read(tmp_path: Path, text: str) -> None:
    found = read_file(write(tmp_path, text))
    assert found.values.tolist() == [[1.5], [2.5]]
    assert found.labels.tolist() == [False, True]


def test_times_are_seconds_milliseconds_or_text_and_a_count_of_points_is_none(tmp_path: Path) -> None:
    def times(first: str, second: str) -> object:
        found = read_file(write(tmp_path, f"time,value,label\n{first},1,0\n{second},2,0\n")).times
        return None if found is None else np.diff(found).astype("timedelta64[s]").astype(int).tolist()

    assert times("1700000000", "1700000060") == [60]
    assert times("1700000000000", "1700000060000") == [60]
    assert times("2026-01-01 00:00", "2026-01-01 00:05") == [300]
    assert times("0", "1") is None


def test_all_columns_of_numbers_are_signals_and_gaps_stay_gaps(tmp_path: Path) -> None:
    found = read_file(write(tmp_path, "cpu,host,memory,label\n1,a,,0\n,a,2,0\n3,a,4,1\n"))
    assert np.array_equal(found.values, np.array([[1, np.nan], [np.nan, 2], [3, 4]]), equal_nan=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("value,label\n1,2\n", "no label"),
        ("value,label\n1,\n", "no label"),
        ("host,label\na,0\n", "no column of numbers"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"one.csv.*{told}"):
        read_file(write(tmp_path, text))


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file"):
        load_folder(tmp_path)


def test_every_detector_finds_a_plain_fault_in_one_of_two_signals_better_than_chance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = np.random.default_rng(1)
    for number in range(2):
        values, labels = source.normal(10, 1, (1500, 2)), np.zeros(1500, dtype=int)
        values[1100:1130, number] += 30
        labels[1100:1130] = 1
        rows = "".join(f"{a},{b},{c}\n" for (a, b), c in zip(values, labels, strict=True))
        write(tmp_path, "first,second,label\n" + rows, f"plain/{number}.csv")
    write(tmp_path, "value,label\n" + "1,0\n" * 10, "healthy/a.csv")
    files = load_folder(tmp_path)
    vus.compare(files, widest=20)
    told = capsys.readouterr().out
    assert "2 files of 3" in told
    (row,) = [line for line in told.splitlines() if line.startswith("| plain")]
    chance, *others = [float(cell.split()[0]) for cell in row.strip("| ").split(" | ")[2:]]
    assert chance == 0.02
    assert min(others) > 5 * chance
