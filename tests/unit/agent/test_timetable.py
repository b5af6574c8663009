import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamswarm_agent.timetable import Timetable, next_start, phase

DAY = 86_400.0
TICK = 0.005


@given(st.text(min_size=1), st.floats(0.5, 86_400), st.floats(0, 1e9))
def test_the_next_start_is_after_now_within_one_interval_and_on_the_phase(
    assignment_id: str, interval: float, now: float
) -> None:
    start = next_start(assignment_id, interval, now)
    slack = 1e-6 * max(1.0, now)
    assert now - slack < start <= now + interval + slack
    distance = (start - phase(assignment_id, interval)) % interval
    assert min(distance, interval - distance) < slack


def simulate(
    intervals: dict[str, float], seconds: float, *, begin: float, within: float = 2.0
) -> tuple[dict[str, list[float]], Counter[int]]:
    """Take what is due, tick by tick; returns each one's starts, and how many fall into each second."""
    timetable: Timetable[str] = Timetable()
    for key, interval in intervals.items():
        timetable.add(key, key, interval, begin, within=within)
    starts: dict[str, list[float]] = {key: [] for key in intervals}
    seconds_of: Counter[int] = Counter()
    now = begin
    while (next_at := timetable.next_at) is not None and next_at < begin + seconds:
        now = max(next_at, now + TICK)
        for due in timetable.take_due(now):
            assert not due.missed
            starts[due.item].append(due.at)
            seconds_of[int(due.at - begin)] += 1
    return starts, seconds_of


def test_over_a_day_ten_thousand_assignments_make_no_burst_do_not_drift_and_lose_no_run() -> None:
    source = random.Random(1)
    # Most hosts have assignments of the same few intervals, multiples of each other: the worst for beats.
    choices = [600.0, 900.0, 1800.0, 3600.0, 7200.0, 77.7 * 60]
    intervals = {f"assignment-{number}": source.choice(choices) for number in range(10_000)}
    begin = source.uniform(0, 1e7)
    starts, each_second = simulate(intervals, DAY, begin=begin, within=100)
    for key, interval in intervals.items():
        mine = starts[key]
        # The first start is an extra one, soon after the assignment is known.
        regular = mine[1:]
        assert len(regular) in {int(DAY / interval) - 1, int(DAY / interval), int(DAY / interval) + 1}
        base = next_start(key, interval, mine[0])
        assert max(abs(at - (base + number * interval)) for number, at in enumerate(regular)) < 1e-5
    expected = sum(1 / interval for interval in intervals.values())
    steady = [each_second[second] for second in range(3600, int(DAY))]
    # Random phases make the seconds' counts Poisson; six deviations above the mean are a burst, not chance.
    assert max(steady) < expected + 6 * expected**0.5 + 3
    assert sum(steady) == pytest.approx(expected * len(steady), rel=0.01)
    # The first runs of all of them come within the time they are spread over, and evenly.
    assert max(each_second[second] for second in range(100)) < 2.5 * (len(intervals) / 100 + expected)


def test_ten_thousand_assignments_of_one_interval_are_spread_over_it() -> None:
    starts, each_second = simulate({f"assignment-{number}": 60.0 for number in range(10_000)}, 180, begin=12.3)
    steady = [each_second[second] for second in range(60, 180)]
    assert max(steady) < 250
    assert min(steady) > 100
    assert {len(times) for times in starts.values()} <= {3, 4}


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.floats(0.1, 100), st.floats(0, 1e8), st.lists(st.floats(0, 500), max_size=40))
def test_every_start_is_either_taken_or_counted_as_missed(
    number: int, interval: float, begin: float, pauses: list[float]
) -> None:
    timetable: Timetable[str] = Timetable()
    key = f"a{number}"
    timetable.add(key, key, interval, begin, within=interval)
    now, accounted = begin, 0
    for pause in pauses:
        now += pause
        for due in timetable.take_due(now):
            assert begin < due.at <= now
            accounted += 1 + due.missed
    due_by_now = (now - next_start(key, interval, begin)) / interval
    assert accounted - 1 <= due_by_now + 1e-3
    assert due_by_now - 1e-3 < accounted
    assert timetable.next_at is not None
    assert timetable.next_at > now


def test_a_removed_assignment_never_comes_up_and_may_be_added_again() -> None:
    timetable: Timetable[str] = Timetable()
    timetable.add("a", "old", 1.0, 0.0, within=1.0)
    timetable.remove("a")
    assert len(timetable) == 0
    timetable.add("a", "new", 1.0, 0.0, within=1.0)
    assert [due.item for due in timetable.take_due(1.0)] == ["new"]
