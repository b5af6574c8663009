"""`streamswarm backup` of services that run, and what `streamswarm restore` makes of it."""

import json
import os
import resource
import socket
import sqlite3
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from streamswarm_collector.snapshots import SOCKET, short_name
from tests.commands import Done, run_command
from tests.conftest import leave_out
from tests.postgres import MISSING, find_program, run_postgresql
from tests.support import eventually, find_free_port, run_server

WRITES = "/write?db=streamswarm"


@contextmanager
def running(service: str, folder: Path) -> Iterator[str]:
    port = find_free_port()
    environment = {
        **os.environ,
        "STREAMSWARM_DATA": str(folder),
        f"STREAMSWARM_{service.upper()}_PORT": str(port),
        "STREAMSWARM_COLLECTOR_AUTH": "false",
        "STREAMSWARM_COLLECTOR_REFLECTOR": "false",
        "STREAMSWARM_COLLECTOR_COLD_DAYS": "1",
        "STREAMSWARM_COLLECTOR_MAINTENANCE_SECONDS": "1",
    }
    log = folder.with_name(f"{folder.name}-{service}.log")
    command = (sys.executable, "-m", "streamswarm_cli", service, "run")
    url = f"http://127.0.0.1:{port}"
    with run_server(command, f"{url}/health", log, env=environment):
        yield url


def streamswarm(*arguments: str, folder: Path, data: str = "data") -> Done:
    return run_command(*arguments, folder=folder, STREAMSWARM_DATA=str(folder / data))


def stream(url: str, acknowledged: list[int], stop: threading.Event) -> None:
    """Write numbered points, whose days begin with the epoch's, so that most of them become cold."""
    with httpx.Client(timeout=30) as client:
        while not stop.wait(0.02):  # or days come faster than they can be rolled up and become cold
            numbers = range(len(acknowledged), len(acknowledged) + 20)
            lines = "\n".join(f"m,host=a n={number}i {1 + number * 3_600_000_000_000}" for number in numbers)
            client.post(url + WRITES, content=lines).raise_for_status()
            acknowledged.extend(numbers)


def stored(url: str) -> list[int]:
    answer = httpx.get(url + "/query", params={"db": "streamswarm", "q": "SELECT n FROM m", "epoch": "ns"}).json()
    return [row[1] for row in answer["results"][0]["series"][0]["values"]]


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    if not find_program("initdb"):
        leave_out(MISSING)
    with run_postgresql() as server:
        yield server.url(server.new_database())


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder with `data`, in which a control plane and the agent's and ML service's files have been."""
    assert streamswarm("controlplane", "init", folder=tmp_path).returncode == 0
    for name in ("agent/credential.json", "ml/state.key", "logs/agent.log", "agent/spool/1.lines"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(name)
    return tmp_path


@pytest.mark.enable_socket  # the collector's is a socket of the file system
def test_a_backup_under_load_has_every_point_that_was_acknowledged_before_it(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    stop = threading.Event()
    with running("collector", tmp_path / "data") as url:
        writer = threading.Thread(target=stream, args=(url, acknowledged, stop))
        writer.start()
        eventually(lambda: [*(tmp_path / "data/collector/store.cold").glob("*.parquet")], bool, seconds=60)
        before = len(acknowledged)
        done = streamswarm("backup", "x.tar", folder=tmp_path)
        stop.set()
        writer.join()
        eventually((tmp_path / "data/collector/snapshot").exists, lambda there: not there)
    assert done.returncode == 0, done.stderr
    assert streamswarm("restore", "x.tar", folder=tmp_path, data="other").returncode == 0
    assert streamswarm("store", "check", folder=tmp_path, data="other").returncode == 0
    with running("collector", tmp_path / "other") as url:
        found = stored(url)
        assert found == list(range(len(found)))
        assert before <= len(found) <= len(acknowledged)
        httpx.post(url + WRITES, content="m,host=a n=-1i 0").raise_for_status()
        assert stored(url)[0] == -1


def test_users_keys_and_files_are_there_again_and_only_for_their_user(kept: Path) -> None:
    with running("controlplane", kept / "data") as url:
        assert streamswarm("backup", "x.tar.gz", folder=kept).returncode == 0
        keys = httpx.get(f"{url}/api/v1/keys").json()
    assert stat.S_IMODE((kept / "x.tar.gz").stat().st_mode) == 0o600
    assert streamswarm("restore", "x.tar.gz", folder=kept, data="other").returncode == 0
    files = {path.relative_to(kept / "other").as_posix() for path in (kept / "other").rglob("*") if path.is_file()}
    assert {"agent/credential.json", "ml/state.key", "agent/spool/1.lines", "secrets/ml.token"} <= files
    assert not [name for name in files if name.startswith("logs")]
    assert {stat.S_IMODE((kept / "other" / name).stat().st_mode) for name in files} == {0o600}
    with running("controlplane", kept / "other") as url:
        assert httpx.get(f"{url}/api/v1/keys").json() == keys
    assert "set up already" in streamswarm("controlplane", "init", folder=kept, data="other").stdout


def test_a_folder_in_use_is_left_alone(kept: Path) -> None:
    assert streamswarm("backup", "x.tar", folder=kept).returncode == 0
    done = streamswarm("restore", "x.tar", folder=kept)
    assert done.returncode == 2
    assert "controlplane, logs, ml" in done.stderr
    assert (kept / "data/logs/agent.log").read_text() == "logs/agent.log"


@pytest.mark.parametrize("name", ["x.tar", "x.tgz"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_truncated_archive_is_refused_and_leaves_nothing(kept: Path, name: str, part: float) -> None:
    assert streamswarm("backup", name, folder=kept).returncode == 0
    whole = (kept / name).read_bytes()
    sums = whole.rfind(b"SHA256SUMS") if name == "x.tar" else len(whole)
    (kept / name).write_bytes(whole[: int(sums * part)])
    for command in (("restore", "--check", name), ("restore", name)):
        done = streamswarm(*command, folder=kept, data="other")
        assert done.returncode == 2
        assert "cut short" in done.stderr
    assert list((kept / "other").iterdir()) == []


def test_a_changed_archive_is_refused(kept: Path) -> None:
    assert streamswarm("backup", "x.tar", folder=kept).returncode == 0
    content = (kept / "x.tar").read_bytes()
    (kept / "x.tar").write_bytes(content.replace(b"ml/state.key" + bytes(88), b"ml/state.kez" + bytes(88)))
    done = streamswarm("restore", "--check", "x.tar", folder=kept)
    assert "cut short" in done.stderr  # tar's own sum of the name
    (kept / "x.tar").write_bytes(
        content.replace(b"agent/credential.json" + bytes(491), b"AGENT/credential.json" + bytes(491))
    )
    done = streamswarm("restore", "x.tar", folder=kept, data="other")
    assert "changed since it was made: agent/credential.json" in done.stderr
    assert list((kept / "other").iterdir()) == []


def test_names_that_lead_out_of_the_folder_are_refused(kept: Path) -> None:
    assert streamswarm("backup", "x.tar", folder=kept).returncode == 0
    with tarfile.open(kept / "x.tar", "a") as archive:
        archive.add(kept / "data/ml/state.key", "../out")
    with tarfile.open(kept / "x.tar") as archive, tarfile.open(kept / "y.tar", "w") as evil:
        members = archive.getmembers()
        for member in [members[0], members[-1], *members[1:-1]]:
            evil.addfile(member, archive.extractfile(member))
    done = streamswarm("restore", "y.tar", folder=kept, data="other")
    assert "'../out' is no plain file in it" in done.stderr
    assert not (kept / "out").exists()


def test_a_full_disk_leaves_the_old_backup_and_nothing_else(kept: Path) -> None:
    (kept / "out").mkdir()
    (kept / "out/x.tar").write_text("old")
    done = subprocess.run(
        [sys.executable, "-m", "streamswarm_cli", "backup", str(kept / "out/x.tar")],
        env={**os.environ, "STREAMSWARM_DATA": str(kept / "data"), "COLUMNS": "200"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert [(path.name, path.read_text()) for path in (kept / "out").iterdir()] == [("x.tar", "old")]


def test_a_backup_of_a_newer_program_is_refused_before_anything_is_put_in_place(kept: Path) -> None:
    with sqlite3.connect(kept / "data/controlplane/controlplane.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert streamswarm("backup", "x.tar", folder=kept).returncode == 0
    done = streamswarm("restore", "x.tar", folder=kept, data="other")
    assert "revision 9999" in done.stderr
    assert list((kept / "other").iterdir()) == []


@pytest.mark.enable_socket  # the collector's is a socket of the file system
def test_a_second_backup_waits_for_its_turn_and_a_killed_one_leaves_nothing(tmp_path: Path) -> None:
    with running("collector", tmp_path / "data"):
        with socket.socket(socket.AF_UNIX) as first, short_name(tmp_path / "data/collector" / SOCKET) as name:
            first.connect(name)
            assert "folder" in json.loads(first.makefile().readline())
            done = streamswarm("backup", "x.tar", folder=tmp_path)
            assert "another backup is being made" in done.stderr
            assert not list(tmp_path.glob("x.tar*"))
        eventually((tmp_path / "data/collector/snapshot").exists, lambda there: not there)
        assert streamswarm("backup", "x.tar", folder=tmp_path).returncode == 0


def test_a_backup_of_sqlite_can_be_brought_into_postgresql_and_back(kept: Path, postgresql_url: str) -> None:
    assert streamswarm("backup", "x.tar", folder=kept).returncode == 0
    there = {"STREAMSWARM_CONTROLPLANE_DATABASE_URL": postgresql_url}
    for data, archive in (("other", "x.tar"), ("more", "y.tar")):
        environment = {"STREAMSWARM_DATA": str(kept / data), **(there if data == "other" else {})}
        assert run_command("restore", archive, folder=kept, **environment).returncode == 0
        assert (kept / data / "controlplane/controlplane.db").exists() == (data == "more")
        done = run_command("controlplane", "init", folder=kept, **environment)
        assert "set up already" in done.stdout
        done = run_command("backup", "y.tar", folder=kept, **environment)
        assert done.returncode == 0, done.stderr
    filled = {**there, "STREAMSWARM_DATA": str(kept / "third")}
    assert "isn't empty" in run_command("restore", "x.tar", folder=kept, **filled).stderr
