"""An ML service's doctor, with real state files and small servers for those that it talks to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamswarm_core.doctor.finding import State
from streamswarm_ml.doctor import examine
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import Saved, StateFile
from tests.doctoring import Told, about, answering, health_of, wrong
from tests.support import find_free_port

STATUS = {"series": 24, "lag_seconds": 1.5, "last_error": "", "expectations": "ok"}
GOOD = {
    **health_of("controlplane"),
    "/query": (200, {"results": [{"series": [{"columns": ["name"], "values": [["icmp"]]}]}]}),
    "/api/v2/write": (204, None),
}


@pytest.fixture
def told() -> Told:
    """What control plane and collector say, which are one here."""
    return Told(dict(GOOD))


@pytest.fixture
def settings(tmp_path: Path, told: Told) -> Iterator[MlSettings]:
    """An ML service that has run, and doesn't now."""
    StateFile(tmp_path / "ml").save(Saved({"a": 1}, {"numbers": np.arange(5.0)}))
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/ml.token").write_text("sst_ml")
    (tmp_path / "secrets/ml.token").chmod(0o600)
    with answering(told) as url:
        yield MlSettings(data=tmp_path, port=find_free_port(), controlplane_url=url, store_url=url)


def running(settings: MlSettings, **status: Any) -> dict[str, State]:
    """What is wrong beside a service that says so of itself."""
    with answering(Told({**health_of("ml"), "/status": (200, STATUS | status)})) as url:
        return wrong(examine(settings.model_copy(update={"port": int(url.rpartition(":")[2])})))


def test_a_stopped_service_lacks_nothing_but_to_be_started(settings: MlSettings) -> None:
    assert wrong(examine(settings)) == {"process": State.BROKEN}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, {}),
        ({"lag_seconds": 7200}, {"scoring": State.WARNING}),
        ({"last_error": "the store is away"}, {"scoring": State.BROKEN}),
        ({"expectations": "HTTP 401"}, {"expectations": State.WARNING}),
        ({"series_not_watched": 3}, {"series": State.WARNING}),
        ({"lag_seconds": None, "series": 0}, {}),
    ],
    ids=["well", "late", "failing", "without-thresholds", "too-many", "new"],
)
def test_what_a_running_service_says_of_its_work_is_told(
    settings: MlSettings, status: dict[str, Any], expected: dict[str, State]
) -> None:
    assert running(settings, **status) == expected


@pytest.mark.parametrize(("path", "subject"), [("/query", "store"), ("/api/v2/write", "scores")])
def test_a_token_that_is_not_taken_is_told_where(settings: MlSettings, told: Told, path: str, subject: str) -> None:
    told.answers[path] = (401, {"error": "unknown token", "message": "unknown token"})
    finding = about(subject, examine(settings))
    assert finding.state is State.BROKEN
    assert "unknown token" in finding.found
    assert "copy secrets/ml.token" in finding.remedy


def test_a_missing_token_is_told_once(settings: MlSettings) -> None:
    settings.token_path.unlink()
    assert wrong(examine(settings)) == {"process": State.BROKEN, "token": State.BROKEN}


def test_a_store_that_is_away_is_told_once(settings: MlSettings) -> None:
    away = settings.model_copy(update={"store_url": f"http://127.0.0.1:{find_free_port()}"})
    assert wrong(examine(away)) == {"process": State.BROKEN, "store": State.BROKEN}


def test_a_damaged_state_is_told_and_left_where_it_is(settings: MlSettings) -> None:
    path = settings.folder / "detectors.state"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    finding = about("state", examine(settings))
    assert finding.state is State.WARNING
    assert "damaged or not ours" in finding.found
    assert path.exists()
    assert not path.with_suffix(".refused").exists()


def test_a_key_that_others_could_read_is_told_as_what_keeps_the_service_from_starting(settings: MlSettings) -> None:
    key = settings.folder / "state.key"
    key.chmod(0o644)
    finding = about("key", examine(settings))
    assert finding.state is State.BROKEN
    assert f"chmod 600 {key}" in finding.remedy


def test_before_the_first_start_nothing_is_wrong_and_nothing_made(settings: MlSettings, tmp_path: Path) -> None:
    new = settings.model_copy(update={"data": tmp_path / "new", "token_file": settings.token_path})
    assert not wrong(examine(new))
    assert not (tmp_path / "new").exists()
