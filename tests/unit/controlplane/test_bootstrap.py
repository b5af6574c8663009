import stat
from pathlib import Path

import pytest

from streamswarm_controlplane.bootstrap import (
    StarterTest,
    bootstrap,
    create_starter_tests,
    mint_enrolment_token,
    reset_password,
)
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.errors import ConfigError
from tests.unit.controlplane.conftest import PASSWORD, Client

STARTER = StarterTest(key="loop", name="Loopback", probe="icmp", target="127.0.0.1", interval=5)


def test_the_first_admins_password_is_told_once(settings: ControlPlaneSettings) -> None:
    assert bootstrap(settings).admin_password
    assert bootstrap(settings).admin_password is None


def test_service_tokens_are_their_owners_only_and_stay_the_same(settings: ControlPlaneSettings, tmp_path: Path) -> None:
    bootstrap(settings)
    path = tmp_path / "secrets" / "ml.token"
    before = path.read_text()
    bootstrap(settings)
    assert path.read_text() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lost_service_token_is_made_anew(settings: ControlPlaneSettings, tmp_path: Path) -> None:
    bootstrap(settings)
    path = tmp_path / "secrets" / "ml.token"
    before = path.read_text()
    path.unlink()
    bootstrap(settings)
    assert path.read_text() != before


def test_starter_tests_are_made_once_and_what_was_deleted_stays_deleted(
    settings: ControlPlaneSettings, admin: Client
) -> None:
    assert not create_starter_tests(settings, "one", [STARTER]), "the agent is not enrolled yet"
    token = mint_enrolment_token(settings, "one", "")
    admin.http.post("/agent/enrol", json={"token": token, "name": "one"}).raise_for_status()
    assert create_starter_tests(settings, "one", [STARTER])
    (test,) = admin.http.get("/tests").json()["items"]
    admin.http.delete(f"/tests/{test['id']}")
    assert not create_starter_tests(settings, "one", [STARTER])
    assert admin.http.get("/tests").json() == {"items": [], "next_cursor": None}


def test_a_reset_password_has_to_be_changed(settings: ControlPlaneSettings, admin: Client) -> None:
    password = reset_password(settings, "ADMIN")
    assert Client(admin.url).log_in("admin", PASSWORD).status_code == 401
    assert Client(admin.url).log_in("admin", password).json()["must_change_password"]
    with pytest.raises(ConfigError, match="no user 'nobody'"):
        reset_password(settings, "nobody")


def test_a_database_that_can_not_be_opened_is_one_clear_line(tmp_path: Path) -> None:
    settings = ControlPlaneSettings(data=tmp_path, database_url="sqlite:////nowhere/at/all.db")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="nowhere/at/all"):
        bootstrap(settings)
