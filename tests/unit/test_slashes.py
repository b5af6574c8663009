"""No service redirects for a slash too many: behind a proxy that ends TLS the address would be http://."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import pytest
from starlette.applications import Starlette

from streamswarm_agent.exporter import create_exporter
from streamswarm_agent.probes import Engines
from streamswarm_agent.settings import AgentSettings
from streamswarm_collector.app import create_app as create_collector
from streamswarm_collector.settings import CollectorSettings
from streamswarm_controlplane.app import create_app as create_control_plane
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_ml.app import create_app as create_ml_service
from streamswarm_ml.settings import MlSettings
from tests.support import find_free_port, serve_app


def collector(folder: Path) -> Starlette:
    return create_collector(CollectorSettings(data=folder, auth=False))


def control_plane(folder: Path) -> Starlette:
    return create_control_plane(ControlPlaneSettings(data=folder))


def ml_service(folder: Path) -> Starlette:
    nobody = f"http://127.0.0.1:{find_free_port()}"
    return create_ml_service(MlSettings(data=folder, controlplane_url=nobody, store_url=nobody))


def exporter(_folder: Path) -> Starlette:
    return create_exporter(AgentSettings(), list, Engines(), dict)


SERVICES: Final = [collector, control_plane, ml_service, exporter]


@pytest.mark.parametrize("make", SERVICES)
def test_a_slash_too_many_is_no_redirect(make: Callable[[Path], Starlette], tmp_path: Path) -> None:
    with serve_app(make(tmp_path)) as url:
        assert httpx.get(f"{url}/health").status_code in {200, 503}
        for method in ("GET", "POST"):
            answer = httpx.request(method, f"{url}/health/", headers={"Host": "streamswarm.example"})
            assert (answer.status_code, answer.headers.get("location")) == (404, None)


def test_the_control_plane_says_that_the_slash_is_too_many(tmp_path: Path) -> None:
    with serve_app(control_plane(tmp_path)) as url:
        answer = httpx.get(f"{url}/api/v1/tests/").json()
    assert answer["detail"] == "nothing is at /api/v1/tests/; leave out the slash at its end"
