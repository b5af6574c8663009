"""Looks at a collector's log, store and sinks without opening them, for `streamswarm doctor`."""

import contextlib
import fcntl
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import httpx

from streamswarm_collector.settings import CollectorSettings, InfluxSinkSettings
from streamswarm_collector.sinks.deadletters import DeadLetters
from streamswarm_collector.sinks.peer import Peer
from streamswarm_collector.walfiles import first_lsn
from streamswarm_core.doctor.asking import Answer, UnansweredError, ask, reason_of
from streamswarm_core.doctor.files import files_in, is_there, size_of, size_text
from streamswarm_core.doctor.finding import Finding, broken, note, ok, warning
from streamswarm_core.doctor.listeners import Process, process_of
from streamswarm_core.doctor.ownport import OwnPort
from streamswarm_core.doctor.peers import certificate, took, unreached
from streamswarm_core.doctor.starting import how_to_start
from streamswarm_core.settings import variable_name

_FLOCK: Final = "hhqqi4x"
"""struct flock of fcntl(2): kind, whence, start, length, process."""
_MAGIC: Final = slice(8, 12)
_QUIET_SECONDS: Final = 300
_HALF: Final = 0.5
_SINKS: Final = variable_name(CollectorSettings, "sinks")


def log_files(settings: CollectorSettings, *, runs: bool) -> Iterator[Finding]:
    """How full the write-ahead log is, and when it took the last points."""
    folder = settings.folder / "wal"
    paths = files_in(folder, "*.wal")
    size, most = size_of(paths), settings.max_wal_bytes
    kept = f"{size_text(size)} of at most {size_text(most)} is in the log"
    remedy = f"see why a store below doesn't take them, or raise {variable_name(CollectorSettings, 'max_wal_bytes')}"
    if size > most:
        yield broken("log", f"{kept}: agents and others are told to wait", remedy)
    elif size > most * _HALF:
        yield warning("log", kept, remedy)
    else:
        yield ok("log", kept)
    damaged = [path.name for path in files_in(folder, "*.damaged")]
    if damaged:
        yield warning(
            "log", f"part of it was damaged and set aside: {', '.join(damaged)} in {folder}", "look at the disk"
        )
    if runs:
        yield _last_points(paths)


def _last_points(paths: Iterable[Path]) -> Finding:
    remedy = "streamswarm doctor agent, on a host with an agent"
    times = []
    for path in paths:
        # The collector deletes them when every store has what is in them.
        with contextlib.suppress(OSError):
            status = path.stat()
            times += [status.st_mtime] if status.st_size else []
    if not times:
        return note("points", "none have arrived since the log was last emptied", remedy)
    ago = max(0.0, time.time() - max(times))
    if ago > _QUIET_SECONDS:
        return warning("points", f"the last ones were taken {ago / 60:.0f} min ago", remedy)
    return ok("points", f"the last ones were taken {ago:.0f} s ago")


def store_file(settings: CollectorSettings, own: OwnPort) -> Iterator[Finding]:
    """Whether the embedded store's file is one, and who holds it."""
    path = settings.folder / "store.duckdb"
    try:
        with path.open("rb") as file:
            head = file.read(_MAGIC.stop)
            holder = _holder(file.fileno())
    except FileNotFoundError:
        if own.runs:
            found = f"the collector that answers keeps its store elsewhere, there is no {path}"
            yield warning("store", found, "run this with its STREAMSWARM_DATA")
        else:
            yield note("store", f"{path} is made at the first start")
        return
    except OSError as error:
        yield broken("store", f"{path} can't be read: {error.strerror}", "change its owner")
        return
    if head[_MAGIC] != b"DUCK":
        remedy = "take back a backup, or move the file away to begin with an empty store"
        yield broken("store", f"{path} is no store: its beginning is damaged", remedy)
    elif holder is not None and not own.runs:
        found = f"{path} is held by {holder}, so no collector can start"
        yield broken("store", found, f"stop that process, then {how_to_start(settings)}")
    elif holder is None and own.runs:
        found = f"the collector that answers doesn't hold {path}: it keeps its store elsewhere"
        yield warning("store", found, "run this with its STREAMSWARM_DATA")
    else:
        held = f", held by the running collector (process {holder.pid})" if holder else ", held by nobody"
        yield ok("store", f"{path}, {size_text(path.stat().st_size)}{held}")


def _holder(descriptor: int) -> Process | None:
    """Who has a lock on a file that keeps us from locking all of it; asking takes none."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else process_of(pid)


def sinks(settings: CollectorSettings) -> Iterator[Finding]:
    """Whether each further store takes points, and what waits for it or was refused by it."""
    for sink in settings.sinks:
        name, folder = f"sink {sink.name}", settings.folder / "sinks" / sink.name
        yield from _try_sink(name, sink, settings.bucket)
        waiting = _waiting_bytes(settings.folder / "wal", folder / "position")
        if waiting > settings.max_wal_bytes * _HALF:
            yield warning(name, f"{size_text(waiting)} in the log wait for it", "see above why it doesn't take them")
        dead = DeadLetters(folder).bytes if is_there(folder) else 0
        if dead:
            remedy = f"streamswarm collector dead-letters {sink.name} shows why; --resend sends them again"
            yield warning(name, f"{size_text(dead)} of points were refused by it and set aside", remedy)


def queried(settings: CollectorSettings) -> Iterator[Finding]:
    """Whether the store answers that queries are handed on to, where it isn't a sink, which is tried already."""
    if settings.embedded or settings.query_url is None:
        return
    url = str(settings.query_url).rstrip("/")
    try:
        answer = ask(f"{url}/ping")
    except UnansweredError as error:
        yield unreached("queries", url, str(error), variable_name(CollectorSettings, "query_url"))
    else:
        yield ok("queries", f"{url}, which queries are handed on to, answers")
        yield from certificate(url, answer)


def _try_sink(name: str, sink: InfluxSinkSettings, bucket: str) -> Iterator[Finding]:
    url = str(sink.url).rstrip("/")
    try:
        with Peer(sink) as peer:
            answer = peer.write(bucket, b"")
    except httpx.HTTPError as error:
        yield unreached(name, url, reason_of(error), f"its url in {_SINKS}")
        return
    try:
        body = answer.json()
    except ValueError:
        body = {}
    told = Answer(answer.status_code, answer.text, body if isinstance(body, dict) else {})
    yield took(name, url, told, f"url, org or the bucket of {_SINKS}", f"correct its token in {_SINKS}")
    if sink.url.scheme == "https":
        with contextlib.suppress(UnansweredError):
            yield from certificate(url, ask(f"{url}/ping"))


def _waiting_bytes(folder: Path, position: Path) -> int:
    """What is in the log behind a position, to a segment."""
    try:
        done = int(position.read_text())
    except (OSError, ValueError):
        done = 0
    return size_of(path for path in files_in(folder, "*.wal") if first_lsn(path) > done)
