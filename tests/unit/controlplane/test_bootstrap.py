import stat
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.bootstrap import (
    StarterTest,
    bootstrap,
    create_starter_tests,
    mint_enrolment_token,
    reset_password,
)
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.errors import ConfigError
from streamswarm_core.secret import SecretKind, new_secret
from tests.support import serve_app
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
    settings = ControlPlaneSettings(data=tmp_path, database_url="sqlite:////nowhere/at/all.db")
    with pytest.raises(ConfigError, match="nowhere/at/all"):
        bootstrap(settings)


def handed(folder: Path) -> dict[str, str]:
    """Secrets made beforehand, as `make secrets` makes them."""
    folder.mkdir()
    made = {name: new_secret(SecretKind.STATIC) for name in ("collector", "ml", "grafana", "prometheus")}
    for name, secret in made.items():
        (folder / f"{name}.token").write_text(f"{secret}\n")
    return made


def test_secrets_that_were_made_beforehand_are_taken_over(
    settings: ControlPlaneSettings, admin: Client, tmp_path: Path
) -> None:
    folder = tmp_path / "handed"
    made = handed(folder)
    with_secrets = settings.model_copy(update={"secrets": folder})
    for _ in range(2):
        assert bootstrap(with_secrets).admin_password is None
    own = {"Authorization": f"Bearer {made['collector']}"}
    for name, scopes in (("ml", ["read", "write"]), ("grafana", ["read"]), ("prometheus", ["read"])):
        asked = httpx.post(f"{admin.url}/api/v1/tokens/introspect", json={"token": made[name]}, headers=own).json()
        assert (asked["active"], asked["scopes"]) == (True, scopes)
    names = [one["name"] for one in admin.http.get("/tokens").json()["items"]]
    assert names.count("service:grafana") == 1


def test_a_token_that_was_revoked_is_not_taken_over_again(
    settings: ControlPlaneSettings, admin: Client, tmp_path: Path
) -> None:
    folder = tmp_path / "handed"
    made = handed(folder)
    with_secrets = settings.model_copy(update={"secrets": folder})
    bootstrap(with_secrets)
    token = next(one for one in admin.http.get("/tokens").json()["items"] if one["name"] == "service:grafana")
    admin.http.delete(f"/tokens/{token['id']}").raise_for_status()
    bootstrap(with_secrets)
    own = {"Authorization": f"Bearer {made['collector']}"}
    asked = httpx.post(f"{admin.url}/api/v1/tokens/introspect", json={"token": made["grafana"]}, headers=own)
    assert asked.json()["active"] is False


@pytest.mark.parametrize("text", ["", "sst_short", f"sse_{'x' * 50}", "changeme" * 10])
def test_a_token_that_could_be_guessed_is_refused_with_its_file(
    settings: ControlPlaneSettings, tmp_path: Path, text: str
) -> None:
    (tmp_path / "grafana.token").write_text(text)
    with pytest.raises(ConfigError, match=r"grafana\.token: no token; one begins with sst_") as caught:
        bootstrap(settings.model_copy(update={"secrets": tmp_path}))
    assert "changeme" not in str(caught.value)


def test_the_first_enrolment_token_enrols_one_agent_and_never_comes_back(
    settings: ControlPlaneSettings, admin: Client
) -> None:
    secret = new_secret(SecretKind.ENROLMENT)
    with_token = settings.model_copy(update={"first_enrolment_token": SecretStr(secret)})
    for name, status in (("one", 201), ("two", 401)):
        bootstrap(with_token)
        assert admin.http.post("/agent/enrol", json={"token": secret, "name": name}).status_code == status


def test_a_given_first_password_is_not_printed_and_has_to_be_changed(settings: ControlPlaneSettings) -> None:
    given = settings.model_copy(update={"first_password": SecretStr("five calm lanterns")})
    assert bootstrap(given).admin_password is None
    with serve_app(create_app(given)) as url:
        assert Client(url).log_in("admin", "five calm lanterns").json()["must_change_password"] is True
