"""The API held against its own description, with requests that fit it and such that don't (schemathesis).

Routes are read from the description: a new one is tested by being there.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig

from streamswarm_controlplane.app import create_app, describe
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.settings import ControlPlaneSettings
from tests.support import find_free_port, serve_app
from tests.unit.controlplane.conftest import PASSWORD, Client, add_user, enrol_agent

CONFIG = {
    "generation": {"max-examples": 6, "deterministic": True, "no-shrink": True, "database": "none"},
}


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An admin at a control plane whose store is away, which has a few of each thing."""
    folder: Path = tmp_path_factory.mktemp("api")
    settings = ControlPlaneSettings(data=folder, store_url=f"http://127.0.0.1:{find_free_port()}")
    password = bootstrap(settings).admin_password
    assert password
    with serve_app(create_app(settings)) as url:
        client = Client(url)
        client.log_in("admin", password)
        client.change_password(password, PASSWORD)
        agent, _ = enrol_agent(client)
        test = {"name": "Head office", "probe": "icmp", "target": "127.0.0.1", "agent_ids": [agent]}
        client.http.post("/tests", json=test).raise_for_status()
        client.http.post("/tokens", json={"name": "grafana", "scopes": ["read"]}).raise_for_status()
        yield client
        client.http.close()


@pytest.fixture(scope="module")
def viewer(admin: Client) -> Client:
    return add_user(admin, "vera", "viewer")


@pytest.fixture(scope="module")
def agent_token(admin: Client) -> str:
    return enrol_agent(admin, "paris-1")[1]["Authorization"]


api = schemathesis.openapi.from_dict(describe(), config=SchemathesisConfig.from_dict(CONFIG))


def headers_of(client: Client, agent_token: str, case: schemathesis.Case) -> dict[str, str]:
    """What the operation wants to know the caller by."""
    wanted = case.operation.definition.raw.get("security", [])
    if any("agent" in one for one in wanted):
        return {"Authorization": agent_token}
    cookie = f"streamswarm_session={client.http.cookies['streamswarm_session']}"
    return {"Cookie": cookie, "X-CSRF-Token": client.http.headers["X-CSRF-Token"]}


@api.parametrize()
def test_every_answer_to_an_admin_is_one_that_is_described(
    case: schemathesis.Case, admin: Client, agent_token: str
) -> None:
    case.call_and_validate(admin.url, headers=headers_of(admin, agent_token, case))


@api.parametrize()
def test_every_answer_to_a_viewer_is_one_that_is_described(
    case: schemathesis.Case, viewer: Client, agent_token: str
) -> None:
    case.call_and_validate(viewer.url, headers=headers_of(viewer, agent_token, case))
