"""Exchanges whose truth is known: the other clock is ahead by a given time, and each way takes a given time."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from streamswarm_agent.clockoffset import ClockOffset, Exchange

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def exchange(
    ahead: float, there: float, waits: float, back: float, *, at: float = 0.0, set_by: float = 0.0
) -> Exchange:
    """An exchange at `at` seconds; `set_by` is what somebody has added to this host's clock before it."""
    sent = START + timedelta(seconds=at + set_by)
    received = sent + timedelta(seconds=ahead - set_by + there)
    return Exchange(sent, at, received, received + timedelta(seconds=waits), at + there + waits + back)


@pytest.mark.parametrize("ahead", [0.0, 3.25, -86_400.5])
def test_with_equal_ways_the_offset_is_exact_whatever_the_server_takes(ahead: float) -> None:
    measured = exchange(ahead, 0.02, 1.5, 0.02)
    assert measured.offset == pytest.approx(ahead, abs=2e-6)
    assert measured.error == pytest.approx(0.02, abs=2e-6)


def test_the_truth_is_never_further_away_than_the_error() -> None:
    seeded = random.Random(7)
    for _ in range(500):
        ahead, there, back = seeded.uniform(-100, 100), seeded.expovariate(20), seeded.expovariate(20)
        measured = exchange(ahead, there, seeded.expovariate(10), back)
        assert abs(measured.offset - ahead) <= measured.error + 3e-6


def test_the_exchange_that_was_fastest_counts_until_it_is_old() -> None:
    clock = ClockOffset()
    assert clock.read(0) is None
    clock.add(exchange(1.0, 0.001, 0, 0.001))
    for number in range(1, 5):
        clock.add(exchange(1.0, 0.3, 0, 0.01, at=10 * number))
    reading = clock.read(50)
    assert reading
    assert reading.offset == pytest.approx(1.0, abs=1e-5)
    assert 0.001 < reading.error < 0.01, "the error grows with age"
    for number in range(5, 13):
        clock.add(exchange(1.0, 0.3, 0, 0.01, at=10 * number))
    reading = clock.read(130)
    assert reading
    assert reading.offset == pytest.approx(1.0 + 0.145, abs=1e-5), "only the last eight are known"
    assert reading.error >= 0.145


def test_what_was_measured_before_the_clock_was_set_is_forgotten() -> None:
    clock = ClockOffset()
    clock.add(exchange(5.0, 0.001, 0, 0.001))
    clock.add(exchange(5.0, 0.2, 0, 0.2, at=10, set_by=5.0))
    reading = clock.read(10.4)
    assert reading
    assert reading.offset == pytest.approx(0.0, abs=1e-5)
    assert reading.error == pytest.approx(0.2, abs=1e-4)


def test_a_clock_that_is_slewed_is_not_taken_for_one_that_was_set() -> None:
    clock = ClockOffset()
    clock.add(exchange(1.0, 0.001, 0, 0.001))
    clock.add(exchange(1.0, 0.2, 0, 0.2, at=10, set_by=0.004))
    reading = clock.read(10.4)
    assert reading
    assert reading.error < 0.01
