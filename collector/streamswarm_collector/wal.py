"""The write-ahead log: what the collector has acknowledged and a sink has not taken yet.

A batch is acknowledged when its record is on disk: one thread writes, and one fsync serves every batch that waited for
it (group commit). How it stands there is said in walfiles.py.
"""

import asyncio
import errno
import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final, Literal

from streamswarm_collector.durable import sync
from streamswarm_collector.landmarks import Landmarks
from streamswarm_collector.walfiles import Record, WalReader, first_lsn, frame, recover, segment_path, segments
from streamswarm_core.errors import Unavailable

log = logging.getLogger(__name__)

_MOST_BATCHES_PER_SYNC: Final = 1024
_WORTH_RELEASING: Final = 1_000_000
"""Bytes from which the open segment is begun anew when nobody needs what it holds."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    payload: bytes
    on_durable: Callable[[int], None]
    future: Future[int]


class _NewSegment:
    """In the place of a batch: seal the open segment."""


class Wal:
    """An append-only log in one folder, for one process.

    Args:
        folder: created if missing.
        segment_bytes: a new segment is begun when the current one is larger.
        after: numbers go on behind this one, even if the folder has lost the records up to it.

    Raises:
        OSError: the folder can't be used.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = 32 * 1024 * 1024, after: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._queue: queue.SimpleQueue[_Waiting | _NewSegment | None] = queue.SimpleQueue()
        self._last_lsn = max(recover(folder), after)
        self._path, self._segment = self._open_segment(self._last_lsn + 1)
        self._sizes = threading.Lock()
        self._current_bytes = self._segment.tell()
        self._sealed: dict[Path, int] = {path: path.stat().st_size for path in segments(folder) if path != self._path}
        # A segment's last change is all that is known of the time of those before a start.
        self._landmarks = Landmarks((first_lsn(path), path.stat().st_mtime) for path in segments(folder)[:-1])
        self._appended = threading.Condition()
        self._failure: OSError | None = None
        self._full: tuple[float, OSError] | None = None
        self._thread = threading.Thread(target=self._write_forever, name="wal-writer", daemon=True)
        self._thread.start()

    @property
    def last_lsn(self) -> int:
        """Number of the newest durable record; 0 if there never was one."""
        return self._last_lsn

    @property
    def size(self) -> int:
        """Bytes on disk."""
        with self._sizes:
            return sum(self._sealed.values()) + self._current_bytes

    def age_after(self, lsn: int) -> float:
        """Seconds since the first record after a number became durable; 0 if there is none."""
        if lsn >= self._last_lsn:
            return 0.0
        durable = self._landmarks.time_of(lsn + 1)
        return max(0.0, time.time() - durable) if durable is not None else 0.0

    async def append(self, payload: bytes, on_durable: Callable[[int], None] = lambda _lsn: None) -> int:
        """Make a batch durable and return its number.

        Args:
            payload: what to keep.
            on_durable: called with the number before anybody is told, in the order of the numbers, on the log's thread.

        Raises:
            Unavailable: the disk refuses writes.
        """
        return await asyncio.wrap_future(self.submit(payload, on_durable))

    def submit(self, payload: bytes, on_durable: Callable[[int], None] = lambda _lsn: None) -> Future[int]:
        """Like append, for callers without an event loop; the future resolves after the fsync."""
        waiting = _Waiting(payload, on_durable, Future())
        # From here on it will be written: who stops waiting must not make the future one that can't be resolved.
        waiting.future.set_running_or_notify_cancel()
        if self._failure is not None:
            _refuse([waiting], self._failure)
        else:
            self._queue.put(waiting)
        return waiting.future

    def read(self, after: int) -> Iterator[Record]:
        """Yield the durable records with a number greater than `after`, oldest first, until there is no more.

        A reader that goes on where it stopped keeps the iterator's place with `follow`.
        """
        reader = self.follow(after)
        while (record := reader.next()) is not None:
            yield record
        reader.close()

    def follow(self, after: int) -> WalReader:
        """A reader that begins behind `after` and can be asked again when more was appended."""
        return WalReader(self._folder, lambda: self._last_lsn, after)

    def wait_for_more(self, after: int, seconds: float) -> bool:
        """Block until a record newer than `after` is durable; False if none came in time."""
        with self._appended:
            return self._appended.wait_for(lambda: self._last_lsn > after, seconds)

    def release(self, upto: int) -> None:
        """Delete the sealed segments whose records all have numbers up to `upto`.

        If that is everything, a large open segment is sealed, to be deleted the next time.
        """
        if upto >= self._last_lsn and self._current_bytes > _WORTH_RELEASING:
            self._queue.put(_NewSegment())
        for path, following in itertools.pairwise(segments(self._folder)):
            if first_lsn(following) > upto + 1 or path == self._path:
                return
            path.unlink()
            with self._sizes:
                self._sealed.pop(path, None)
            self._landmarks.release(first_lsn(following) - 1)

    @property
    def failure(self) -> str | None:
        """Why nothing is taken, or was not a moment ago; None if all is well."""
        full = self._full
        # Who sends nothing for that long because of it has to find out when there is room again.
        lately = full[1] if full and time.monotonic() - full[0] < _FULL_SECONDS else None
        why = self._failure or lately
        return str(why) if why else None

    def close(self) -> None:
        """Write what is queued and stop the thread."""
        self._queue.put(None)
        self._thread.join()
        self._segment.close()

    def _open_segment(self, first: int) -> tuple[Path, FileIO]:
        path = segment_path(self._folder, first)
        segment = FileIO(path, "ab")
        try:
            sync(self._folder)  # its name, not only its content
        except OSError:
            segment.close()
            path.unlink()
            raise
        return path, segment

    def _write_forever(self) -> None:
        while True:
            waiting, following = self._take_waiting()
            if waiting and self._failure is not None:
                _refuse(waiting, self._failure)
            elif waiting:
                self._commit(waiting)
            if following == "stop":
                return
            if following == "segment" and self._failure is None:
                self._begin_segment()

    def _take_waiting(self) -> tuple[list[_Waiting], Literal["", "segment", "stop"]]:
        """Wait for one batch and take all that came with it, and say what is to be done behind them."""
        waiting: list[_Waiting] = []
        while (item := self._queue.get()) is not None:
            if isinstance(item, _NewSegment):
                return waiting, "segment"
            waiting.append(item)
            if len(waiting) >= _MOST_BATCHES_PER_SYNC or self._queue.empty():
                return waiting, ""
        return waiting, "stop"

    def _commit(self, waiting: list[_Waiting]) -> None:
        first = self._last_lsn + 1
        frames = b"".join(frame(first + offset, item.payload) for offset, item in enumerate(waiting))
        changed_ns = os.fstat(self._segment.fileno()).st_mtime_ns
        try:
            self._write(frames)
            os.fdatasync(self._segment.fileno())
            self._check_link()
        except OSError as error:
            self._undo(error, changed_ns)
            _refuse(waiting, self._failure or error)
            return
        if self._full:
            log.info("there is room for the log again; points are taken")
            self._full = None
        self._landmarks.add(first, time.time())
        with self._appended:
            self._last_lsn = first + len(waiting) - 1
            self._appended.notify_all()
        for lsn, item in enumerate(waiting, start=first):
            try:
                item.on_durable(lsn)
            except Exception as error:
                # The record is safe in the log, and the next start hands it on; until then nothing may overtake it.
                log.exception("record %d can't be handed on; the log takes no more until it is opened again", lsn)
                self._failure = OSError(f"record {lsn} can't be handed on: {error}")
                _refuse(waiting[lsn - first :], self._failure)
                return
            item.future.set_result(lsn)
        with self._sizes:
            self._current_bytes = self._segment.tell()
        if self._current_bytes >= self._segment_bytes:
            self._begin_segment()

    def _write(self, frames: bytes) -> None:
        rest = memoryview(frames)
        while rest:
            rest = rest[os.write(self._segment.fileno(), rest) :]

    def _check_link(self) -> None:
        """A file that was deleted takes everything and keeps nothing.

        Raises:
            FileNotFoundError: somebody has deleted the segment.
        """
        if not os.fstat(self._segment.fileno()).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "deleted under the running collector", str(self._path))

    def _undo(self, error: OSError, changed_ns: int) -> None:
        """Take back what was not acknowledged: a disk that is full takes the next batch when there is room again.

        After any other failure the kernel may have dropped pages: nothing may be acknowledged any more.
        """
        if error.errno in _NO_ROOM:
            try:
                os.ftruncate(self._segment.fileno(), self._current_bytes)
                # Its time says when the last record was taken.
                os.utime(self._segment.fileno(), ns=(changed_ns, changed_ns))
            except OSError as second:
                error = second
            else:
                if not self._full:
                    log.error("no points are taken until there is room in %s: %s", self._folder, error.strerror)
                self._full = (time.monotonic(), error)
                return
        self._failure = OSError(f"{error}; restart the collector")
        log.error("no more points are taken: %s", self._failure)

    def _begin_segment(self) -> None:
        if not self._current_bytes:
            return
        try:
            path, segment = self._open_segment(self._last_lsn + 1)
        except OSError as error:
            log.warning("%s grows on: no other segment can be begun: %s", self._path.name, error)
            return
        with self._sizes:
            self._sealed[self._path] = self._current_bytes
            self._segment.close()
            self._path, self._segment, self._current_bytes = path, segment, 0


def _refuse(waiting: Iterable[_Waiting], why: OSError) -> None:
    for item in waiting:
        item.future.set_exception(Unavailable(f"the write-ahead log can't be written: {why}"))
