"""What a backup holds: each part as it is at one moment, while it runs."""

import contextlib
import json
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from streamswarm_cli.backup.archive import ArchiveWriter
from streamswarm_cli.backup.othersfiles import acting_as_owner, plain_files
from streamswarm_cli.services import COLLECTOR, CONTROLPLANE
from streamswarm_core.errors import ConfigError

_COLLECTOR: Final = "collector"
_CONTROLPLANE: Final = "controlplane"
_DATABASE_FILE: Final = "controlplane.db"
DATABASE: Final = f"{_CONTROLPLANE}/{_DATABASE_FILE}"
_SNAPSHOT_SECONDS: Final = 3_600.0
_LEFT_OUT: Final = frozenset({"logs", "up.lock", "collector/wal", "collector/store.cold", "collector/snapshot"})
"""What is no state, or is taken from a snapshot."""
_TAKEN_ELSEWHERE: Final = ("collector/store.duckdb", DATABASE)
_UNFINISHED: Final = (".new", ".part", ".sock")
_LONGEST_ANSWER: Final = 4_096


def make_backup(data: Path, out: Path, *, points: bool) -> int:
    """Write everything that a data folder holds into an archive; services may go on running.

    Args:
        data: the data folder.
        out: the archive.
        points: whether the collector's points and log are wanted.

    Returns:
        Bytes of the archive.

    Raises:
        ConfigError: there is nothing to keep, or a part can't be read.
        OSError: the archive can't be written.
    """
    if not data.is_dir() or not any(data.iterdir()):
        raise ConfigError(f"data folder {data}: nothing is there; STREAMSWARM_DATA names another")
    if out.absolute().is_relative_to(data.absolute()):
        raise ConfigError(f"{out}: is in the data folder {data}; choose a place outside of it")
    with ArchiveWriter(out) as archive:
        # Before the collector's log: how far it was forwarded has to be no further than what the log still has.
        for name, file in plain_files(data.resolve(), _is_left_out):
            archive.add(file, name)
        if (data / _CONTROLPLANE).is_dir():
            with _database(out.parent) as copied:
                for name, file in plain_files(copied, lambda name: name != _DATABASE_FILE):
                    archive.add(file, f"{_CONTROLPLANE}/{name}")
        if points and (data / _COLLECTOR).is_dir():
            with _snapshot(data / _COLLECTOR) as snapshot:
                for name, file in plain_files(snapshot):
                    archive.add(file, f"{_COLLECTOR}/{name}")
    return archive.size


def _is_left_out(name: str) -> bool:
    return name in _LEFT_OUT or name.startswith(_TAKEN_ELSEWHERE) or name.endswith(_UNFINISHED)


@contextlib.contextmanager
def _database(room: Path) -> Iterator[Path]:
    """A folder with a copy of the control plane's database, as SQLite whatever it is."""
    settings: Any = CONTROLPLANE.load_settings()
    url: str = settings.database
    if url.startswith("sqlite"):
        with _copy_of_sqlite(Path(CONTROLPLANE.module("db").connect(url).url.database or "")) as folder:
            yield folder
        return
    with tempfile.TemporaryDirectory(prefix=".streamswarm-", dir=room) as name:
        copy = Path(name) / _DATABASE_FILE
        db = CONTROLPLANE.module("db")
        source, target = db.connect(url), db.connect(f"sqlite:///{copy.absolute()}")
        try:
            CONTROLPLANE.module("copying").copy_database(source, target)
        finally:
            source.dispose()
            target.dispose()
        _fold_log(copy)
        yield copy.parent


@contextlib.contextmanager
def _copy_of_sqlite(path: Path) -> Iterator[Path]:
    """The same of a database that may be written to meanwhile, by SQLite's own means."""
    if not path.is_file():
        raise ConfigError(f"database {path}: no such file; `streamswarm controlplane init` makes it")
    with contextlib.ExitStack() as stack:
        # SQLite writes to the files beside a database, and what bears their names may lead anywhere.
        with acting_as_owner(path.parent):
            folder = Path(tempfile.mkdtemp(prefix="copy.", suffix=".part", dir=path.parent))
            stack.callback(_remove, path.parent, folder)
            copy = folder / _DATABASE_FILE
            try:
                with (
                    contextlib.closing(sqlite3.connect(path, timeout=60)) as source,
                    contextlib.closing(sqlite3.connect(copy)) as target,
                ):
                    source.backup(target)
                _fold_log(copy)
            except sqlite3.Error as error:
                raise ConfigError(f"database {path}: {error}") from None
        yield folder


def _fold_log(copy: Path) -> None:
    """Make it one file."""
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


@contextlib.contextmanager
def _snapshot(folder: Path) -> Iterator[Path]:
    """The collector's store and log at one moment: from the collector if it runs, or else from its files."""
    snapshots = COLLECTOR.module("snapshots")
    path = folder / snapshots.SOCKET
    with snapshots.short_name(path) as name, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_SNAPSHOT_SECONDS)
        try:
            asking.connect(name)
        except (FileNotFoundError, ConnectionRefusedError):
            pass
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; run this as the user of the collector") from None
        else:
            _ask_for_snapshot(asking)
            yield Path(name).with_name(snapshots.FOLDER)  # of the folder that was asked, whatever has its name now
            return
    with _snapshot_of_files(folder) as taken:
        yield taken


def _ask_for_snapshot(asking: socket.socket) -> None:
    """Let the collector make one, in the place that it has for it."""
    with asking.makefile("rb") as answers:
        line = answers.readline(_LONGEST_ANSWER)
    if not line:
        raise ConfigError("the collector gives no snapshot: it has ended")
    try:
        refusal = json.loads(line).get("error")
    except (ValueError, AttributeError):
        refusal = "its answer can't be read"
    if refusal is not None:
        raise ConfigError(f"the collector gives no snapshot: {refusal}")


@contextlib.contextmanager
def _snapshot_of_files(folder: Path) -> Iterator[Path]:
    """The same of a collector that doesn't run; the store's lock keeps it from being started meanwhile."""
    settings: Any = COLLECTOR.load_settings()
    opening, copying = COLLECTOR.module("store.opening"), COLLECTOR.module("store.snapshot")
    store = folder / "store.duckdb"
    with contextlib.ExitStack() as stack:
        with acting_as_owner(folder):
            taken = Path(tempfile.mkdtemp(prefix="snapshot.", suffix=".part", dir=folder))
            stack.callback(_remove, folder, taken)
            if store.exists():
                connection = opening.open_file(store, settings.store_memory)
                stack.callback(_close, folder, connection)
                copying.snapshot_store(connection, store, taken)
            (taken / "wal").mkdir(mode=0o700)
            for segment in sorted((folder / "wal").glob("*.wal")):
                copying.link_or_copy(segment, taken / "wal" / segment.name)
        yield taken


def _remove(folder: Path, taken: Path) -> None:
    with acting_as_owner(folder):
        shutil.rmtree(taken, ignore_errors=True)


def _close(folder: Path, connection: Any) -> None:
    with acting_as_owner(folder):
        connection.close()
