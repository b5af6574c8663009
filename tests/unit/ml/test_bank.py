"""The bank and the scalar detector are one detector."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift

from streamswarm_ml.detectors import Bank, StreamDetector, Verdicts, detect_anomalies, detect_many
from streamswarm_ml.detectors import bank as bank_module
from streamswarm_ml.detectors import parameters as p
from streamswarm_ml.detectors.bank import turns
from streamswarm_ml.detectors.drift import PageHinkley

SECOND = 10**9
NAMES = Verdicts.__slots__


def shapes(count: int, seed: int) -> list[np.ndarray]:
    """Series of every sort: noise, shifts, spikes, counters with resets, constants, random walks, an early fall."""
    source = np.random.default_rng(seed)
    noise = source.normal(20, 1, count)
    shifted = noise.copy()
    shifted[count // 2 :] += 40
    spiky = noise + (source.random(count) < 0.02) * source.pareto(1.5, count) * 20
    counter = np.cumsum(source.poisson(100, count)).astype(float)
    counter[count // 2 :] -= counter[count // 2]
    walk = np.cumsum(source.normal(0, 1, count))
    fallen = noise * np.where(np.arange(count) < 60, 2.0, 1.0)
    return [noise, shifted, spiky, counter, np.full(count, 7.0), walk, np.round(noise), np.abs(walk) * 1e12, fallen]


def bank_verdicts(series: list[np.ndarray], times: np.ndarray, batch: int) -> list[Verdicts]:
    bank = Bank(0.75, 50)
    bank.add(len(series))
    told = []
    for first in range(0, len(times), batch):
        part = slice(first, first + batch)
        length = len(times[part])
        rows = np.repeat(np.arange(len(series)), length)
        told.append(bank.judge(rows, np.concatenate([one[part] for one in series]), np.tile(times[part], len(series))))
    return told


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("step", [10, 300, 7200])
def test_bank_and_stream_detector_say_the_same_of_every_sort_of_series(seed: int, step: int) -> None:
    count = 700
    times = (1_700_000_000 + np.arange(count) * step) * SECOND
    series = shapes(count, seed)
    # Nine series in a turn: enough for the bank's own formulas.
    told = bank_verdicts(series, times, count)[0]
    for number, values in enumerate(series):
        detector = StreamDetector(0.75, 50)
        alone = [detector.update(float(v), int(t)) for v, t in zip(values, times, strict=True)]
        part = slice(number * count, (number + 1) * count)
        for name in NAMES:
            assert np.array_equal(getattr(told, name)[part], [getattr(one, name) for one in alone]), (number, name)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=150),
    st.integers(1, 10**13),
    st.integers(0, 2**40),
)
def test_whatever_comes_both_say_the_same_and_stay_between_zero_and_one(
    values: list[float], step_ns: int, start: int
) -> None:
    times = start + np.arange(len(values), dtype=np.int64) * step_ns
    array = np.array(values)
    told = bank_verdicts([array] * 9, times, len(values))[0]
    detector = StreamDetector(0.75, 50)
    alone = [detector.update(v, int(t)) for v, t in zip(values, times, strict=True)]
    for name in NAMES:
        assert np.array_equal(getattr(told, name)[: len(values)], [getattr(one, name) for one in alone]), name
    assert all(0 <= one.score <= 1 and math.isfinite(one.expected) for one in alone)


@pytest.mark.parametrize("batch", [1, 7, 64, 700])
def test_how_values_are_batched_changes_nothing(batch: int) -> None:
    times = (1_700_000_000 + np.arange(700) * 60) * SECOND
    series = shapes(700, 5)
    whole, parts = bank_verdicts(series, times, 700)[0], bank_verdicts(series, times, batch)
    for name in NAMES:
        pieces = [getattr(part, name).reshape(len(series), -1) for part in parts]
        assert np.array_equal(np.concatenate(pieces, axis=1).ravel(), getattr(whole, name)), name


@pytest.mark.parametrize("at", [1, 63, 64, 300, 352])
def test_a_restored_bank_goes_on_exactly_where_the_saved_one_stopped(at: int) -> None:
    times = (1_700_000_000 + np.arange(700) * 60) * SECOND
    series = shapes(700, 6)
    rows = np.tile(np.arange(len(series)), 700)
    values, moments = np.stack(series, axis=1).ravel(), np.repeat(times, len(series))
    whole = Bank(0.75, 50)
    whole.add(len(series))
    expected = whole.judge(rows, values, moments)
    cut = at * len(series)
    first, second = Bank(0.75, 50), Bank(0.75, 50)
    first.add(len(series))
    first.judge(rows[:cut], values[:cut], moments[:cut])
    second.restore({name: array.copy() for name, array in first.arrays().items()})
    rest = second.judge(rows[cut:], values[cut:], moments[cut:])
    for name in NAMES:
        assert np.array_equal(getattr(rest, name), getattr(expected, name)[cut:]), name


def test_a_state_of_another_layout_is_refused() -> None:
    bank = Bank(0.75)
    bank.add(3)
    arrays = bank.arrays()
    with pytest.raises(ValueError, match="has the shape"):
        Bank(0.75).restore({**arrays, "state": arrays["state"][:-1]})


def test_few_series_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    values, times = shapes(400, 7)[2], (1_700_000_000 + np.arange(400) * 60.0)
    quick = detect_many([(values, times)])[0]
    monkeypatch.setattr(bank_module, "_FEW", 0)
    slow = detect_many([(values, times)])[0]
    alone = detect_anomalies(values, times)
    for name in ("score", "flag", "opened", "expected"):
        assert np.array_equal(getattr(quick, name), getattr(slow, name), equal_nan=True)
        assert np.array_equal(getattr(quick, name), getattr(alone, name), equal_nan=True)


def test_turns_have_each_series_once_and_keep_its_order() -> None:
    rows = np.random.default_rng(3).integers(0, 20, 500)
    seen: dict[int, int] = {}
    for turn in turns(rows):
        assert len(set(rows[turn].tolist())) == len(turn)
        for at in turn.tolist():
            assert seen.get(int(rows[at]), -1) < at
            seen[int(rows[at])] = at
    assert sum(len(turn) for turn in turns(rows)) == 500


def test_a_series_takes_less_than_50_kilobytes() -> None:
    bank = Bank(0.75)
    bank.add(1000)
    assert sum(array.nbytes for array in bank.arrays().values()) / 1000 < 50_000


@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_page_hinkley_finds_changes_where_rivers_does(shift: float) -> None:
    source = np.random.default_rng(8)
    values = np.concatenate([source.normal(0, 1, 200), source.normal(shift, 1, 100)])
    ours = PageHinkley()
    theirs = drift.PageHinkley(min_instances=1, delta=p.DRIFT_ALLOWANCE, threshold=p.DRIFT_LIMIT, alpha=1.0)
    found, expected = [], []
    for number, value in enumerate(values.tolist()):
        theirs.update(value)
        if theirs.drift_detected:
            expected.append(number)
        if ours.changed(value):
            found.append(number)
    assert found[:1] == expected[:1]
    assert bool(found) == (shift != 0)


def test_the_numbers_of_page_hinkley_are_all_it_is() -> None:
    first, second = PageHinkley(), PageHinkley()
    for value in (0.0, 1.0, 5.0, -2.0):
        first.changed(value)
    second.restore(json.loads(json.dumps(first.numbers)))
    assert [first.changed(7.0) for _ in range(9)] == [second.changed(7.0) for _ in range(9)]
