"""The script that the control plane serves, run for real below a folder, against that control plane."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.bootstrap import bootstrap, mint_enrolment_token
from streamswarm_controlplane.settings import ControlPlaneSettings
from tests.support import find_free_port, serve_app

REPOSITORY = Path(__file__).parents[2]
PACKAGES = next(path for path in map(Path, sys.path) if path.name == "site-packages")


@pytest.fixture
def settings(tmp_path: Path) -> ControlPlaneSettings:
    found = ControlPlaneSettings(data=tmp_path / "data", store_url=f"http://127.0.0.1:{find_free_port()}")
    bootstrap(found)
    return found


@pytest.fixture
def url(settings: ControlPlaneSettings) -> Iterator[str]:
    with serve_app(create_app(settings)) as url:
        yield url


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def install(
    url: str, script: Path, root: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    script.write_text(httpx.get(f"{url}/install.sh").raise_for_status().text.replace("URL='", "URL='"))
    return subprocess.run(
        ["sh", str(script), "--root", str(root), "--no-systemd", *arguments],
        env={
            **os.environ,
            # The agent's dependencies are those of the tests: nothing is fetched.
            "PYTHONPATH": str(PACKAGES),
            "STREAMSWARM_PIP_OPTIONS": "--no-deps --no-index",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_one_line_installs_enrols_upgrades_and_removes(
    url: str, settings: ControlPlaneSettings, wheel: Path, tmp_path: Path
) -> None:
    root, script = tmp_path / "host", tmp_path / "install.sh"
    public = settings.model_copy(update={"public_url": url})
    with serve_app(create_app(public)) as server:
        token = mint_enrolment_token(settings, "edge-7", "oslo")
        first = install(
            server, script, root, "--package", str(wheel), "--name", "edge-7", STREAMSWARM_AGENT_ENROL_TOKEN=token
        )
        assert first.returncode == 0, first.stderr
        assert "enrolled as edge-7 (site oslo)" in first.stdout
        assert token not in first.stdout + first.stderr
        credential = (root / "var/lib/streamswarm/agent/credential.json").read_text()
        environment = (root / "etc/streamswarm/agent.env").read_text().splitlines()
        assert (root / "etc/streamswarm/agent.env").stat().st_mode & 0o777 == 0o600
        assert f"STREAMSWARM_AGENT_CONTROLPLANE_URL={url}" in environment
        assert "STREAMSWARM_AGENT_COLLECTOR_URL=http://127.0.0.1:8801" in environment
        again = install(server, script, root, "--package", str(wheel))
        assert again.returncode == 0, again.stderr
        assert "enrolled already" in again.stdout
        assert (root / "var/lib/streamswarm/agent/credential.json").read_text() == credential
        removed = install(server, script, root, "--remove")
        assert removed.returncode == 0, removed.stderr
    assert not (root / "opt/streamswarm").exists()
    assert (root / "var/lib/streamswarm/agent/credential.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--tokn", "x"], "unknown option --tokn"), (["--token"], "--token takes a value")],
)
def test_a_wrong_option_is_named_and_nothing_is_done(
    url: str, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = install(url, tmp_path / "install.sh", tmp_path / "host", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "host").exists()


def test_an_address_with_quotes_stays_an_address(settings: ControlPlaneSettings, tmp_path: Path) -> None:
    odd = settings.model_copy(update={"public_url": "http://x'; touch pwned; '"})
    with serve_app(create_app(odd)) as url:
        text = httpx.get(f"{url}/install.sh").text
    (tmp_path / "install.sh").write_text(text.replace("#   curl", "#"))
    subprocess.run(["sh", "install.sh", "--help"], cwd=tmp_path, check=True, capture_output=True)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9, 0.999])
def test_a_download_that_breaks_off_does_nothing(url: str, tmp_path: Path, share: float) -> None:
    whole = httpx.get(f"{url}/install.sh").raise_for_status().text
    root = tmp_path / "host"
    (root / "opt" / "streamswarm").mkdir(parents=True)
    done = subprocess.run(
        ["sh", "-s", "--", "--root", str(root), "--no-systemd", "--remove"],
        input=whole[: int(len(whole) * share)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert list(root.rglob("*")) == [root / "opt", root / "opt" / "streamswarm"]
