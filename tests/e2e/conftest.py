from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.settings import ControlPlaneSettings
from tests.e2e.browser import new_page
from tests.e2e.stack import PASSWORD, SERVICES, Stack, start_stack
from tests.support import find_free_port, serve_app
from tests.unit.controlplane.conftest import Client


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    started = start_stack(folder, {name: find_free_port() for name in SERVICES})
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.stop()


@pytest.fixture
def page() -> Iterator[Page]:
    """An empty page of a browser."""
    with new_page() as page:
        yield page


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A control plane of the test's own, whose admin has chosen PASSWORD."""
    settings = ControlPlaneSettings(data=tmp_path, store_url=f"http://127.0.0.1:{find_free_port()}")
    first = bootstrap(settings).admin_password
    assert first
    with serve_app(create_app(settings)) as url:
        client = Client(url)
        client.log_in("admin", first)
        client.change_password(first, PASSWORD).raise_for_status()
        client.http.close()
        yield url


@pytest.fixture
def admin(url: str) -> Iterator[Client]:
    """The admin of that control plane, at its API."""
    client = Client(url)
    client.log_in("admin", PASSWORD)
    yield client
    client.http.close()
