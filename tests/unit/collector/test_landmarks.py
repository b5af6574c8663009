from streamswarm_collector.landmarks import Landmarks


def test_a_record_is_as_old_as_the_landmark_before_it() -> None:
    marks = Landmarks([(1, 100.0)])
    marks.add(5, 200.0)
    marks.add(6, 200.5)
    marks.add(9, 300.0)
    assert [marks.time_of(lsn) for lsn in (0, 1, 4, 5, 6, 8, 9, 99)] == [None, 100, 100, 200, 200, 200, 300, 300]


def test_what_is_released_is_forgotten_and_the_rest_is_not() -> None:
    marks = Landmarks([(1, 100.0), (5, 200.0), (9, 300.0)])
    marks.release(6)
    assert [marks.time_of(lsn) for lsn in (1, 7, 9)] == [None, 200, 300]
    marks.release(99)
    assert marks.time_of(9) == 300


def test_an_outage_of_weeks_takes_bounded_memory_and_never_makes_a_record_look_younger() -> None:
    marks = Landmarks()
    for lsn in range(1, 100_001):
        marks.add(lsn, float(lsn))
    assert len(marks._numbers) <= 4096
    assert [marks.time_of(lsn) for lsn in range(99_000, 100_001)] == list(range(99_000, 100_001))  # the newest: each
    ages = [lsn - (marks.time_of(lsn) or 0) for lsn in range(1, 100_001, 97)]
    assert all(age >= 0 for age in ages)
    assert ages[-1] <= 97
