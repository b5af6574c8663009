"""Many series at once: their states are columns of one array, and one step judges one value of each of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from streamswarm_ml.detectors import kernel
from streamswarm_ml.detectors import parameters as p
from streamswarm_ml.detectors.base import VIEWS, Ending
from streamswarm_ml.detectors.kernel import Codes, Flags, Floats, Integers
from streamswarm_ml.detectors.layout import DAY_HOURS, HOURS, WIDTH, Row
from streamswarm_ml.detectors.stream import StreamDetector
from streamswarm_ml.detectors.zones import turned

_GROWTH: Final = 256
_FEW: Final = 8
"""Series in a turn below which numpy's overhead is more than what it saves."""
_TURNED_AT_ONCE: Final = 4096


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the bank says of values, in the order they were given; `Verdict` tells what each means."""

    score: Floats
    flag: Flags
    expected: Floats
    opened: Flags
    ending: Codes
    view: Codes
    baseline: Codes

    @classmethod
    def empty(cls, count: int) -> Self:
        """Room for so many."""
        codes = [np.zeros(count, dtype=np.int8) for _ in range(3)]
        flags = [np.zeros(count, dtype=bool) for _ in range(2)]
        return cls(np.zeros(count), flags[0], np.zeros(count), flags[1], *codes)


class Bank:
    """The detectors of many series; `StreamDetector` has the same formulas for one.

    Args:
        threshold: score from which an anomaly opens.
        warmup: points of a series before it is judged.
    """

    def __init__(self, threshold: float, warmup: int = p.WARMUP) -> None:
        self.threshold = threshold
        self.warmup = warmup
        self.size = 0
        self._state: Floats = np.zeros((WIDTH, 0))
        self._last: Integers = np.zeros(0, dtype=np.int64)
        self._sums: Floats = np.zeros((0, HOURS))
        self._weights: Floats = np.zeros((0, HOURS))

    def add(self, count: int) -> range:
        """Make room for more series; returns their numbers."""
        first, self.size = self.size, self.size + count
        if self.size > len(self._last):
            more = max(self.size - len(self._last), len(self._last) // 2, _GROWTH)
            self._state = np.pad(self._state, ((0, 0), (0, more)))
            self._last = np.pad(self._last, (0, more))
            self._sums = np.pad(self._sums, ((0, more), (0, 0)))
            self._weights = np.pad(self._weights, ((0, more), (0, 0)))
        return range(first, self.size)

    @property
    def open(self) -> Flags:
        """Whether each series is in an anomaly."""
        return np.asarray(self._state[Row.OPEN, : self.size] > 0)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that is to be remembered; views, not copies."""
        size = self.size
        return {
            "state": self._state[:, :size],
            "last": self._last[:size],
            "sums": self._sums[:size],
            "weights": self._weights[:size],
        }

    def keep(self, rows: Integers) -> None:
        """Forget all series but these, int64 [series]; their numbers are their places in it from now on."""
        self._state, self._last = self._state[:, rows], self._last[rows]
        self._sums, self._weights, self.size = self._sums[rows], self._weights[rows], len(rows)

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Go on where `arrays` were taken.

        Raises:
            ValueError: they are of another layout.
        """
        size = len(arrays["last"])
        shapes = {"state": (WIDTH, size), "last": (size,), "sums": (size, HOURS), "weights": (size, HOURS)}
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise ValueError(f"array {name!r} has the shape {arrays[name].shape}, not {shape}")
        self._state, self._last = arrays["state"].copy(), arrays["last"].copy()
        self._sums, self._weights, self.size = arrays["sums"].copy(), arrays["weights"].copy(), size

    def last_ns(self, rows: Integers) -> Integers:
        """When these series had their last value, nanoseconds since the epoch; 0 if they had none."""
        return self._last[rows]

    def turn_clocks(self, rows: Integers, by_ns: Integers) -> None:
        """Move what these series have learned of each hour: their clocks show so much more than before."""
        hours = by_ns / kernel.HOUR_NS
        for first in range(0, len(rows), _TURNED_AT_ONCE):
            some = slice(first, first + _TURNED_AT_ONCE)
            for part in (slice(0, DAY_HOURS), slice(DAY_HOURS, HOURS)):
                for learned in (self._sums, self._weights):
                    learned[rows[some], part] = turned(learned[rows[some], part], hours[some])

    def judge(self, rows: Integers, values: Floats, times_ns: Integers, local_ns: Integers | None = None) -> Verdicts:
        """Judge values, then learn them.

        Args:
            rows: the series of each value, int64 [values].
            values: finite, float64 [values].
            times_ns: nanoseconds since the epoch, int64 [values]; within a series they rise.
            local_ns: the same by the clocks that hours are counted by, int64 [values]; those of UTC if not given.
        """
        verdicts = Verdicts.empty(len(rows))
        local_ns = times_ns if local_ns is None else local_ns
        values = np.clip(values, -p.GREATEST_VALUE, p.GREATEST_VALUE)
        if len(rows) and len(rows) < _FEW * np.bincount(rows).max():
            self._one_by_one(rows, values, times_ns, local_ns, verdicts)
            return verdicts
        days, weeks = kernel.hours_of(local_ns)
        for turn in turns(rows):
            self._step(turn, rows[turn], values[turn], times_ns[turn], (days[turn], weeks[turn]), verdicts)
        return verdicts

    def _one_by_one(
        self, rows: Integers, values: Floats, times_ns: Integers, local_ns: Integers, told: Verdicts
    ) -> None:
        """The same, quicker where there are many values of few series."""
        for row in np.unique(rows).tolist():
            at = np.flatnonzero(rows == row)
            detector = StreamDetector(self.threshold, self.warmup)
            seasons = self._sums[row].tolist(), self._weights[row].tolist()
            detector.load(self._state[:, row].tolist(), int(self._last[row]), *seasons)
            columns = (at.tolist(), values[at].tolist(), times_ns[at].tolist(), local_ns[at].tolist())
            for place, value, time_ns, here_ns in zip(*columns, strict=True):
                verdict = detector.update(value, time_ns, here_ns)
                told.score[place], told.expected[place], told.flag[place] = (
                    verdict.score,
                    verdict.expected,
                    verdict.flag,
                )
                told.opened[place], told.ending[place] = verdict.opened, verdict.ending
                told.view[place], told.baseline[place] = verdict.view, verdict.baseline
            self._state[:, row], self._last[row], self._sums[row], self._weights[row] = detector.dump()

    def _step(
        self,
        turn: Integers,
        rows: Integers,
        values: Floats,
        times_ns: Integers,
        hours: tuple[Integers, Integers],
        told: Verdicts,
    ) -> None:
        """One value of each of `rows`, which are all different."""
        state = self._state[:, rows]
        day, week = hours
        with np.errstate(over="ignore", invalid="ignore"):
            value = kernel.rates(state, values, times_ns, self._last[rows])
            by_day = (self._sums[rows, day], self._weights[rows, day])
            by_week = (self._sums[rows, week], self._weights[rows, week])
            expected, baseline = kernel.baseline_of(state, value, by_day, by_week)
            begins, view = kernel.novelty(state, value, expected, self.warmup)
            deviated, feature, lasting = kernel.deviation(state, value, expected, self.warmup)
            learned = kernel.seasonal(state, value, expected)
            for hour, (sums, weights) in ((day, by_day), (week, by_week)):
                self._sums[rows, hour] = sums * p.SEASON_KEEP + learned
                self._weights[rows, hour] = weights * p.SEASON_KEEP + 1
            kernel.learn(state, value)
            score = kernel.score_of(begins, deviated)
            usual = kernel.in_own_unit(state, values, value, expected, times_ns, self._last[rows])
            before = kernel.from_before(state, baseline, by_day[1], by_week[1])
            opened, ending = kernel.follow(state, (score >= self.threshold) | lasting, value, expected, before)
        settled = ending == Ending.NEW_NORMAL
        if settled.any():
            kernel.settle(state, settled)
        # A new normal, or a counter's rate, has a season of its own.
        afresh = rows[kernel.switch_counters(state) | settled]
        self._sums[afresh] = 0.0
        self._weights[afresh] = 0.0
        self._state[:, rows] = state
        self._last[rows] = times_ns
        told.score[turn], told.expected[turn], told.opened[turn] = score, usual, opened
        told.flag[turn], told.ending[turn], told.baseline[turn] = state[Row.OPEN] > 0, ending, baseline
        told.view[turn] = np.where(score >= 0.5, view, feature + len(VIEWS))


def turns(rows: Integers) -> Iterator[Integers]:
    """Positions of each series' first value, then of each one's second, and so on; a series once in each turn.

    >>> [turn.tolist() for turn in turns(np.array([7, 7, 8, 7]))]
    [[0, 2], [1], [3]]
    """
    order = np.argsort(rows, kind="stable")
    sorted_rows = rows[order]
    starts = np.flatnonzero(np.diff(sorted_rows, prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    longest_first = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[longest_first], lengths[longest_first]
    for number in range(int(lengths[0]) if len(lengths) else 0):
        having = int(np.searchsorted(-lengths, -number, side="left"))
        yield order[starts[:having] + number]
