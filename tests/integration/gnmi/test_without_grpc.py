"""Where gRPC isn't installed, or isn't needed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = "import sys; sys.modules['{package}'] = None; from streamswarm_cli.main import main; main()"


def command(package: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(package=package), *arguments],
        env={**os.environ, "STREAMSWARM_DATA": str(folder), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("package", ["grpc", "pygnmi"])
def test_without_its_packages_the_probe_says_what_to_install(package: str, tmp_path: Path) -> None:
    done = command(package, tmp_path, "probe", "gnmi", "192.0.2.1", "--json")
    assert done.returncode == 1, done.stderr
    fields = json.loads(done.stdout)["fields"]
    assert (fields["up"], fields["error"]) == (0, "missing_program")
    assert fields["error_detail"] == f"the Python package {package} is not installed: pip install 'streamswarm[gnmi]'"


def test_an_agent_without_gnmi_tests_does_not_import_grpc() -> None:
    program = (
        "import sys, streamswarm_agent.main, streamswarm_agent.runner, streamswarm_agent.probes; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "streamswarm_agent.probes.gnmi" in loaded
    assert not {"grpc", "google.protobuf", "pygnmi"} & set(loaded)
