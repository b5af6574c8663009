"""`streamswarm admin` on a laptop with another system than Linux, such as Windows, which has none of some modules."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from streamswarm_cli.doctor.command import doctor
from streamswarm_cli.up_command import up
from streamswarm_core.errors import ConfigError
from tests.unit.controlplane.conftest import PASSWORD, Client

ELSEWHERE: Final = """
import os, sys
UNKNOWN = {"fcntl", "pwd", "grp", "termios", "resource"}
class Unknown:
    def find_spec(self, name, path=None, target=None):
        if name in UNKNOWN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
for name in UNKNOWN:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Unknown())
for name in ("O_DIRECTORY", "geteuid", "getuid", "statvfs"):
    delattr(os, name)
from streamswarm_cli.main import main
main()
"""
"""The command line without what only some systems have."""


def elsewhere(folder: Path, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *arguments],
        cwd=folder,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder), **more},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize("templates", ["sqlite"], indirect=True, scope="session")
def test_an_admin_works_from_there(admin: Client, tmp_path: Path) -> None:
    (tmp_path / "noc.yaml").write_text("sites:\n  - {name: berlin}\n")
    at = {"STREAMSWARM_URL": admin.url}
    told = elsewhere(tmp_path, "admin", "login", "--username", "admin", stdin=f"{PASSWORD}\n", **at)
    assert told.returncode == 0, told.stderr
    tried = elsewhere(tmp_path, "admin", "apply", "noc.yaml", "--dry-run", **at)
    assert (tried.returncode, "+ site berlin" in tried.stdout) == (1, True), tried.stderr  # something differs


@pytest.mark.parametrize(
    "asked", [("--help",), ("admin", "--help"), ("up", "--help"), ("doctor", "--help")], ids=" ".join
)
def test_help_is_given_there(tmp_path: Path, asked: tuple[str, ...]) -> None:
    told = elsewhere(tmp_path, *asked)
    assert (told.returncode, told.stdout.lstrip().startswith("Usage: ")) == (0, True), told.stderr


def test_what_is_for_linux_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    for command in (doctor, up):
        with pytest.raises(ConfigError, match="on Linux, not on win32"):
            command()
