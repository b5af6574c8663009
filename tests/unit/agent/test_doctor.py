import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamswarm_agent import doctor
from streamswarm_agent.doctor import Finding, Host, State, examine
from streamswarm_agent.settings import AgentSettings
from streamswarm_core.probespecs import SPECS
from streamswarm_core.probespecs.demand import RAW_SOCKET, Need, NeedKind, package, program, setting_file
from tests.support import find_free_port
from tests.unit.agent.servers import http_server, response

AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
WITH_RAW = ["--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw", "--bounding-set=-all,+net_raw"]
WITHOUT_ANY = ["--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host that allows no sockets and has no programs."""
    for folder in ("proc/sys/net/core", "sys/class/net/eth0"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/sys/net/core/rmem_max").write_text("212992\n")

    def refuse(*_: int) -> socket.socket:
        raise PermissionError

    return Host(tmp_path / "proc", tmp_path / "sys", lambda _: None, refuse)


def settings(tmp_path: Path, **changes: object) -> AgentSettings:
    nobody = f"http://127.0.0.1:{find_free_port()}"
    return AgentSettings.model_validate(
        {"data": tmp_path / "data", "controlplane_url": nobody, "collector_url": nobody} | changes
    )


def lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host, *needs: Need) -> list[Finding]:
    """What the doctor says of a probe with these needs."""
    monkeypatch.setattr(doctor, "SPECS", {"icmp": replace(SPECS["icmp"], needs=needs)})
    return [finding for finding in examine(settings(tmp_path), host) if finding.subject == "icmp"]


def test_a_host_without_icmp_sockets_is_told_both_ways_out(tmp_path: Path, host: Host) -> None:
    (finding,) = [finding for finding in examine(settings(tmp_path), host) if finding.subject == "icmp"]
    assert finding.state is State.LACKING
    assert "ping_group_range" in finding.remedy
    assert "CAP_NET_RAW" in finding.remedy


def test_a_host_without_raw_sockets_is_told_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    (finding,) = lacks(tmp_path, monkeypatch, host, RAW_SOCKET)
    assert (finding.state, "AmbientCapabilities=CAP_NET_RAW" in finding.remedy) == (State.LACKING, True)


def test_a_missing_program_is_lacking_and_an_optional_one_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    needs = program("iperf3", "iperf3", "bandwidth"), program("smartctl", "smartmontools", "disks", optional=True)
    assert lacks(tmp_path, monkeypatch, host, *needs) == [
        Finding(
            "icmp", State.LACKING, "the program iperf3 is not installed, needed for bandwidth", "apt install iperf3"
        ),
        Finding(
            "icmp",
            State.LIMITED,
            "the program smartctl is not installed, needed for disks",
            "apt install smartmontools",
        ),
    ]


def test_a_program_that_is_there_is_named_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    there = replace(host, which=lambda name: f"/opt/bin/{name}")
    (finding,) = lacks(tmp_path, monkeypatch, there, program("iperf3", "iperf3", "bandwidth"))
    assert finding == Finding("icmp", State.OK, "/opt/bin/iperf3")


def test_a_file_that_no_setting_names_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    (finding,) = lacks(tmp_path, monkeypatch, host, setting_file("geo_file", "names of places"))
    assert finding.state is State.LIMITED
    assert "STREAMSWARM_AGENT_GEO_FILE" in finding.remedy


def test_wireless_interfaces_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    (finding,) = lacks(tmp_path, monkeypatch, host, Need(NeedKind.WIRELESS, optional=True))
    assert finding.state is State.LIMITED
    (host.sys / "class/net/wlan0/wireless").mkdir(parents=True)
    (finding,) = lacks(tmp_path, monkeypatch, host, Need(NeedKind.WIRELESS, optional=True))
    assert finding == Finding("icmp", State.OK, "wireless interfaces: wlan0")


def test_a_missing_python_package_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    needs = package("no_such_package", "streamswarm[extra]", "devices", optional=True), package("json", "", "text")
    missing, there = lacks(tmp_path, monkeypatch, host, *needs)
    assert missing.state is State.LIMITED
    assert missing.found == "the Python package no_such_package is not installed, needed for devices"
    assert missing.remedy.endswith("-m pip install 'streamswarm[extra]'")
    assert there == Finding("icmp", State.OK, "the Python package json is installed")


def test_small_receive_buffers_limit(tmp_path: Path, host: Host) -> None:
    (finding,) = [finding for finding in examine(settings(tmp_path), host) if "receive buffers" in finding.found]
    assert finding.state is State.LIMITED
    assert "net.core.rmem_max" in finding.remedy


def test_a_nearly_full_spool_limits(tmp_path: Path, host: Host) -> None:
    mine = settings(tmp_path, spool_max_bytes=1_000_000)
    (mine.folder / "spool").mkdir(parents=True)
    (mine.folder / "spool" / "1.lines").write_bytes(b"x" * 600_000)
    (finding,) = [finding for finding in examine(mine, host) if "spool" in finding.found and "MB wait" in finding.found]
    assert (finding.state, finding.found) == (State.LIMITED, "0.6 MB wait in the spool, of at most 1")


@pytest.mark.parametrize("kind", NeedKind)
def test_the_doctor_can_look_for_every_kind_of_need(kind: NeedKind) -> None:
    assert kind in doctor._CHECKS


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may write to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def as_nobody(capabilities: list[str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    command = [*AS_NOBODY, *capabilities, sys.executable]
    if subprocess.run([*command, "-c", "import streamswarm_cli"], check=False, capture_output=True).returncode:
        pytest.skip("this Python can't be read by an ordinary user")
    return subprocess.run(
        [*command, "-m", "streamswarm_cli", *arguments],
        cwd=folder,
        env={**os.environ, "STREAMSWARM_DATA": str(folder / "data"), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.needs("setpriv", "util-linux")
def test_an_ordinary_user_with_nothing_but_cap_net_raw_can_ping(open_folder: Path) -> None:
    done = as_nobody(WITH_RAW, open_folder, "probe", "icmp", "127.0.0.1", "-o", "count=1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["fields"]["up"] == 1
    findings = as_nobody(WITH_RAW, open_folder, "doctor", "--json")
    (ping,) = [one for one in map(json.loads, findings.stdout.splitlines()) if one["subject"] == "icmp"]
    assert ping["state"] == "ok"


@pytest.mark.needs("setpriv", "util-linux")
def test_the_doctor_tells_an_ordinary_user_what_is_lacking_before_any_enrolment(open_folder: Path) -> None:
    done = as_nobody(WITHOUT_ANY, open_folder, "doctor")
    assert done.returncode == 1, done.stderr
    assert "not enrolled yet" in done.stdout
    assert "the control plane http://127.0.0.1:8800 can't be reached: Connection refused" in " ".join(
        done.stdout.split()
    )
    (open_folder / "data").mkdir(mode=0o700)
    locked = as_nobody(WITHOUT_ANY, open_folder, "doctor", "--json")
    assert "this user may not write" in locked.stdout, locked.stderr
    assert "credential.json can't be read" in locked.stdout
    enrolling = as_nobody(WITHOUT_ANY, open_folder, "agent", "enrol", "--token", "t")
    assert (enrolling.returncode, enrolling.stderr.count("\n")) == (2, 1)
    assert "Permission denied; change its folder's owner" in enrolling.stderr


def test_a_damaged_credential_is_lacking(tmp_path: Path, host: Host) -> None:
    (tmp_path / "data/agent").mkdir(parents=True)
    (tmp_path / "data/agent/credential.json").write_text('{"secret": ')
    (finding,) = [one for one in examine(settings(tmp_path), host) if "credential.json" in one.found]
    assert (finding.state, "streamswarm agent enrol --force" in finding.remedy) == (State.LACKING, True)


async def test_a_web_server_in_the_control_planes_place_is_no_control_plane(tmp_path: Path, host: Host) -> None:
    async with http_server(response(404)) as port, http_server(response(401)) as influxdb:
        urls = {"controlplane_url": f"http://127.0.0.1:{port}", "collector_url": f"http://127.0.0.1:{influxdb}"}
        findings = await asyncio.to_thread(examine, settings(tmp_path, **urls), host)
    states = {finding.found: finding.state for finding in findings}
    assert states[f"http://127.0.0.1:{port}/health answers HTTP 404: that is no control plane"] is State.LACKING
    assert states[f"the collector http://127.0.0.1:{influxdb} answers"] is State.OK


def test_names_to_copy_are_whole_on_a_narrow_terminal(tmp_path: Path) -> None:
    environment = {**os.environ, "STREAMSWARM_DATA": str(tmp_path / "data"), "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-m", "streamswarm_cli", "doctor"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
    assert "what to do" in done.stdout
    assert "…" not in done.stdout
