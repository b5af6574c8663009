"""Labelled series from a folder: CSV files with a label column, or a folder of NAB's shape."""

import csv
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import nab

LABELS: Final = ("label", "is_anomaly", "anomaly", "is_outlier", "outlier")
"""Names of the column that says 1 where something is wrong, in any case; else the last column."""
TIMES: Final = ("timestamp", "time", "datetime", "date")
"""Names of the column of times; without one a point comes every minute."""
NO_VALUES: Final = ("changepoint",)
"""Columns that are neither."""
SUFFIXES: Final = (".csv", ".out")


@dataclass(frozen=True)
class LabelledFile:
    """One file.

    Attributes:
        name: relative to the folder.
        values: one column a signal, float64 [points, signals]; NaN where there is none.
        times: datetime64[ns] [points], or None.
        labels: bool [points].
    """

    name: str
    values: NDArray[np.float64]
    times: NDArray[np.datetime64] | None
    labels: NDArray[np.bool_]

    @property
    def collection(self) -> str:
        """The folder that it lies in."""
        return str(Path(self.name).parent)


def load_folder(folder: Path) -> list[LabelledFile]:
    """All files with a label, sorted by name.

    Raises:
        ValueError: a file can't be read as such; the message names it and what is wrong.
        FileNotFoundError: there is none.
    """
    if (folder / "labels" / "combined_windows.json").is_file():
        return [_of_nab(one) for one in nab.load(folder)]
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    if not paths:
        raise FileNotFoundError(f"{folder} has no file that ends in {' or '.join(SUFFIXES)}")
    return [read_file(path, str(path.relative_to(folder))) for path in paths]


def read_file(path: Path, name: str = "") -> LabelledFile:
    """One CSV file, with or without a header; commas, semicolons or tabs.

    Raises:
        ValueError: it has no column of labels 0 and 1, or no column of numbers.
    """
    frame = _frame(path)
    names = {str(column).strip().lower(): column for column in frame.columns}
    label = next((names[known] for known in LABELS if known in names), frame.columns[-1])
    time = next((names[known] for known in TIMES if known in names), None)
    labels = pd.to_numeric(frame[label], errors="coerce")
    if not labels.isin([0, 1]).all():
        raise ValueError(f"{path}: the column {label!r} is no label: it has other values than 0 and 1")
    rest = [
        column
        for column in frame.columns
        if column not in {label, time} and str(column).strip().lower() not in {*NO_VALUES, *LABELS}
    ]
    numbers = frame[rest].apply(pd.to_numeric, errors="coerce").dropna(axis=1, how="all")
    if numbers.empty:
        raise ValueError(f"{path}: no column of numbers beside {label!r}")
    times = _times(frame[time]) if time is not None else None
    return LabelledFile(name or path.name, numbers.to_numpy(dtype=float), times, labels.to_numpy() == 1)


def _frame(path: Path) -> pd.DataFrame:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        first = file.readline()
    separator = max(",;\t", key=first.count)
    cells: Sequence[str] = next(csv.reader([first], delimiter=separator), [])
    return pd.read_csv(path, sep=separator, header=None if all(map(_is_number, cells)) else 0)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _times(column: pd.Series) -> NDArray[np.datetime64] | None:
    """Times as text, or in seconds or milliseconds since the epoch; None if it is a plain count of points."""
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().all():
        if numbers.max() < 1e8:
            return None
        unit: Literal["s", "ms"] = "ms" if numbers.max() > 1e11 else "s"
        return pd.to_datetime(numbers, unit=unit).to_numpy().astype("datetime64[ns]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pandas tells that it reads each by itself
        found = pd.to_datetime(column, errors="coerce", utc=True).dt.tz_localize(None)
    return None if found.isna().any() else found.to_numpy().astype("datetime64[ns]")


def _of_nab(file: nab.File) -> LabelledFile:
    labels = np.zeros(len(file.numbers), dtype=bool)
    for first, last in file.windows:
        labels[first : last + 1] = True
    return LabelledFile(file.name, file.numbers[:, None], file.times, labels)
