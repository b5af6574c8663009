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
from typing import Any

import pytest
from pydantic import SecretStr

from streamswarm_agent import probeneeds
from streamswarm_agent.doctor import examine
from streamswarm_agent.enrol import Credential, credential_path, keep, load_credential
from streamswarm_agent.probeneeds import Host
from streamswarm_agent.settings import AgentSettings
from streamswarm_core.assignment import Assignment, AssignmentSet
from streamswarm_core.doctor.finding import Finding, State
from streamswarm_core.probespecs import SPECS
from streamswarm_core.probespecs.demand import PING_SOCKET, RAW_SOCKET, Need, NeedKind, package, program, setting_file
from tests.doctoring import Told, about, answering, health_of, wrong
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
    monkeypatch.setattr(probeneeds, "SPECS", {"icmp": replace(SPECS["icmp"], needs=needs)})
    return [finding for finding in examine(settings(tmp_path), host) if finding.subject == "icmp"]


def test_a_host_without_icmp_sockets_is_told_both_ways_out(tmp_path: Path, host: Host) -> None:
    (finding,) = [finding for finding in examine(settings(tmp_path), host) if finding.subject == "icmp"]
    assert finding.state is State.BROKEN
    assert "ping_group_range" in finding.remedy
    assert "CAP_NET_RAW" in finding.remedy


def test_a_host_without_raw_sockets_is_told_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    (finding,) = lacks(tmp_path, monkeypatch, host, RAW_SOCKET)
    assert (finding.state, "AmbientCapabilities=CAP_NET_RAW" in finding.remedy) == (State.BROKEN, True)


def test_a_missing_program_is_lacking_and_an_optional_one_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    needs = program("iperf3", "iperf3", "bandwidth"), program("smartctl", "smartmontools", "disks", optional=True)
    assert lacks(tmp_path, monkeypatch, host, *needs) == [
        Finding(
            "icmp", State.BROKEN, "the program iperf3 is not installed, needed for bandwidth", "apt install iperf3"
        ),
        Finding(
            "icmp",
            State.NOTE,
            "the program smartctl is not installed, needed for disks",
            "apt install smartmontools",
        ),
    ]


def test_a_probe_that_lacks_nothing_has_no_line_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    there = replace(host, which=lambda name: f"/opt/bin/{name}")
    assert not lacks(tmp_path, monkeypatch, there, program("iperf3", "iperf3", "bandwidth"))
    assert Finding("probes", State.OK, "1 of 1 can run here: icmp") in examine(settings(tmp_path), there)


def test_what_no_test_of_the_agent_uses_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    kept = settings(tmp_path).folder / "assignments.json"
    kept.parent.mkdir(parents=True)
    dns = Assignment(id="1", test="names", probe="dns", target="192.0.2.1", interval=5, timeout=1)
    kept.write_text(AssignmentSet(agent_id="1", version=1, assignments=(dns,)).model_dump_json())
    (unused,) = lacks(tmp_path, monkeypatch, host, PING_SOCKET)
    assert unused.state is State.NOTE
    icmp = dns.model_copy(update={"probe": "icmp"})
    kept.write_text(AssignmentSet(agent_id="1", version=2, assignments=(dns, icmp)).model_dump_json())
    (used,) = lacks(tmp_path, monkeypatch, host, PING_SOCKET)
    assert used.state is State.BROKEN


def test_a_file_that_no_setting_names_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    (finding,) = lacks(tmp_path, monkeypatch, host, setting_file("geo_file", "names of places"))
    assert finding.state is State.NOTE
    assert "STREAMSWARM_AGENT_GEO_FILE" in finding.remedy


def test_wireless_interfaces_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    (finding,) = lacks(tmp_path, monkeypatch, host, Need(NeedKind.WIRELESS, optional=True))
    assert finding.state is State.NOTE
    (host.sys / "class/net/wlan0/wireless").mkdir(parents=True)
    assert not lacks(tmp_path, monkeypatch, host, Need(NeedKind.WIRELESS, optional=True))


def test_a_missing_python_package_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    needs = package("no_such_package", "streamswarm[extra]", "devices", optional=True), package("json", "", "text")
    (missing,) = lacks(tmp_path, monkeypatch, host, *needs)
    assert missing.state is State.NOTE
    assert missing.found == "the Python package no_such_package is not installed, needed for devices"
    assert missing.remedy.endswith("-m pip install 'streamswarm[extra]'")


def test_small_receive_buffers_limit(tmp_path: Path, host: Host) -> None:
    (finding,) = [finding for finding in examine(settings(tmp_path), host) if "receive buffers" in finding.found]
    assert finding.state is State.NOTE
    assert "net.core.rmem_max" in finding.remedy


def test_a_nearly_full_spool_limits(tmp_path: Path, host: Host) -> None:
    mine = settings(tmp_path, spool_max_bytes=1_000_000)
    (mine.folder / "spool").mkdir(parents=True)
    (mine.folder / "spool" / "1.lines").write_bytes(b"x" * 600_000)
    (finding,) = [finding for finding in examine(mine, host) if finding.subject == "spool"]
    assert finding.state is State.WARNING
    assert finding.found.startswith("600.0 kB waits to be sent, of at most 1.0 MB")


@pytest.mark.parametrize("kind", NeedKind)
def test_the_doctor_can_look_for_every_kind_of_need(kind: NeedKind) -> None:
    assert kind in probeneeds._CHECKS


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
    told = [json.loads(line) for line in findings.stdout.splitlines()]
    assert not [one for one in told if one["subject"] == "icmp"]
    assert [one for one in told if one["subject"] == "probes" and "icmp" in one["found"]]


@pytest.mark.needs("setpriv", "util-linux")
def test_the_doctor_tells_an_ordinary_user_what_is_lacking_before_any_enrolment(open_folder: Path) -> None:
    done = as_nobody(WITHOUT_ANY, open_folder, "doctor")
    assert done.returncode == 1, done.stderr
    assert "not enrolled yet" in done.stdout
    assert "http://127.0.0.1:8800 can't be reached: Connection refused" in done.stdout
    (open_folder / "data").mkdir(mode=0o700)
    locked = as_nobody(WITHOUT_ANY, open_folder, "doctor", "--json")
    assert "the user nobody may not write to" in locked.stdout, locked.stderr
    assert "sudo streamswarm doctor" in locked.stdout
    assert "credential.json can't be read" in locked.stdout
    enrolling = as_nobody(WITHOUT_ANY, open_folder, "agent", "enrol", "--token", "t")
    assert (enrolling.returncode, enrolling.stderr.count("\n")) == (2, 1)
    assert "Permission denied; change its folder's owner" in enrolling.stderr


def test_a_damaged_credential_is_lacking(tmp_path: Path, host: Host) -> None:
    (tmp_path / "data/agent").mkdir(parents=True)
    (tmp_path / "data/agent/credential.json").write_text('{"secret": ')
    (finding,) = [one for one in examine(settings(tmp_path), host) if one.subject == "enrolment"]
    assert (finding.state, "streamswarm agent enrol --force" in finding.remedy) == (State.BROKEN, True)


async def test_a_web_server_in_the_control_planes_place_is_no_control_plane(tmp_path: Path, host: Host) -> None:
    async with http_server(response(404)) as port, http_server(response(401)) as influxdb:
        urls = {"controlplane_url": f"http://127.0.0.1:{port}", "collector_url": f"http://127.0.0.1:{influxdb}"}
        findings = await asyncio.to_thread(lambda: list(examine(settings(tmp_path, **urls), host)))
    states = {finding.found: finding.state for finding in findings}
    assert states[f"http://127.0.0.1:{port} answers HTTP 404, but not as a control plane does"] is State.BROKEN
    assert states[f"http://127.0.0.1:{influxdb} answers"] is State.OK


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
    assert "set STREAMSWARM_AGENT_GEO_CITY_FILE to the file's path" in done.stdout
    assert "…" not in done.stdout


def enrolled(tmp_path: Path, url: str, **changes: object) -> AgentSettings:
    """An agent that has run, whose control plane and collector are one server."""
    mine = settings(tmp_path, controlplane_url=url, collector_url=url, reflector=False, **changes)
    keep(
        credential_path(mine),
        Credential(agent_id="1", name="edge-1", secret=SecretStr("ssa_1"), controlplane_url="https://old.example"),
    )
    (mine.folder / "spool").mkdir()
    (mine.folder / "spool/runs.json").write_text("{}")
    return mine


GOOD = {
    **health_of("controlplane"),
    "/api/v1/agent/token": (200, {"access_token": "a.b.c", "expires_in": 600}),
    "/api/v2/write": (204, None),
}


def test_an_enrolled_agent_shows_its_token_to_the_collector(tmp_path: Path) -> None:
    told = Told(dict(GOOD))
    with answering(told) as url:
        findings = list(examine(enrolled(tmp_path, url)))
    assert set(wrong(findings)) <= {"process", "icmp", "traceroute", "mtu", "qos"}
    assert ("POST", "/api/v2/write", "Token a.b.c") in told.seen


@pytest.mark.parametrize(
    ("path", "answer", "subject", "words"),
    [
        (
            "/api/v1/agent/token",
            (401, {"detail": "unknown agent"}),
            "credential",
            "unknown agent; it was enrolled at https://old.example",
        ),
        ("/api/v2/write", (401, {"message": "signed with a key"}), "collector", "doesn't take this token"),
        ("/api/v2/write", (429, {"message": "log is full"}), "collector", "log is full"),
    ],
)
def test_whoever_refuses_the_agent_is_told(
    tmp_path: Path, path: str, answer: tuple[int, object], subject: str, words: str
) -> None:
    with answering(Told({**GOOD, path: answer})) as url:
        finding = about(subject, examine(enrolled(tmp_path, url)))
    assert finding.state is State.BROKEN
    assert words in finding.found


def test_a_new_secret_is_not_used_up_by_looking(tmp_path: Path) -> None:
    told = Told({**GOOD, "/api/v1/agent/token": (401, {"detail": "unknown agent"})})
    with answering(told) as url:
        mine = enrolled(tmp_path, url)
        credential = load_credential(mine)
        assert credential
        keep(credential_path(mine), credential.model_copy(update={"next_secret": SecretStr("ssa_2")}))
        finding = about("credential", examine(mine))
    assert finding.state is State.NOTE
    assert [path for _, path, _ in told.seen].count("/api/v1/agent/token") == 1


@pytest.mark.parametrize(
    ("health", "state", "words"),
    [
        ({"sending": "ok", "assignments": 3}, State.OK, "the collector took points"),
        ({"sending": "HTTP 503: full", "assignments": 3}, State.BROKEN, "HTTP 503: full"),
        ({"sending": "ok", "assignments": 0}, State.NOTE, "no tests to run"),
    ],
    ids=["arrives", "waits", "nothing-to-do"],
)
def test_whether_points_arrive_is_told_as_the_running_agent_says(
    tmp_path: Path, health: dict[str, Any], state: State, words: str
) -> None:
    with answering(Told(GOOD)) as url, answering(Told(health_of("agent", **health))) as own:
        finding = about("sending", examine(enrolled(tmp_path, url, port=int(own.rpartition(":")[2]))))
    assert finding.state is state
    assert words in finding.found


def test_a_reflector_whose_port_another_program_has_is_told(tmp_path: Path) -> None:
    metrics = {"/metrics": (200, 'streamswarm_reflector_up{kind="stamp"} 0.0')}
    with answering(Told(GOOD)) as url, answering(Told({**health_of("agent"), **metrics})) as own:
        mine = enrolled(tmp_path, url, port=int(own.rpartition(":")[2]))
        finding = about("reflector", examine(mine.model_copy(update={"reflector": True})))
    assert finding.state is State.WARNING
    assert "STREAMSWARM_AGENT_REFLECTOR_PORT" in finding.remedy
