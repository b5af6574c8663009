"""The lab's fixtures; README.md says how to write a test with them."""

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.conftest import leave_out
from tests.lab.namespace import LabError, staying_at_home, sweep
from tests.lab.topology import NETWORKS, Lab, MultipathBuilder, PathBuilder

_PRIORITY = -10
_HOSTS = [*NETWORKS, "127.0.0.1", "::1", "localhost"]


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lab tests run one after another, since they compete for time, and may speak to the lab's addresses."""
    for item in items:
        if item.nodeid.startswith("tests/lab/"):
            item.add_marker(pytest.mark.xdist_group("lab"))
            item.add_marker(pytest.mark.allow_hosts(_HOSTS))
            item.add_marker(pytest.mark.needs("ip", "iproute2"))


@pytest.fixture(scope="session")
def _namespaces() -> None:
    """Leave lab tests out where the kernel doesn't let this user have networks."""
    sweep()
    try:
        with Lab() as lab:
            lab.path(hops=0)
    except LabError as error:
        leave_out(f"the network lab: {error}")


@pytest.fixture(autouse=True)
def _home() -> Iterator[None]:
    """The tests behind a lab test run in this host's own network, whatever that one did."""
    with staying_at_home() as moved:
        yield
    assert not moved(), "the test left this thread in a namespace: contexts of entered() have overlapped"


@pytest.fixture(autouse=True)
def _first() -> Iterator[None]:
    """Lab tests measure times, so they get the processors before the tests beside them, where that is allowed."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
    yield
    os.setpriority(os.PRIO_PROCESS, 0, usual)


@pytest.fixture
def lab(_namespaces: None) -> Iterator[Lab]:
    """Builds networks that last as long as the test."""
    with Lab() as built:
        yield built


@pytest.fixture
def path(lab: Lab) -> PathBuilder:
    """`path(delay_ms=40, loss=0.02, hops=4)`: see Lab.path."""
    return lab.path


@pytest.fixture
def multipath(lab: Lab) -> MultipathBuilder:
    """`multipath({"delay_ms": 5}, {"delay_ms": 20})`: see Lab.multipath."""
    return lab.multipath
