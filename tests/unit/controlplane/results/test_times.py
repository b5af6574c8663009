import pytest

from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.results.times import TimeRange, parse_duration, parse_moment, rfc3339
from streamswarm_controlplane.results.windows import count_windows, fitting_window, refuse_too_many
from streamswarm_core.clock import NANOSECONDS

AT = 1_750_000_000 * NANOSECONDS
DAY = 86_400 * NANOSECONDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-06-15T15:06:40Z", AT),
        ("2025-06-15T17:06:40+02:00", AT),
        ("2025-06-15T17:06:40 02:00", AT),  # a + that nobody escaped
        ("2025-06-15T10:06:40-05:00", AT),
        ("2025-06-15 15:06:40.000000001Z", AT + 1),
        ("2025-06-15T15:06Z", AT - 40 * NANOSECONDS),
        ("now", AT),
        ("-90s", AT - 90 * NANOSECONDS),
        ("now-1.5h", AT - 5400 * NANOSECONDS),
        ("-1d", AT - DAY),
    ],
)
def test_a_moment_is_read_in_any_zone_and_relative_to_now(text: str, expected: int) -> None:
    assert parse_moment(text, AT, "query.start") == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2025-06-15T15:06:40", "2025-02-30T00:00:00Z", "9999-01-01T00:00:00Z", "-1y", "1h", "1e9"]
)
def test_what_is_no_moment_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ApiError, match="RFC 3339 with a time zone") as refused:
        parse_moment(text, AT, "query.start")
    assert refused.value.problem.errors[0].field == "query.start"


def test_a_moment_survives_being_written_and_read() -> None:
    for moment in (0, 1, AT, AT + 120_000_000, AT + 999_999_999):
        assert parse_moment(rfc3339(moment), 0, "x") == moment


def test_a_duration_has_a_unit_or_is_seconds() -> None:
    given = [parse_duration(text, "query.every") // NANOSECONDS for text in ("60", "60s", "1.5m", "1h", "1d")]
    assert given == [60, 60, 90, 3600, 86_400]
    for text in ("", "0", "-5s", "500ms", "1y", "999w", "five"):
        with pytest.raises(ApiError, match="such as 30s"):
            parse_duration(text, "query.every")


@pytest.mark.parametrize("seconds", [1, 60, 3_599, 86_400, 86_400 * 400, 86_400 * 365 * 80])
@pytest.mark.parametrize("points", [1, 2, 50, 300, 5000])
def test_a_fitting_window_gives_no_more_points_than_asked_for(seconds: int, points: int) -> None:
    if points == 1:
        seconds = 1
    span = TimeRange(AT + 7, AT + 7 + seconds * NANOSECONDS - 7)
    every = fitting_window(span, points, interval=0.5)
    assert count_windows(span, every) <= points
    assert every % NANOSECONDS == 0


def test_a_fitting_window_is_no_shorter_than_two_intervals() -> None:
    assert fitting_window(TimeRange(AT - DAY // 24, AT), 5000, interval=45) == 120 * NANOSECONDS


def test_too_many_windows_are_refused_with_a_length_that_is_accepted() -> None:
    span = TimeRange(AT - 7 * DAY, AT)
    with pytest.raises(ApiError, match=r"makes 604800 windows.*take 180s or longer") as refused:
        refuse_too_many(span, NANOSECONDS)
    assert refused.value.problem.status == 422
    refuse_too_many(span, 180 * NANOSECONDS)
