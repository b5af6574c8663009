"""Thresholds and maintenance windows from a real control plane to what the ML service writes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamswarm_controlplane.app import create_app as create_controlplane
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import from_ns
from streamswarm_core.reader import TokenFile
from streamswarm_ml.expectations import ExpectationsClient
from streamswarm_ml.pipeline import Pipeline
from streamswarm_ml.plans import Plans
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import StateFile
from streamswarm_ml.windows import WINDOW_NS
from tests.integration.mlbench import START, ModelBench
from tests.support import serve_app

PASSWORD = "nine quiet harbour lamps"


class Admin:
    """The first admin, at a control plane's API."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=30)
        self._log_in(password)
        self.post("/auth/password", {"old_password": password, "new_password": PASSWORD})
        self._log_in(PASSWORD)

    def _log_in(self, password: str) -> None:
        answer = self._http.post("/auth/login", json={"username": "admin", "password": password}).raise_for_status()
        self._http.headers["X-CSRF-Token"] = answer.json()["csrf_token"]

    def post(self, path: str, body: dict[str, Any]) -> None:
        answer = self._http.post(path, json=body)
        assert answer.is_success, answer.text

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ModelBench]:
    with ModelBench.served(tmp_path) as made:
        yield made


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Admin]:
    settings = ControlPlaneSettings(data=tmp_path)
    password = bootstrap(settings).admin_password
    assert password
    with serve_app(create_controlplane(settings)) as url:
        made = Admin(url, password)
        yield made
        made.close()


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as client:
        yield client


def plans(folder: Path, url: str, http: httpx.Client, time_zone: str = "UTC") -> Plans:
    token = TokenFile(folder / "secrets" / "ml.token")
    return Plans((), ExpectationsClient(url, token, folder / "ml" / "expectations.json", http), time_zone)


def windows_of(bench: ModelBench, measurement: str, target: str) -> set[int]:
    """Numbers of the windows, from START, in which something was said of a target."""
    answer = bench.reader.execute(f"SELECT * FROM {measurement} WHERE target = '{target}'")
    return {int(row[0] or 0) // WINDOW_NS - START for series in answer for row in series.rows}


def maintain(admin: Admin, first: int, last: int) -> None:
    begin, end = (from_ns((START + number) * WINDOW_NS).isoformat() for number in (first, last))
    admin.post("/maintenance", {"name": "Upgrade", "starts_at": begin, "ends_at": end, "everything": True})


def test_what_is_maintained_is_neither_judged_by_models_nor_by_detectors(
    bench: ModelBench, admin: Admin, http: httpx.Client
) -> None:
    maintain(admin, 6, 9)
    operations = bench.operations(plans=plans(bench.folder, admin.url, http))
    bench.measure(0, 12)
    operations.cycle()
    others = set(range(12)) - {6, 7, 8}
    assert windows_of(bench, "health", "gw") == others
    assert windows_of(bench, "qos_risk", "gw") == others
    settings = MlSettings(data=bench.folder, store_url=bench.url, lateness_seconds=0)
    state = StateFile(settings.folder)
    Pipeline(
        settings, bench.reader, bench.writer, state, lambda: bench.now, plans(bench.folder, admin.url, http)
    ).cycle()
    assert windows_of(bench, "anomaly", "gw") == others


def test_hours_are_counted_by_the_sites_time_zone_and_go_on_so_while_nobody_tells_it(
    bench: ModelBench, admin: Admin, http: httpx.Client
) -> None:
    settings = MlSettings(data=bench.folder, store_url=bench.url, lateness_seconds=0, time_zone="Asia/Kolkata")

    def pipeline(told: Plans) -> Pipeline:
        return Pipeline(
            settings, bench.reader, bench.writer, StateFile(settings.folder), lambda: bench.now, told
        )  # anew each time, as after a restart

    bench.measure(0, 3)
    bench.writer.write(f"icmp,agent=b,site=lost,target=gw,test=t rtt_mean=0.01 {START * WINDOW_NS + 1}\n".encode())
    first = pipeline(plans(bench.folder, admin.url, http, settings.time_zone))
    first.cycle()
    assert set(first.series_by_zone) == {"Asia/Kolkata"}
    admin.post("/sites", {"name": "berlin", "time_zone": "Europe/Berlin"})
    bench.measure(3, 3)
    second = pipeline(plans(bench.folder, admin.url, http, settings.time_zone))
    second.cycle()
    by_zone = second.series_by_zone
    assert (set(by_zone), by_zone["Asia/Kolkata"]) == ({"Asia/Kolkata", "Europe/Berlin"}, 1)
    # Neither a control plane nor what it said last: the state has it.
    (bench.folder / "ml" / "expectations.json").unlink()
    away = pipeline(plans(bench.folder, "http://127.0.0.1:1", http, settings.time_zone))
    bench.measure(6, 3)
    away.cycle()
    assert away.series_by_zone == by_zone
    away.reset()
    assert away.series_by_zone == by_zone


def test_a_tests_own_thresholds_say_what_is_bad_and_go_on_to_while_the_control_plane_is_away(
    bench: ModelBench, admin: Admin, http: httpx.Client
) -> None:
    body = {"key": "t", "name": "Gateway", "probe": "icmp", "target": "gw"}
    admin.post("/tests", body | {"thresholds": [{"field": "rtt_mean", "warn": 0.001, "bad": 0.005}]})
    operations = bench.operations(plans=plans(bench.folder, admin.url, http))
    bench.measure(0, 3)
    operations.cycle()
    again = bench.operations("again", plans=plans(bench.folder, "http://127.0.0.1:1", http))
    bench.measure(3, 3)
    again.cycle()
    rules = [series.column("rule") for series in bench.reader.execute("SELECT rule FROM health WHERE target = 'gw'")]
    assert rules == [["bad"] * 6]
