"""What holds for the HTTP of every service."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def collector(folder: Path, **more: Any) -> Starlette:
    return create_collector(CollectorSettings(data=folder, auth=False, **more))


def control_plane(folder: Path, **more: Any) -> Starlette:
    return create_control_plane(ControlPlaneSettings(data=folder, **more))


def ml_service(folder: Path, **more: Any) -> Starlette:
    nobody = f"http://127.0.0.1:{find_free_port()}"
    return create_ml_service(MlSettings(data=folder, controlplane_url=nobody, store_url=nobody, **more))


def exporter(_folder: Path, **more: Any) -> Starlette:
    return create_exporter(AgentSettings(**more), list, Engines(), dict)


every_service = pytest.mark.parametrize("make", [collector, control_plane, ml_service, exporter])


@every_service
def test_a_slash_too_many_is_no_redirect(make: Callable[[Path], Starlette], tmp_path: Path) -> None:
    """Behind a proxy that ends TLS the address would be http://."""
    with serve_app(make(tmp_path)) as url:
        assert httpx.get(f"{url}/health").status_code in {200, 503}
        for method in ("GET", "POST"):
            answer = httpx.request(method, f"{url}/health/", headers={"Host": "streamswarm.example"})
            assert (answer.status_code, answer.headers.get("location")) == (404, None)


def test_the_control_plane_says_that_the_slash_is_too_many(tmp_path: Path) -> None:
    with serve_app(control_plane(tmp_path)) as url:
        answer = httpx.get(f"{url}/api/v1/tests/").json()
    assert answer["detail"] == "nothing is at /api/v1/tests/; leave out the slash at its end"


@every_service
def test_metrics_need_a_token_where_one_is_set(make: Callable[..., Starlette], tmp_path: Path) -> None:
    with serve_app(make(tmp_path, metrics_token="hush-hush")) as url:
        for given in ({}, {"Authorization": "Bearer hush"}, {"Authorization": "Bearer"}):
            refused = httpx.get(f"{url}/metrics", headers=given)
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "STREAMSWARM_METRICS_TOKEN" in refused.text
        assert httpx.get(f"{url}/metrics", headers={"Authorization": "Bearer hush-hush"}).status_code == 200
        assert httpx.get(f"{url}/health").status_code in {200, 503}
