from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamswarm_core.probespecs.demand import RunCost
from streamswarm_core.schedule import (
    ALWAYS,
    Recurrence,
    demand,
    is_over,
    is_silent,
    look_back,
    next_occasion,
    occasions,
    read_schedule,
    write_schedule,
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def starts(schedule: dict[str, object], after: str, count: int = 3) -> list[str]:
    found = islice(occasions(read_schedule(schedule), utc(after)), count)
    return [moment.strftime("%m-%d %H:%M") for moment in found]


def cron(expression: str, zone: str = "Europe/Berlin", **more: object) -> dict[str, object]:
    return {"kind": "cron", "cron": expression, "zone": zone, **more}


def test_a_cron_expression_is_read_in_its_zone() -> None:
    assert starts(cron("30 3 * * mon-fri"), "2024-07-05T02:00") == ["07-08 01:30", "07-09 01:30", "07-10 01:30"]
    assert starts(cron("30 3 * * 1-5", "UTC"), "2024-07-05T02:00", 1) == ["07-05 03:30"]
    assert starts(cron("@daily", "Asia/Kolkata"), "2024-07-05T02:00", 1) == ["07-05 18:30"]
    assert starts(cron("0 12 L * *", "UTC"), "2024-02-01T00:00", 1) == ["02-29 12:00"]


def test_what_falls_into_the_hour_that_is_left_out_comes_right_after_it() -> None:
    # Berlin, 31 March 2024: 01:59:59 is followed by 03:00:00, which is 01:00 UTC.
    assert starts(cron("30 2 * * *"), "2024-03-30T02:00", 2) == ["03-31 01:00", "04-01 00:30"]


def test_a_fixed_time_of_the_hour_that_comes_twice_comes_once() -> None:
    # Berlin, 27 October 2024: 02:00 to 03:00 comes twice, from 00:00 UTC to 02:00 UTC.
    assert starts(cron("30 2 * * *"), "2024-10-26T12:00", 2) == ["10-27 00:30", "10-28 01:30"]


def test_every_quarter_of_an_hour_stays_that_while_clocks_change() -> None:
    for night in ("2024-03-31T00:10", "2024-10-26T23:40"):
        found = list(islice(occasions(read_schedule(cron("*/15 * * * *")), utc(night)), 16))
        assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=15)}


@given(
    st.sampled_from(["30 2 * * *", "0 2,3 * * *", "*/7 * * * *", "0 0 * * 0", "15 1-4 * 3,10 *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"]),
    st.datetimes(datetime(2023, 1, 1), datetime(2026, 1, 1)),  # noqa: DTZ001 - the zone is given next
)
def test_starts_only_ever_go_forward_and_come_after_the_moment_asked(
    expression: str, zone: str, naive: datetime
) -> None:
    after = naive.replace(tzinfo=UTC)
    found = [after, *islice(occasions(read_schedule(cron(expression, zone)), after), 6)]
    assert len(found) == 7
    assert all(later > earlier for earlier, later in pairwise(found))
    # Asked again from any of them, the rest is the same: an agent that restarts goes on where it was.
    assert list(islice(occasions(read_schedule(cron(expression, zone)), found[3]), 3)) == found[4:]


def test_bounds_take_the_start_in_and_leave_the_end_out() -> None:
    bounded = cron("0 * * * *", "UTC", start="2024-07-01T10:00Z", until="2024-07-01T12:00Z")
    assert starts(bounded, "2024-06-01T00:00") == ["07-01 10:00", "07-01 11:00"]
    assert not is_over(read_schedule(bounded), utc("2024-07-01T10:59"))
    assert is_over(read_schedule(bounded), utc("2024-07-01T11:30"))


def test_a_one_off_has_one_start_and_is_over_when_it_can_not_be_made_up_for() -> None:
    once = read_schedule({"kind": "once", "at": "2024-07-01T12:00+02:00", "grace": 600})
    assert next_occasion(once, utc("2024-07-01T09:59")) == utc("2024-07-01T10:00")
    assert next_occasion(once, utc("2024-07-01T10:00")) is None
    assert not is_over(once, utc("2024-07-01T10:05"))
    assert is_over(once, utc("2024-07-01T10:11"))
    longer = read_schedule({"kind": "once", "at": "2024-07-01T12:00+02:00", "grace": 600, "duration": 3600})
    assert not is_over(longer, utc("2024-07-01T10:59"))
    assert is_over(longer, utc("2024-07-01T11:01"))


def test_each_kind_has_its_own_recurrence_unless_said() -> None:
    kinds = [None, cron("* * * * *"), {"kind": "once", "at": "2024-07-01T12:00Z"}]
    assert [read_schedule(kind).recurrence for kind in kinds] == [
        Recurrence.CONTINUE,
        Recurrence.NEW_RUN,
        Recurrence.NEW_RUN,
    ]
    assert read_schedule(cron("* * * * *", recurrence="continue")).recurrence is Recurrence.CONTINUE


@pytest.mark.parametrize(
    "stored", [{"kind": "interval"}, cron("5 4 * * *", duration=60.0), {"kind": "once", "at": "2024-07-01T12:00:00Z"}]
)
def test_what_is_written_is_read_the_same(stored: dict[str, object]) -> None:
    schedule = read_schedule(stored)
    assert read_schedule(write_schedule(schedule)) == schedule


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ({"kind": "often"}, "interval"),
        (cron("* * * *"), "takes five fields"),
        (cron("0 * * * * *"), "takes five fields"),
        (cron("61 * * * *"), "Bad minute in the cron expression"),
        (cron("0 0 30 2 *"), "Bad day-of-month"),
        (cron("0 0 * * *", "Mars/Olympus"), "no time zone 'Mars/Olympus'; takes a name such as UTC"),
        (cron("0 0 * * *", "../../etc/passwd"), "no time zone"),
        ({"kind": "once", "at": "2024-07-01T12:00"}, "timezone"),
        ({"kind": "once"}, "Field required"),
        ({"kind": "interval", "start": "2024-07-02T00:00Z", "until": "2024-07-01T00:00Z"}, "before until"),
        ({"kind": "interval", "duration": 0}, "greater than or equal to 1"),
        ({"kind": "interval", "colour": "red"}, "Extra inputs"),
    ],
)
def test_schedules_that_can_not_be_used_are_refused(stored: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        read_schedule(stored)


def test_demand_is_that_of_the_time_it_is_going() -> None:
    cost = RunCost(60, 6000)
    assert demand(ALWAYS, 30, cost) == RunCost(2, 200)
    assert demand(read_schedule(cron("*/5 * * * *")), 30, cost) == RunCost(0.2, 20)
    assert demand(read_schedule(cron("0 0,1 * * *")), 30, cost) == cost.per_second(3600)
    assert demand(read_schedule(cron("*/5 * * * *", duration=60)), 30, cost) == RunCost(2, 200)
    assert demand(read_schedule({"kind": "once", "at": "2024-07-01T12:00Z"}), 30, cost) == RunCost()


@pytest.mark.parametrize(
    ("schedule", "last", "at", "silent"),
    [
        (None, "2024-07-01T12:00:00", "2024-07-01T12:01:30", False),
        (None, "2024-07-01T12:00:00", "2024-07-01T12:01:50", True),
        ({"kind": "interval", "until": "2024-07-01T12:01Z"}, "2024-07-01T12:00:00", "2024-07-09T12:00:00", False),
        (cron("0 3 * * *", "UTC"), "2024-07-01T03:00:01", "2024-07-02T03:05:00", False),
        (cron("0 3 * * *", "UTC"), "2024-07-01T03:00:01", "2024-07-02T03:07:00", True),
        (cron("0 3 * * *", "UTC", duration=600), "2024-07-01T03:02:00", "2024-07-01T03:04:00", True),
        (cron("0 3 * * *", "UTC", duration=600), "2024-07-01T03:09:50", "2024-07-01T04:00:00", False),
        ({"kind": "once", "at": "2024-07-01T12:00Z"}, "2024-07-01T12:00:01", "2025-07-01T12:00:00", False),
    ],
)
def test_a_result_is_too_old_only_if_another_was_due(
    schedule: dict[str, object] | None, last: str, at: str, silent: bool
) -> None:
    found = is_silent(read_schedule(schedule), 30, 10, last=utc(last), at=utc(at))
    assert found == silent


@pytest.mark.parametrize(
    ("schedule", "at", "hours"),
    [
        (cron("30 3 * * *", "UTC"), "2024-05-10T02:00:00", 22.5),
        (cron("30 3 * * *", "UTC"), "2024-05-10T03:31:00", 24 + 1 / 60),
        (cron("30 3 * * 1-5", "UTC"), "2024-05-13T03:00:00", 71.5),
        (cron("0 0 1 * *", "UTC"), "2024-05-30T12:00:00", 29.5 * 24),
        ({"kind": "once", "at": "2024-05-01T00:00:00Z"}, "2024-05-10T00:00:00", 9 * 24),
        ({"kind": "once", "at": "2024-06-01T00:00:00Z"}, "2024-05-10T00:00:00", 100 / 3600),
        ({"kind": "interval"}, "2024-05-10T00:00:00", 100 / 3600),
    ],
)
def test_one_looks_back_to_a_start_that_is_done_with(schedule: dict[str, object], at: str, hours: float) -> None:
    back = look_back(read_schedule(schedule), 30, 10, utc(at))
    assert back.total_seconds() / 3600 >= hours - 1e-9
    assert back.total_seconds() / 3600 < 8 * max(hours, 1)
