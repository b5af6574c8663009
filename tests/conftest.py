"""Fixtures for the whole suite, and what happens when a program that a test drives is missing."""

import functools
import os
import shutil
from collections.abc import Iterator

import httpx._config as httpx_config
import httpx._transports.default as httpx_transports
import hypothesis
import pytest
from argon2 import PasswordHasher
from httpx._config import DEFAULT_TIMEOUT_CONFIG

from tests.support import RunningInfluxDB, run_influxdb


def pytest_configure() -> None:
    """Let hypothesis look at no clock: its 200 ms for an example are soon over where several tests share two cores."""
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what needs a program that isn't there; with CI=true that is a failure."""
    for marker in item.iter_markers("needs"):
        program, package = marker.args
        if shutil.which(program) is None:
            leave_out(f"needs {program} (Debian package {package})")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their length: gzip's hold the time, and workers that differ in one name run nothing at all."""
    return f"{argname}_of_{len(val)}_bytes" if isinstance(val, bytes) else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make sure that pytest-xdist groups: with a pytest too new for it it does not, and says nothing."""
    if getattr(session.config.option, "loadgroup", False):
        for item in session.items:
            if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
                raise pytest.UsageError(f"pytest-xdist takes no notice of xdist_group at {item.nodeid}")


def leave_out(reason: str) -> None:
    """Skip, or fail with CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"left out although CI=true: {reason}", pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in the last lines what was left out and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in skipped if isinstance(report.longrepr, tuple)}
    for reason in sorted(reasons):
        terminalreporter.write_line(f"left out: {reason}", yellow=True)


@pytest.fixture(scope="session")
def influxdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningInfluxDB]:
    """One InfluxDB a test process; use a database of your own."""
    if shutil.which("influxd") is None:
        leave_out("needs influxd (Debian package influxdb)")
    with run_influxdb(tmp_path_factory.mktemp("influxdb")) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _patience() -> Iterator[None]:
    """httpx gives up after five seconds; a server, or a place in the pool, may take longer where tests share cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DEFAULT_TIMEOUT_CONFIG, "read", 60.0)
        patch.setattr(DEFAULT_TIMEOUT_CONFIG, "pool", 60.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def _certificates_read_once() -> Iterator[None]:
    """httpx reads the authorities anew for every client, which takes longer than most requests of these tests."""
    made = functools.cache(httpx_config.create_ssl_context)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx_transports, "create_ssl_context", made)
        yield


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    """Argon2id with the least cost: half of what tests of the control plane take would be hashing, which is its use."""
    with pytest.MonkeyPatch.context() as patch:
        time_memory_parallelism, others = (1, 8, 1), PasswordHasher.__init__.__defaults__ or ()
        patch.setattr(PasswordHasher.__init__, "__defaults__", time_memory_parallelism + others[3:])
        yield
