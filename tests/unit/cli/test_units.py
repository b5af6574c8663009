import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamswarm_cli.main import app
from streamswarm_cli.unit_command import PROGRAM, UNITS, text_of

FOLDER = Path(__file__).parents[3] / "provisioning/systemd"


@pytest.mark.parametrize("service", UNITS)
def test_the_units_in_the_repository_are_what_the_command_prints(service: str) -> None:
    assert (FOLDER / f"streamswarm-{service}.service").read_text() == text_of(service, PROGRAM)
    printed = CliRunner().invoke(app, ["unit", service, "--packaged"])
    assert printed.stdout == text_of(service, PROGRAM)


def test_only_the_agent_keeps_a_capability() -> None:
    capabilities = {service: text_of(service, PROGRAM).count("CAP_NET_RAW") for service in UNITS}
    assert capabilities == {"controlplane": 0, "collector": 0, "ml": 0, "agent": 2}


def test_no_unit_reaches_what_others_keep() -> None:
    for service in UNITS:
        (line,) = [one for one in text_of(service, PROGRAM).splitlines() if one.startswith("InaccessiblePaths=")]
        hidden = {path.removeprefix("-/var/lib/streamswarm/") for path in line.partition("=")[2].split()}
        assert {one for one in UNITS if one in hidden} == set(UNITS) - {service}
        tokens = {"agent": {"secrets"}, "collector": {"secrets/ml.token"}, "ml": {"secrets/collector.token"}}
        assert {one for one in hidden if one.startswith("secrets")} == tokens.get(service, set())


@pytest.mark.needs("systemd-analyze", "systemd")
@pytest.mark.parametrize("service", UNITS)
def test_systemd_understands_a_unit_and_finds_it_hard(service: str, tmp_path: Path) -> None:
    program = tmp_path / "streamswarm"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / f"streamswarm-{service}.service"
    unit.write_text(text_of(service, program))
    analyze = shutil.which("systemd-analyze") or ""
    verified = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert str(unit.name) not in verified.stderr
    security = [analyze, "security", "--offline=true", "--threshold=30", "--no-pager", str(unit)]
    assert subprocess.run(security, capture_output=True, check=False).returncode == 0


def test_an_unknown_service_is_refused_by_name() -> None:
    refused = CliRunner().invoke(app, ["unit", "grafana"])
    assert refused.exit_code == 2
    assert "no service 'grafana'" in refused.stderr
