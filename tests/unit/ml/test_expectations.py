"""What the ML service learns from the control plane of thresholds and maintenance."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest

from streamswarm_core.clock import to_ns
from streamswarm_core.expectations import Expectations, ExpectedTest, PlannedWindow
from streamswarm_core.thresholds import Threshold
from streamswarm_ml.expectations import ExpectationsClient
from streamswarm_ml.plans import Plans
from streamswarm_ml.windows import WINDOW_NS, Reading, Window

NIGHT = PlannedWindow(cron="0 2 * * *", zone="Europe/Berlin", duration=3600, agents=("berlin",))
RTT = Threshold(field="rtt_mean", bad=0.1)
SOME = Expectations(tests=(ExpectedTest(test="ping", probe="icmp", thresholds=(RTT,)),), maintenance=(NIGHT,))


class ControlPlane:
    """Answers as the real one does; may be away."""

    def __init__(self) -> None:
        self.answer = httpx.Response(500)
        self.statuses: list[int] = []
        self.away = False
        self.say(SOME)

    def say(self, told: Expectations) -> None:
        content = told.model_dump_json()
        self.answer = httpx.Response(200, content=content, headers={"ETag": f'"{hash(content)}"'})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("refused", request=request)
        assert request.headers["Authorization"] == "Bearer sst_own"
        same = request.headers["If-None-Match"] == self.answer.headers.get("ETag")
        answer = httpx.Response(304) if same else self.answer
        self.statuses.append(answer.status_code)
        return answer


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def client(folder: Path, controlplane: ControlPlane, clock: Clock | None = None) -> ExpectationsClient:
    http = httpx.Client(transport=httpx.MockTransport(controlplane))
    return ExpectationsClient("http://cp/", lambda: "sst_own", folder / "ml" / "e.json", http, clock or Clock())


def test_they_are_asked_for_once_a_minute_and_sent_once(tmp_path: Path) -> None:
    controlplane, clock = ControlPlane(), Clock()
    asked = client(tmp_path, controlplane, clock)
    for second in range(0, 181, 5):
        clock.seconds = float(second)
        assert asked() == SOME
    assert controlplane.statuses == [200, 304, 304, 304]
    assert asked.error == ""


def test_a_change_is_known_a_minute_later(tmp_path: Path) -> None:
    controlplane, clock = ControlPlane(), Clock()
    asked = client(tmp_path, controlplane, clock)
    assert asked().maintenance == (NIGHT,)
    controlplane.say(Expectations())
    clock.seconds = 60.0
    assert asked() == Expectations()


def test_the_last_ones_stay_in_force_while_the_control_plane_is_away_over_a_restart_too(tmp_path: Path) -> None:
    controlplane, clock = ControlPlane(), Clock()
    asked = client(tmp_path, controlplane, clock)
    asked()
    controlplane.away = True
    clock.seconds = 1000.0
    assert asked() == SOME
    assert "refused" in asked.error
    assert client(tmp_path, controlplane)() == SOME


def test_without_any_nothing_is_expected_and_it_is_asked_again_soon(tmp_path: Path) -> None:
    controlplane, clock = ControlPlane(), Clock()
    controlplane.away = True
    asked = client(tmp_path, controlplane, clock)
    assert asked() == Expectations()
    controlplane.away = False
    clock.seconds = 10.0
    assert asked() == SOME
    assert asked.error == ""


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(401), "401"),
        (httpx.Response(404), "404"),
        (httpx.Response(200, content=b"<html>"), "something else"),
        (httpx.Response(200, json={"maintenance": [{"cron": "99 * * * *", "duration": 60}]}), "something else"),
        (httpx.Response(200, json={"maintenance": [{"starts_at": "2026-01-01T00:00:00"}]}), "something else"),
    ],
)
def test_an_answer_that_is_none_changes_nothing_and_is_said(tmp_path: Path, answer: httpx.Response, told: str) -> None:
    controlplane, clock = ControlPlane(), Clock()
    asked = client(tmp_path, controlplane, clock)
    asked()
    controlplane.answer = answer
    clock.seconds = 60.0
    assert asked() == SOME
    assert told in asked.error


def test_a_kept_file_that_cannot_be_read_is_as_none(tmp_path: Path) -> None:
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "e.json").write_text("{")
    controlplane = ControlPlane()
    controlplane.away = True
    assert client(tmp_path, controlplane)() == Expectations()


# Of these three moments of a January night the second is in the window from 2 to 3 in Berlin.
MOMENTS = [datetime(2026, 1, 10, hour, 30, tzinfo=UTC) for hour in (0, 1, 2)]


def held(plans: Plans, agent: str, test: str) -> list[bool]:
    times = np.array([to_ns(moment) for moment in MOMENTS])
    held: list[bool] = plans.maintenance(int(times[0]), int(times[-1]) + 1).of(agent, test).hold(times).tolist()
    return held


def test_a_window_of_the_control_plane_holds_for_its_agents_and_one_of_the_settings_for_all() -> None:
    plans = Plans(("2026-01-10T02:15Z/2026-01-10T03:00Z",), lambda: SOME)
    assert held(plans, "berlin", "ping") == [False, True, True]
    assert held(plans, "other", "ping") == [False, False, True]


def test_windows_that_overlap_hold_as_one() -> None:
    long = PlannedWindow(starts_at=MOMENTS[0], ends_at=MOMENTS[1] + timedelta(minutes=1))
    short = PlannedWindow(starts_at=MOMENTS[0], ends_at=MOMENTS[0] + timedelta(minutes=1))
    assert held(Plans((), lambda: Expectations(maintenance=(long, short))), "", "") == [True, True, False]


def reading(measurement: str = "icmp", agent: str = "berlin", test: str = "ping") -> Reading:
    return Reading(measurement, (("agent", agent), ("test", test)), {"up": 1.0})


def windows(*readings: Reading) -> list[Window]:
    start = to_ns(MOMENTS[0]) // WINDOW_NS * WINDOW_NS
    return [Window(start + number * WINDOW_NS, readings) for number in range(24)]


def applied(plans: Plans, before: list[Window]) -> list[Window]:
    return list(plans.applied(before, before[0].start_ns, before[-1].start_ns + WINDOW_NS))


def test_models_see_nothing_of_windows_that_any_maintenance_reaches_into() -> None:
    # From a minute before 01:00 to a minute after 02:00: fourteen windows of five minutes.
    edges = PlannedWindow(cron="59 1 * * *", zone="Europe/Berlin", duration=3720, agents=("berlin",))
    plans = Plans((), lambda: Expectations(maintenance=(edges,)))
    assert len(applied(plans, windows(reading()))) == 24 - 14
    both = applied(plans, windows(reading(), reading(agent="other")))
    assert sorted(len(one.readings) for one in both) == [1] * 14 + [2] * 10


def test_readings_carry_the_thresholds_of_their_test_and_measurement() -> None:
    plans = Plans((), lambda: Expectations(tests=SOME.tests))
    (first, *_) = applied(plans, windows(reading(), reading(test="other"), reading("host_cpu")))
    assert [one.thresholds for one in first.readings] == [(RTT,), (), ()]


def test_a_threshold_that_fits_no_probe_of_this_version_is_passed_over() -> None:
    odd = (
        ExpectedTest(test="ping", probe="icmp", thresholds=(Threshold(field="tarot", bad=1.0), RTT)),
        ExpectedTest(test="foreign", probe="foreign", thresholds=(RTT,)),
    )
    assert Plans((), lambda: Expectations(tests=odd)).thresholds() == {("ping", "icmp"): (RTT,)}
