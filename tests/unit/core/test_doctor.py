"""The checks that services share, each with what it is there to find."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.doctor.files import data_folder, secrets
from streamswarm_core.doctor.finding import State
from streamswarm_core.doctor.host import kept_in_step, open_files
from streamswarm_core.doctor.listeners import Process, listener_on
from streamswarm_core.doctor.ownport import OwnPort
from streamswarm_core.doctor.peers import control_plane, takes_points, unreached
from tests.doctoring import Told, about, answering, health_of
from tests.support import find_free_port


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def own(folder: Path, port: int, host: str = "127.0.0.1") -> OwnPort:
    settings = CollectorSettings(data=folder, host=host, port=port)
    return OwnPort(settings, host, port, settings.folder)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_that_is_not_there_yet_is_fine_where_it_can_be_made(tmp_path: Path) -> None:
    (finding,) = data_folder(tmp_path / "data/collector", needs=1)
    assert finding.state is State.OK
    assert not (tmp_path / "data").exists()


def test_a_disk_with_less_than_a_service_may_need_is_told_before_it_is_full(tiny_disk: Path) -> None:
    assert about("data folder", data_folder(tiny_disk, needs=1_000_000_000)).state is State.WARNING
    (tiny_disk / "large").write_bytes(bytes(19_000_000))
    full = about("data folder", data_folder(tiny_disk, needs=1_000_000_000))
    assert full.state is State.BROKEN
    assert "the disk is full" in full.found
    assert full.remedy == "make room, best 1.0 GB or more"


def test_a_disk_without_room_for_another_file_is_full(tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,nr_inodes=1", str(tiny_disk)], check=True)
    assert "inodes" in about("data folder", data_folder(tiny_disk, needs=1)).found


def test_a_disk_that_is_mounted_read_only_is_told(tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    assert "read-only" in about("data folder", data_folder(tiny_disk, needs=1)).found


def test_a_secret_for_other_eyes_is_told_with_the_command_that_closes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.token"
    path.write_text("sst_x")
    path.chmod(0o600)
    assert about("secrets", secrets([path, tmp_path / "none"])).state is State.OK
    path.chmod(0o640)
    open_to_group = about("secrets", secrets([path]))
    assert (open_to_group.state, open_to_group.remedy) == (State.WARNING, f"chmod 600 {path}")
    assert "(mode 0640)" in open_to_group.found


def test_a_port_that_another_program_has_is_told_with_the_program(tmp_path: Path) -> None:
    with answering(Told({"/health": (200, {"name": "influxdb"})})) as url:
        finding = about("port", own(tmp_path, port_of(url)).findings())
    assert finding.state is State.BROKEN
    assert f"is taken by process {os.getpid()} (" in finding.found
    assert finding.remedy == "stop that, or choose another port with STREAMSWARM_COLLECTOR_PORT"


def test_a_port_whose_program_speaks_no_http_is_taken_too(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        listening.listen()
        listening.settimeout(0)
        finding = about("port", own(tmp_path, listening.getsockname()[1]).findings())
    assert finding.state is State.BROKEN


def test_an_address_that_is_not_this_hosts_is_told(tmp_path: Path) -> None:
    finding = about("port", own(tmp_path, find_free_port(), "192.0.2.1").findings())
    assert "Cannot assign requested address" in finding.found
    assert "STREAMSWARM_COLLECTOR_HOST" in finding.remedy


def test_a_service_that_has_run_here_and_does_not_is_broken_and_one_that_never_ran_is_not(tmp_path: Path) -> None:
    port = find_free_port()
    assert about("process", own(tmp_path, port).findings()).state is State.NOTE
    (tmp_path / "collector").mkdir()
    stopped = about("process", own(tmp_path, port).findings())
    assert stopped.state is State.BROKEN
    assert stopped.remedy.startswith("start it: streamswarm collector run; if it ends again")
    (tmp_path / "up.lock").touch()
    grouped = about("process", own(tmp_path, port).findings())
    assert grouped.remedy.startswith(f"start it: streamswarm up; if it ends again, its log says why: tail {tmp_path}")


@pytest.mark.parametrize(
    ("told", "state", "words"),
    [
        (health_of("collector"), State.OK, "runs version"),
        (health_of("collector", version="0.0.9"), State.WARNING, "runs version 0.0.9"),
        (health_of("collector", status="warn", maintenance={"retention": "no room"}), State.WARNING, "no room"),
        (
            {"/health": (503, {"name": "streamswarm-collector", "status": "fail", "sinks": {"log": "disk full"}})},
            State.BROKEN,
            "sinks: log: disk full",
        ),
    ],
    ids=["well", "older", "warns", "fails"],
)
def test_a_service_that_answers_is_told_as_it_says(
    tmp_path: Path, told: dict[str, tuple[int, object]], state: State, words: str
) -> None:
    with answering(Told(told)) as url:
        finding = about("process", own(tmp_path, port_of(url)).findings())
    assert finding.state is state
    assert words in finding.found


@pytest.mark.parametrize("seconds", [0.0, -1.4])
def test_a_header_that_was_written_a_second_ago_is_no_clock_that_is_off(seconds: float) -> None:
    with answering(Told(health_of("controlplane"), clock=seconds)) as url:
        assert not [one for one in control_plane(url, "X") if one.subject == "clock"]


@pytest.mark.parametrize(
    ("seconds", "state", "words"),
    [
        (4, State.WARNING, " s behind"),
        (-4, State.WARNING, " s ahead of"),
        (25, State.WARNING, "clock is 2"),
        (-25, State.WARNING, "clock is 2"),
        (-3600, State.BROKEN, "clock is 60 min ahead of"),
        (300, State.BROKEN, "tokens count as expired"),
    ],
)
def test_a_clock_that_is_off_is_told_with_how_much_and_which_way(seconds: float, state: State, words: str) -> None:
    with answering(Told(health_of("controlplane"), clock=seconds)) as url:
        finding = about("clock", control_plane(url, "X"))
    assert finding.state is state
    assert words in finding.found


def test_a_control_plane_in_step_and_of_this_version_is_one_line() -> None:
    with answering(Told(health_of("controlplane"))) as url:
        (finding,) = control_plane(url, "X")
    assert finding.state is State.OK


@pytest.mark.parametrize(
    ("answers", "state", "words"),
    [
        (health_of("controlplane", version="0.0.1"), State.WARNING, "version 0.0.1"),
        (health_of("controlplane", version="99.0"), State.NOTE, "version 99.0"),
        (health_of("collector"), State.BROKEN, "not as a control plane"),
        ({}, State.BROKEN, "answers HTTP 404, but not as"),
        (
            {"/health": (503, health_of("controlplane")["/health"][1] | {"detail": "no database"})},
            State.BROKEN,
            "no datab",
        ),
    ],
    ids=["older", "newer", "another", "web-server", "sick"],
)
def test_what_answers_in_the_control_planes_place_is_told(
    answers: dict[str, tuple[int, object]], state: State, words: str
) -> None:
    with answering(Told(answers)) as url:
        finding = about("control plane", control_plane(url, "X"))
    assert finding.state is state
    assert words in finding.found


def test_nobody_answering_is_told_with_the_setting_to_correct() -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    (finding,) = control_plane(url, "STREAMSWARM_ML_CONTROLPLANE_URL")
    assert finding.found == f"{url} can't be reached: Connection refused"
    assert finding.remedy == "start it, or correct STREAMSWARM_ML_CONTROLPLANE_URL"


@pytest.mark.parametrize("reason", ["Name or service not known", "Temporary failure in name resolution"])
def test_a_name_that_nobody_knows_is_told_as_such(reason: str) -> None:
    finding = unreached("control plane", "https://noc.example", reason, "X")
    assert finding.remedy == "correct the host's name in X, or this host's name servers (/etc/resolv.conf)"


def served_with(days: float, monkeypatch: pytest.MonkeyPatch, folder: Path, *, trusted: bool = True) -> ssl.SSLContext:
    authority = trustme.CA()
    if trusted:
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        monkeypatch.setattr(
            "httpx._transports.default.create_ssl_context",
            lambda *_, **__: ssl.create_default_context(cafile=folder / "ca.pem"),
        )
    now = datetime.now(UTC)
    made = authority.issue_cert("127.0.0.1", not_before=now - timedelta(days=30), not_after=now + timedelta(days=days))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(context)
    return context


@pytest.mark.parametrize(("days", "state"), [(90, State.OK), (3, State.WARNING)])
def test_a_certificate_near_its_end_is_told(
    days: float, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = served_with(days, monkeypatch, tmp_path)
    with answering(Told(health_of("controlplane")), tls) as url:
        finding = about("certificate", control_plane(url, "X"))
    assert finding.state is state
    assert url in finding.found


@pytest.mark.parametrize(("days", "trusted"), [(-1, True), (90, False)], ids=["ended", "of-a-stranger"])
def test_a_certificate_that_is_not_good_is_told_as_such(
    days: float, trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = served_with(days, monkeypatch, tmp_path, trusted=trusted)
    with answering(Told(health_of("controlplane")), tls) as url:
        (finding,) = control_plane(url, "X")
    assert finding.state is State.BROKEN
    assert "certificate" in finding.found
    assert "renew the certificate there" in finding.remedy


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        (204, State.OK, "takes points"),
        (400, State.OK, "takes points"),
        (401, State.BROKEN, "doesn't take this token: HTTP 401: unknown token"),
        (404, State.BROKEN, "doesn't know this database"),
        (429, State.BROKEN, "takes nothing at the moment"),
        (502, State.BROKEN, "answers a write with HTTP 502"),
    ],
)
def test_a_write_without_points_says_whether_points_would_be_taken(status: int, state: State, words: str) -> None:
    told = Told({"/api/v2/write": (status, {"message": "unknown token"})})
    with answering(told) as url:
        finding = takes_points("collector", url, "streamswarm", "sst_1", "X", "another token")
    assert finding.state is state
    assert words in finding.found
    assert told.seen == [("POST", "/api/v2/write", "Token sst_1")]


def test_too_few_open_files_are_told_of_the_process_that_runs() -> None:
    assert open_files(10).state is State.OK
    sleeping = subprocess.Popen([shutil.which("prlimit") or "prlimit", "--nofile=64", "sleep", "60"])
    try:
        finding = open_files(4000, ", or lower X", Process(sleeping.pid, "sleep"))
        while finding.state is State.OK:  # until prlimit has become sleep
            finding = open_files(4000, ", or lower X", Process(sleeping.pid, "sleep"))
    finally:
        sleeping.kill()
        sleeping.wait()
    assert finding.state is State.WARNING
    assert finding.found == "64 may be open, 4000 may be needed"
    assert "LimitNOFILE=4000" in finding.remedy


def test_a_port_that_nobody_listens_on_has_no_process() -> None:
    assert listener_on(find_free_port()) is None


def test_the_kernel_is_asked_about_the_clock_and_says_something() -> None:
    assert kept_in_step().subject == "clock"


def test_files_that_root_left_are_told_by_the_services_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    # pytest's own folders are their owner's only.
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        (folder / "wal").mkdir(mode=0o700)
        (folder / "keys.json").write_text("{}")
        (folder / "keys.json").chmod(0o600)
        os.chown(folder, 65534, 65534)
        code = (
            "from pathlib import Path; from streamswarm_core.doctor.files import data_folder\n"
            f"print(*data_folder(Path({str(folder)!r}), needs=1), sep='\\n')"
        )
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
    finally:
        shutil.rmtree(folder)
    if done.returncode and "Permission" in done.stderr:
        pytest.skip("this Python can't be read by an ordinary user")
    assert "may not read and write" in done.stdout, done.stderr
    assert f"{folder}/keys.json" in done.stdout
    assert f"{folder}/wal" in done.stdout
    assert "chown -R nobody: " in done.stdout
