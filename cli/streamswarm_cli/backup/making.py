"""What a backup holds: each part as it is at one moment, while it runs."""

import contextlib
import json
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from streamswarm_cli.backup.archive import ArchiveWriter
from streamswarm_cli.services import COLLECTOR, CONTROLPLANE
from streamswarm_core.errors import ConfigError

DATABASE: Final = "controlplane/controlplane.db"
_COLLECTOR: Final = "collector"
_CONTROLPLANE: Final = "controlplane"
_SNAPSHOT_SECONDS: Final = 3_600.0
_LEFT_OUT: Final = frozenset({"logs", "up.lock", "collector/wal", "collector/store.cold", "collector/snapshot"})
"""What is no state, or is taken from a snapshot."""
_TAKEN_ELSEWHERE: Final = ("collector/store.duckdb", DATABASE)
_UNFINISHED: Final = (".new", ".part", ".sock")


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
        for path in _plain_files(data, data):
            archive.add(path, path.relative_to(data).as_posix())
        if (data / _CONTROLPLANE).is_dir():
            with _database(out.parent) as copy:
                archive.add(copy, DATABASE)
        if points and (data / _COLLECTOR).is_dir():
            with _snapshot(data / _COLLECTOR, out.parent) as snapshot:
                for path in sorted(one for one in snapshot.rglob("*") if one.is_file()):
                    archive.add(path, f"{_COLLECTOR}/{path.relative_to(snapshot).as_posix()}")
    return archive.size


def _plain_files(folder: Path, data: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        name = path.relative_to(data).as_posix()
        if name in _LEFT_OUT or name.startswith(_TAKEN_ELSEWHERE) or path.suffix in _UNFINISHED or path.is_symlink():
            continue
        if path.is_dir():
            yield from _plain_files(path, data)
        elif path.is_file():
            yield path


@contextlib.contextmanager
def _database(room: Path) -> Iterator[Path]:
    """A copy of the control plane's database, as SQLite whatever it is."""
    settings: Any = CONTROLPLANE.load_settings()
    url: str = settings.database
    with tempfile.TemporaryDirectory(prefix=".streamswarm-", dir=room) as folder:
        copy = Path(folder) / "controlplane.db"
        if url.startswith("sqlite"):
            _copy_sqlite(Path(CONTROLPLANE.module("db").connect(url).url.database or ""), copy)
        else:
            db = CONTROLPLANE.module("db")
            source, target = db.connect(url), db.connect(f"sqlite:///{copy.absolute()}")
            try:
                CONTROLPLANE.module("copying").copy_database(source, target)
            finally:
                source.dispose()
                target.dispose()
            _fold_log(copy)
        yield copy


def _copy_sqlite(path: Path, copy: Path) -> None:
    """Copy a database that may be written to meanwhile, by SQLite's own means."""
    if not path.is_file():
        raise ConfigError(f"database {path}: no such file; `streamswarm controlplane init` makes it")
    try:
        with (
            contextlib.closing(sqlite3.connect(path, timeout=60)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        _fold_log(copy)
    except sqlite3.Error as error:
        raise ConfigError(f"database {path}: {error}") from None


def _fold_log(copy: Path) -> None:
    """Make it one file."""
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


@contextlib.contextmanager
def _snapshot(folder: Path, room: Path) -> Iterator[Path]:
    """The collector's store and log at one moment: from the collector if it runs, or else from its files."""
    snapshots = COLLECTOR.module("snapshots")
    path = folder / snapshots.SOCKET
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_SNAPSHOT_SECONDS)
        try:
            with snapshots.short_name(path) as name:
                asking.connect(name)
        except (FileNotFoundError, ConnectionRefusedError):
            pass
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; run this as the user of the collector") from None
        else:
            with asking.makefile("rb") as answers:
                answer = json.loads(answers.readline() or b'{"error": "the collector has ended"}')
            if "error" in answer:
                raise ConfigError(f"the collector gives no snapshot: {answer['error']}")
            yield folder / answer["folder"]
            return
    with _snapshot_of_files(folder, room) as taken:
        yield taken


@contextlib.contextmanager
def _snapshot_of_files(folder: Path, room: Path) -> Iterator[Path]:
    """The same of a collector that doesn't run; the store's lock keeps it from being started meanwhile."""
    settings: Any = COLLECTOR.load_settings()
    store = folder / "store.duckdb"
    with tempfile.TemporaryDirectory(prefix=".streamswarm-", dir=room) as name:
        taken = Path(name)
        if store.exists():
            connection = COLLECTOR.module("store.opening").open_file(store, settings.store_memory)
            try:
                COLLECTOR.module("store.snapshot").snapshot_store(connection, store, taken)
                _link_log(folder / "wal", taken / "wal")
                yield taken
            finally:
                connection.close()
        else:
            _link_log(folder / "wal", taken / "wal")
            yield taken


def _link_log(log: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for segment in sorted(log.glob("*.wal")):
        COLLECTOR.module("store.snapshot").link_or_copy(segment, target / segment.name)
