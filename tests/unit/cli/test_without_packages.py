"""Commands on a host that has one service's packages only."""

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({names!r}))
from streamswarm_cli.main import main
main()
"""
"""The command line where some packages aren't installed."""
SERVERS = ("alembic", "duckdb", "numpy", "pandas", "river", "sklearn", "sqlalchemy")


def on_an_agents_host(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(names=SERVERS), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize(
    "command",
    [
        ("up",),
        ("collector", "run"),
        ("controlplane", "init"),
        ("ml", "run"),
        ("ml", "score", "x.csv"),
        ("backup", "x.tar"),
    ],
    ids=" ".join,
)
def test_a_command_that_needs_more_says_what_to_install_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "data/controlplane").mkdir(parents=True)
    done = on_an_agents_host(tmp_path, *command)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "install it with: pip install 'streamswarm[" in done.stderr
    assert not (tmp_path / "x.tar").exists()


def test_the_doctor_says_what_to_install_for_services_that_are_set_up_here(tmp_path: Path) -> None:
    for name in ("controlplane", "collector", "ml", "agent"):
        (tmp_path / "data" / name).mkdir(parents=True)
    done = on_an_agents_host(tmp_path, "doctor")
    assert done.returncode == 1, done.stderr
    assert not done.stderr
    for extra in ("controlplane", "ml"):
        assert f"→ install it with: pip install 'streamswarm[{extra}]'" in done.stdout
    assert "agent, with the settings of this shell" in done.stdout
    assert "  ok       probes " in done.stdout


def test_settings_are_shown_of_what_is_installed(tmp_path: Path) -> None:
    done = on_an_agents_host(tmp_path, "config", "show")
    assert done.returncode == 0, done.stderr
    assert "control plane: not installed here" in done.stdout
    assert "STREAMSWARM_AGENT_PORT" in done.stdout


def test_an_agents_files_are_backed_up_and_restored_without_the_other_services(tmp_path: Path) -> None:
    (tmp_path / "data/agent").mkdir(parents=True)
    (tmp_path / "data/agent/credential.json").write_text("{}")
    for command in (("backup", "x.tar"), ("restore", "x.tar")):
        done = on_an_agents_host(tmp_path, *command)
        assert done.returncode == 0, done.stderr
        if command[0] == "backup":
            (tmp_path / "data").rename(tmp_path / "old")
    assert (tmp_path / "data/agent/credential.json").read_text() == "{}"
