"""`streamswarm doctor` beside a real system: all is well, then one thing is broken at a time."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.doctoring import Told, answering
from tests.e2e.stack import Stack, running_stack
from tests.support import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("doctor")]


@dataclass
class Doctor:
    """The command as the one who has started the stack types it."""

    stack: Stack

    def ask(self, *arguments: str) -> tuple[int, dict[tuple[str, str], str]]:
        """Exit code, and what isn't as it should be, by service and subject."""
        done = subprocess.run(
            [sys.executable, "-m", "streamswarm_cli", "doctor", "--json", *arguments],
            cwd=self.stack.folder,
            env=self.stack.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert not done.stderr
        findings = [json.loads(line) for line in done.stdout.splitlines()]
        bad = [one for one in findings if one["state"] == "broken"]
        assert all(one["remedy"] for one in bad)
        return done.returncode, {(one["service"], one["subject"]): one["found"] for one in bad}


@pytest.fixture(scope="module")
def doctor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doctor]:
    """Of a system in which nothing but what a test here breaks is broken."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield Doctor(stack)


@contextlib.contextmanager
def replaced(path: Path, content: str) -> Iterator[None]:
    """A file with other content for a while."""
    before = path.read_text()
    path.write_text(content)
    try:
        yield
    finally:
        path.write_text(before)


def test_of_a_system_that_works_nothing_is_broken(doctor: Doctor) -> None:
    # The first cycles of the ML service find no points yet.
    code, bad = eventually(doctor.ask, lambda told: not told[1], 60)
    assert (code, bad) == (0, {})


def test_the_collectors_wrong_token_is_found(doctor: Doctor) -> None:
    with replaced(doctor.stack.folder / "data/secrets/collector.token", "sst_wrong"):
        code, bad = doctor.ask()
    assert code == 1
    assert "HTTP 401" in bad["collector", "token"]


def test_the_ml_services_wrong_token_is_found(doctor: Doctor) -> None:
    with replaced(doctor.stack.folder / "data/secrets/ml.token", "sst_wrong"):
        code, bad = doctor.ask("ml")
        assert code == 1
        assert "unknown, expired or revoked token" in bad["ml", "store"]
        # The remedy that it gives.
        remedy = [sys.executable, "-m", "streamswarm_cli", "controlplane", "init"]
        subprocess.run(remedy, cwd=doctor.stack.folder, env=doctor.stack.environment, check=True, capture_output=True)
        eventually(lambda: doctor.ask("ml"), lambda told: told == (0, {}), 60)


def test_the_agents_wrong_secret_is_found(doctor: Doctor) -> None:
    path = doctor.stack.folder / "data/agent/credential.json"
    with replaced(path, json.dumps(json.loads(path.read_text()) | {"secret": "ssa_wrong"})):
        code, bad = doctor.ask("agent")
    assert code == 1
    assert list(bad) == [("agent", "credential")]


def test_once_it_has_stopped_that_is_told_of_each_and_who_took_a_port_meanwhile(doctor: Doctor) -> None:
    doctor.stack.stop()
    code, bad = doctor.ask()
    assert code == 1
    assert {service for service, subject in bad if subject == "process"} == {"controlplane", "collector", "ml", "agent"}
    with answering(Told(), port=doctor.stack.ports["collector"]):
        _, bad = doctor.ask("collector")
    assert "is taken by process" in bad["collector", "port"]
