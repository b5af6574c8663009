"""Hours are counted by the clock of a series' site, wherever that is and whoever sets it."""

import logging
import random
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from benchmarks.office_hours import CHANGES, ZONE, office_hours, opened
from pydantic import ValidationError

from streamswarm_core.clock import NANOSECONDS
from streamswarm_ml.detectors import Bank, StreamDetector, Verdicts, detect_anomalies, detect_many
from streamswarm_ml.detectors.layout import DAY_HOURS, HOURS
from streamswarm_ml.detectors.zones import Zones, ahead_ns, local_ns, turned
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.watched import Batch, SeriesKey, Watched

HOUR = 3600
ODD = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Gaza", "Asia/Kathmandu"]
MONDAY = 1_767_571_200
"""5 January 2026, 00:00 UTC, seconds: no clock in Berlin is set for weeks."""


@pytest.mark.parametrize("zone", ODD)
def test_clocks_are_as_far_ahead_as_the_standard_library_says(zone: str) -> None:
    source = random.Random(zone)
    seconds = [source.randrange(4_102_444_800) for _ in range(2000)]
    # Each second around what is taken for a change of the clock, too.
    every = np.arange(0, 4_102_444_800, HOUR)
    ahead = ahead_ns(zone, every * NANOSECONDS)
    changes = every[1:][np.diff(ahead) != 0]
    seconds += [int(at) + more for at in changes for more in (-HOUR, -HOUR + 1, -HOUR // 2, -1, 0, 1)]
    found = ahead_ns(zone, np.array(seconds) * NANOSECONDS) // NANOSECONDS
    clock = ZoneInfo(zone)
    offsets = [datetime.fromtimestamp(one, clock).utcoffset() for one in seconds]
    assert found.tolist() == [None if one is None else one.total_seconds() for one in offsets]


def test_each_moment_is_told_by_its_own_zones_clock() -> None:
    times = np.array([1_792_889_999, 1_792_890_000, 1_792_890_000]) * NANOSECONDS  # 25 October 2026, 01:00 UTC
    local = local_ns(times, ["UTC", "Europe/Berlin"], np.array([1, 1, 0], dtype=np.int16))
    assert ((local - times) // NANOSECONDS).tolist() == [2 * HOUR, HOUR, 0]


def test_a_zone_that_is_not_known_here_is_said_and_counts_as_utc(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert ahead_ns("Mars/Olympus", np.array([MONDAY * NANOSECONDS])).tolist() == [0]
    assert "no time zone 'Mars/Olympus'" in caplog.text


def test_a_time_zone_setting_that_is_none_is_refused_with_the_one_that_was_meant() -> None:
    assert MlSettings().time_zone == "UTC"
    with pytest.raises(ValidationError, match=r"did you mean Europe/Berlin\?"):
        MlSettings(time_zone="Berlin")


@pytest.mark.parametrize("count", [1, 9])
def test_bank_and_stream_detector_say_the_same_over_a_change_of_the_clocks(count: int) -> None:
    change = CHANGES["summer time ends"]
    series = [office_hours(seed, change.replace(day=18), change.replace(day=29), 900) for seed in range(count)]
    seconds = series[0][1]
    times = seconds * NANOSECONDS
    local = times + ahead_ns(ZONE, times)
    bank = Bank(0.75, 50)
    rows = np.repeat(np.array(bank.add(count)), len(times))
    values = np.concatenate([one for one, _ in series])
    told = bank.judge(rows, values, np.tile(times, count), np.tile(local, count))
    in_utc = detect_many(series, warmup=50)
    for number, (one, _) in enumerate(series):
        detector = StreamDetector(0.75, 50)
        moments = zip(one.tolist(), times.tolist(), local.tolist(), strict=True)
        alone = [detector.update(value, time_ns, here_ns) for value, time_ns, here_ns in moments]
        part = slice(number * len(times), (number + 1) * len(times))
        for name in Verdicts.__slots__:
            assert np.array_equal(getattr(told, name)[part], [getattr(verdict, name) for verdict in alone]), name
        assert np.array_equal(detect_anomalies(one, seconds, warmup=50, time_zone=ZONE).score, told.score[part])
        assert not np.array_equal(in_utc[number].score, told.score[part])


def test_office_hours_open_anomalies_after_a_change_of_the_clocks_only_if_they_are_counted_in_utc() -> None:
    in_utc, local = (
        opened(zone, CHANGES["summer time ends"], series=4, seeds=70_000, step=300) for zone in ("UTC", ZONE)
    )
    # The clock that stands still sees the same as the other until that one is set.
    assert local.before == in_utc.before
    assert in_utc.after > 3 * in_utc.before
    assert local.after <= local.before


def test_what_was_learned_of_an_hour_goes_to_the_hours_that_it_is_in_by_another_clock() -> None:
    learned = np.zeros((3, 24))
    learned[:, 23] = 8.0
    moved = turned(learned, np.array([1.0, 5.5, -9.25]))
    found = [{hour: row[hour] for hour in np.flatnonzero(row).tolist()} for row in moved.tolist()]
    assert found == [{0: 8.0}, {4: 4.0, 5: 4.0}, {13: 2.0, 14: 6.0}]


def series_at(site: str, number: int = 0) -> SeriesKey:
    return "icmp", (("agent", f"a{number}"), ("site", site)), "rtt_mean"


KEYS = [series_at(site, number) for number in range(5) for site in ("berlin", "pune")]


def days(watched: Watched, first: int, last: int, keys: list[SeriesKey] = KEYS) -> Batch:
    """Points a quarter of an hour apart, with office hours in UTC and a failure on the 26th day."""
    seconds = np.arange(MONDAY + first * 86_400, MONDAY + last * 86_400, 900)
    busy = (seconds % 86_400 >= 8 * HOUR) & (seconds % 86_400 < 17 * HOUR)
    failed = (seconds >= MONDAY + 25 * 86_400) & (seconds < MONDAY + 25.2 * 86_400)
    values = 10 + 30.0 * busy + 200.0 * failed + np.sin(seconds / 777.0)
    numbers = [watched.number(key) for key in keys]
    return Batch(
        np.repeat(np.array(numbers), len(seconds)),
        np.concatenate([values * (1 + number / 10) for number in range(len(keys))]),
        np.tile(seconds * NANOSECONDS, len(keys)),
    )


BERLIN = Zones("UTC", {"berlin": "Europe/Berlin"})


def test_a_site_that_gets_another_time_zone_keeps_what_was_learned_of_its_hours() -> None:
    before, after = Watched(0.75, 100), Watched(0.75, 100)
    after.count_hours_by(BERLIN)
    for one in (before, after):
        one.judge(days(one, 0, 22))
    seasons = before.save().arrays["weights"].copy()
    before.count_hours_by(BERLIN)
    moved = before.save().arrays["weights"]
    assert np.array_equal(moved, after.save().arrays["weights"])
    assert np.array_equal(moved[1::2], seasons[1::2]), "nobody has said anything of the other site"
    assert np.array_equal(moved[::2, 1:DAY_HOURS], seasons[::2, : DAY_HOURS - 1])
    assert np.array_equal(moved[::2, DAY_HOURS + 1 : HOURS], seasons[::2, DAY_HOURS : HOURS - 1])
    told, expected = (one.judge(days(one, 22, 30)) for one in (before, after))
    assert told.opened.any()
    for name in Verdicts.__slots__:
        assert np.array_equal(getattr(told, name), getattr(expected, name)), name


def test_a_time_zone_and_back_is_as_if_nothing_had_been_said() -> None:
    watched = Watched(0.75, 100)
    watched.judge(days(watched, 0, 9))
    seasons = watched.save().arrays["sums"].copy()
    for zones in (BERLIN, Zones("Asia/Tokyo", {}), Zones()):
        watched.count_hours_by(zones)
    assert np.array_equal(watched.save().arrays["sums"], seasons)


def test_series_are_counted_by_zone_also_after_some_were_forgotten_and_others_came() -> None:
    watched = Watched(0.75, 100)
    watched.count_hours_by(Zones("Asia/Tokyo", {"berlin": "Europe/Berlin", "pune": "Asia/Kolkata"}))
    watched.judge(days(watched, 0, 1, KEYS[:3]))
    assert watched.series_by_zone == {"Europe/Berlin": 2, "Asia/Kolkata": 1}
    watched.judge(days(watched, 20, 21, [KEYS[2], series_at("lost")]))
    watched.forget(86_400 * NANOSECONDS)
    assert watched.series_by_zone == {"Europe/Berlin": 1, "Asia/Tokyo": 1}
    watched.count_hours_by(Zones())
    assert watched.series_by_zone == {"UTC": 2}


def test_clocks_are_remembered_with_what_was_learned_by_them() -> None:
    watched = Watched(0.75, 100)
    watched.count_hours_by(BERLIN)
    watched.judge(days(watched, 0, 22))
    again = Watched(0.75, 100)
    again.restore(watched.save())
    assert (again.zones, again.series_by_zone) == (BERLIN, {"Europe/Berlin": 5, "UTC": 5})
    told, expected = (one.judge(days(one, 22, 30)) for one in (again, watched))
    assert np.array_equal(told.score, expected.score)
