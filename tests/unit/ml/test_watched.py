"""What of the watched series goes to disk, and comes back after an upgrade."""

import random

import numpy as np
import pytest

from streamswarm_ml.detectors.layout import Row
from streamswarm_ml.state import Saved
from streamswarm_ml.watched import VERSION, Batch, Watched

SERIES = [("icmp", (("target", f"host-{number}"),), "rtt_avg") for number in range(10)]
POINTS = 600


def batch(watched: Watched, first: int, last: int) -> Batch:
    """A point a minute of each series, with an outage of ten points."""
    source = random.Random(3)
    values = [
        [source.gauss(20, 1) + 60 * (500 <= point < 510) for _ in SERIES] for point in range(POINTS)
    ]  # all of them, so that each part has the same ones
    numbers = [watched.number(key) for key in SERIES]
    count = last - first
    return Batch(
        np.tile(numbers, count),
        np.array(values[first:last]).ravel(),
        np.repeat(np.arange(first, last) * 60 * 10**9, len(SERIES)),
    )


def saved_at(point: int) -> Saved:
    watched = Watched(0.75, 100)
    watched.judge(batch(watched, 0, point))
    return watched.save()


def test_a_state_without_late_deviations_is_read_and_nothing_that_was_learned_is_lost() -> None:
    whole = Watched(0.75, 100)
    expected = whole.judge(batch(whole, 0, POINTS))
    saved = saved_at(400)
    older = {**saved.arrays, "state": np.delete(saved.arrays["state"], Row.RECENT_DEVIATION, axis=0)}
    upgraded = Watched(0.75, 100)
    upgraded.restore(Saved({**saved.header, "version": 3}, older))
    told = upgraded.judge(batch(upgraded, 400, POINTS))
    rest = slice(400 * len(SERIES), None)
    assert told.flag.any()
    for name in ("flag", "opened", "ending", "expected", "view", "baseline"):
        assert np.array_equal(getattr(told, name), getattr(expected, name)[rest]), name
    # Only the mean of late deviations began afresh; it forgets that within some tens of values.
    assert np.allclose(told.score[60 * len(SERIES) :], expected.score[rest][60 * len(SERIES) :], atol=1e-3)


def test_a_state_without_time_zones_is_read_its_hours_are_those_of_utc() -> None:
    whole = Watched(0.75, 100)
    expected = whole.judge(batch(whole, 0, POINTS))
    saved = saved_at(400)
    header = {name: value for name, value in saved.header.items() if name != "zones"}
    upgraded = Watched(0.75, 100)
    upgraded.restore(Saved({**header, "version": 4}, saved.arrays))
    assert upgraded.series_by_zone == {"UTC": len(SERIES)}
    told = upgraded.judge(batch(upgraded, 400, POINTS))
    assert np.array_equal(told.score, expected.score[400 * len(SERIES) :])
    assert upgraded.save().header["version"] == VERSION


def test_of_several_values_of_one_time_the_last_is_judged_and_none_twice() -> None:
    watched = Watched(0.75, 100)
    number = watched.number(SERIES[0])
    news = watched.news(Batch(np.full(4, number), np.array([1.0, 2.0, 3.0, 4.0]), np.array([20, 10, 20, 30])))
    assert (news.values.tolist(), news.times_ns.tolist()) == ([2.0, 3.0, 4.0], [10, 20, 30])
    watched.judge(news)
    assert len(watched.news(Batch(np.full(2, number), np.array([5.0, 6.0]), np.array([30, 31])))) == 1


def test_a_state_of_this_version_goes_on_exactly() -> None:
    whole = Watched(0.75, 100)
    expected = whole.judge(batch(whole, 0, POINTS))
    restored = Watched(0.75, 100)
    restored.restore(saved_at(400))
    told = restored.judge(batch(restored, 400, POINTS))
    assert np.array_equal(told.score, expected.score[400 * len(SERIES) :])


@pytest.mark.parametrize("version", [2, VERSION + 1, None])
def test_a_state_of_any_other_version_is_refused(version: int | None) -> None:
    saved = saved_at(150)
    with pytest.raises(ValueError, match=f"version {version}, not {VERSION}"):
        Watched(0.75, 100).restore(Saved({**saved.header, "version": version}, saved.arrays))


def test_series_that_went_silent_are_forgotten_and_the_others_are_judged_as_before() -> None:
    keys = [("icmp", (("target", f"host-{number}"),), field) for number in range(4) for field in ("up", "rtt_mean")]

    def part(watched: Watched, chosen: list[int], first: int, last: int) -> Batch:
        numbers = [watched.number(keys[at]) for at in chosen]
        values = [
            [float(at % 2 == 0) or 20 + at + random.Random(point).random() + 60 * (point >= 290) for at in chosen]
            for point in range(first, last)
        ]
        times = np.repeat(np.arange(first, last) * 3600 * 10**9, len(chosen))
        return Batch(np.tile(numbers, last - first), np.array(values).ravel(), times)

    staying, watched, alone = [0, 1, 6, 7], Watched(0.75, 100), Watched(0.75, 100)
    watched.judge(part(watched, list(range(8)), 0, 200))
    alone.judge(part(alone, staying, 0, 200))
    assert watched.forget(24 * 3600 * 10**9) == 0
    watched.judge(part(watched, staying, 200, 280))
    alone.judge(part(alone, staying, 200, 280))
    assert watched.forget(24 * 3600 * 10**9) == 4
    assert list(watched.keys) == [keys[at] for at in staying]
    told, expected = (one.judge(part(one, staying, 280, 300)) for one in (watched, alone))
    assert told.flag.any()
    assert np.array_equal(told.score, expected.score)
    assert np.array_equal(told.flag, expected.flag)
    assert watched.open() == alone.open() == [keys[1], keys[7]]
    assert watched.open(since_ns=300 * 3600 * 10**9) == []
    again = Watched(0.75, 100)
    again.restore(watched.save())
    assert again.open() == watched.open()
    assert Watched(0.75, 100).forget(1) == 0
