"""What the agent makes of a data folder before it begins."""

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamswarm_agent.enrol import Credential, credential_path, keep
from streamswarm_agent.settings import AgentSettings
from tests.commands import run_command
from tests.support import find_free_port, log_put_back


@pytest.fixture
def _own_log() -> Iterator[None]:
    with log_put_back():
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder of an agent that was enrolled."""
    secret = {"agent_id": "a", "name": "n", "secret": "s", "controlplane_url": "http://127.0.0.1:9"}
    keep(credential_path(AgentSettings(data=tmp_path)), Credential.model_validate(secret))
    return tmp_path


def start(folder: Path) -> str:
    """Start it; returns why it doesn't run."""
    port = str(find_free_port())
    done = run_command("agent", "run", folder=folder, STREAMSWARM_DATA=str(folder), STREAMSWARM_AGENT_PORT=port)
    assert done.returncode == 2
    return done.stderr


@pytest.mark.usefixtures("_own_log")
def test_a_second_agent_on_one_data_folder_says_what_to_do(folder: Path) -> None:
    first = os.open(folder / "agent", os.O_RDONLY)
    try:
        fcntl.flock(first, fcntl.LOCK_EX)
        assert "another agent runs on this folder; give this one its own with STREAMSWARM_DATA" in start(folder)
    finally:
        os.close(first)


@pytest.mark.usefixtures("_own_log")
def test_what_can_not_be_read_is_named(folder: Path) -> None:
    (folder / "agent" / "spool" / "0000000000000001.lines").mkdir(parents=True)
    assert "agent/spool/0000000000000001.lines: Is a directory" in start(folder)


def test_a_host_name_of_the_greatest_length_is_cut_to_an_agents_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "x" * 64)
    assert AgentSettings().name == "x" * 63
