"""`streamswarm backup` as root, of folders whose owners would like to have what only root may read or write."""

import contextlib
import os
import shutil
import socket
import sqlite3
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from streamswarm_collector.snapshots import SOCKET
from tests.commands import Done, run_command

pytestmark = pytest.mark.enable_socket  # the collector's is a socket of the file system

NOBODY = 65_534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def backup(folder: Path) -> Done:
    return run_command("backup", "x.tar", folder=folder, STREAMSWARM_DATA=str(folder / "data"))


def members(folder: Path) -> set[str]:
    with tarfile.open(folder / "x.tar") as tar:
        return set(tar.getnames()) - {"streamswarm-backup.json", "SHA256SUMS"}


@contextlib.contextmanager
def answering(collector: Path, answer: bytes) -> Iterator[None]:
    """A collector that says this of its snapshot."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(collector / SOCKET))
        listener.listen()

        def serve() -> None:
            asking, _ = listener.accept()
            with asking, contextlib.suppress(OSError):
                asking.sendall(answer)
                if answer.endswith(b"\n"):
                    asking.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(5)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with `secret`, which everybody may enter, unlike those of tests."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "secret").mkdir(mode=0o700)
    (folder / "secret/key").write_text("hush")
    (folder / "data/collector/wal").mkdir(parents=True)
    (folder / "data/collector/keys.json").write_text("{}")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("said", ["../../secret", "{place}/secret", "snapshot/../../../secret"])
def test_a_collectors_word_leads_nowhere_else(place: Path, said: str) -> None:
    (place / "data/collector/snapshot").mkdir()
    (place / "data/collector/snapshot/store.duckdb").write_text("DUCK")
    with answering(place / "data/collector", b'{"folder": "%s"}\n' % said.format(place=place).encode()):
        assert backup(place).returncode == 0
    assert members(place) == {"collector/keys.json", "collector/store.duckdb"}


@pytest.mark.parametrize("answer", [b"x" * 10_000_000, b"[]\n", b"\xff\n", b""])
def test_a_collector_that_answers_nonsense_gives_no_snapshot(place: Path, answer: bytes) -> None:
    with answering(place / "data/collector", answer):
        done = backup(place)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the collector gives no snapshot" in done.stderr


def test_a_snapshot_that_is_a_link_is_none(place: Path) -> None:
    (place / "data/collector/snapshot").symlink_to(place / "secret")
    with answering(place / "data/collector", b'{"folder": "snapshot"}\n'):
        done = backup(place)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not (place / "x.tar").exists()


def test_links_and_pipes_are_left_out_wherever_they_are(place: Path) -> None:
    (place / "data/collector/snapshot").mkdir()
    for folder in ("data/collector", "data/collector/snapshot"):
        (place / folder / "link").symlink_to(place / "secret/key")
        (place / folder / "folder").symlink_to(place / "secret")
        os.mkfifo(place / folder / "pipe")
    with answering(place / "data/collector", b'{"folder": "snapshot"}\n'):
        assert backup(place).returncode == 0
    assert members(place) == {"collector/keys.json"}


@AS_ROOT
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE cold AS SELECT '../../planted' AS file",
        """CREATE TABLE a (b INTEGER); CREATE TABLE "a"" SELECT 1; COPY a TO '{place}/room/planted'; --" (b INTEGER)""",
    ],
    ids=["file", "table"],
)
def test_a_stopped_collectors_store_makes_no_file_as_root(place: Path, statement: str) -> None:
    store, room = place / "data/collector/store.duckdb", place / "room"
    room.mkdir(mode=0o700)
    with duckdb.connect(str(store)) as connection:
        connection.execute(statement.format(place=place))
    store.with_suffix(".cold").mkdir()
    (place / "data/planted").write_text("planted")
    for path in (place / "data", *(place / "data").rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    out = room / "x.tar"
    run_command("backup", str(out), folder=place, STREAMSWARM_DATA=str(place / "data"))
    assert {path.name for path in room.iterdir()} <= {out.name}


@AS_ROOT
def test_a_stopped_collectors_log_leads_nowhere_else(place: Path) -> None:
    (place / "data/collector/wal/1.wal").symlink_to(place / "secret/key")
    (place / "data/collector/wal/2.wal").write_text("points")
    for path in (place / "data", *(place / "data").rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    assert backup(place).returncode == 0
    assert members(place) == {"collector/keys.json", "collector/wal/2.wal"}
    assert not list((place / "data/collector").glob("snapshot*"))


@AS_ROOT
@pytest.mark.parametrize("link", ["controlplane.db-shm", "controlplane.db-wal", "controlplane.db"])
def test_what_lies_beside_a_database_leads_nowhere_else(place: Path, link: str) -> None:
    database = place / "data/controlplane/controlplane.db"
    database.parent.mkdir()
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE users (name TEXT)")
    if link == database.name:
        database.replace(place / "secret/key")
    secret = (place / "secret/key").read_bytes()
    database.with_name(link).symlink_to(place / "secret/key")
    for path in (place / "data", *(place / "data").rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    done = backup(place)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert (place / "secret/key").read_bytes() == secret
    assert not (place / "x.tar").exists()
    assert not list(database.parent.glob("copy.*"))
