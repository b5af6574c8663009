import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.settings import ControlPlaneSettings
from tests.e2e.browser import log_in, new_page, running_browser
from tests.e2e.stack import PASSWORD, Administrator, Stack, running_stack
from tests.support import find_free_port, serve_app
from tests.unit.controlplane.conftest import Client


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A system that several modules share: what a test says of it has to be of what the test itself has added."""
    with running_stack(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture(scope="package")
def administrator(stack: Stack) -> Iterator[Administrator]:
    """The admin of that system, who has chosen PASSWORD."""
    administrator = Administrator(stack, stack.first_password())
    yield administrator
    administrator.http.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for all tests of a process: to start it takes longer than most of what they do with it."""
    with running_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page."""
    with new_page(browser) as page:
        yield page


@pytest.fixture
def logged_in(page: Page, url: str) -> None:
    """The page is the overview of that control plane's admin."""
    log_in(page, url)
    page.wait_for_url(f"{url}/")


def _settings(folder: Path) -> ControlPlaneSettings:
    return ControlPlaneSettings(data=folder, store_url=f"http://127.0.0.1:{find_free_port()}")


@pytest.fixture(scope="package")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a control plane whose admin has chosen PASSWORD, to be copied."""
    folder = tmp_path_factory.mktemp("installed")
    settings = _settings(folder)
    first = bootstrap(settings).admin_password
    assert first
    with serve_app(create_app(settings)) as url:
        client = Client(url)
        client.log_in("admin", first)
        client.change_password(first, PASSWORD).raise_for_status()
        client.http.close()
    return folder


@pytest.fixture
def url(installed: Path, tmp_path: Path) -> Iterator[str]:
    """A control plane of the test's own, whose admin has chosen PASSWORD."""
    shutil.copytree(installed, tmp_path, dirs_exist_ok=True)
    with serve_app(create_app(_settings(tmp_path))) as url:
        yield url


@pytest.fixture
def admin(url: str) -> Iterator[Client]:
    """The admin of that control plane, at its API."""
    client = Client(url)
    client.log_in("admin", PASSWORD)
    yield client
    client.http.close()
