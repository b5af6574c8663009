import logging
from collections import deque
from typing import Final

from streamswarm_collector.batch import Batch, split_payload
from streamswarm_collector.ingest import parse_rows
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.wal import Wal
from streamswarm_core.errors import Unavailable

log = logging.getLogger(__name__)

_REPLAYED_AT_ONCE: Final = 16_000_000
"""Bytes of the log that are in memory as points at a time; they take ten times as much there."""


class EmbeddedSink:
    """Hands acknowledged batches to the embedded store, which keeps its own position in its file."""

    name = "embedded"

    def __init__(self, store: EmbeddedStore, wal: Wal) -> None:
        self._store = store
        self._wal = wal
        self._unstored: deque[tuple[int, int]] = deque()
        self._added_bytes = self._stored_bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """Line protocol that is in memory and not yet in the file; to be asked by one thread."""
        while self._unstored and self._unstored[0][0] <= self._store.stored_lsn:
            self._stored_bytes = self._unstored.popleft()[1]
        return self._added_bytes - self._stored_bytes

    @property
    def position(self) -> int:
        """Number of the newest record that the store has."""
        return self._store.stored_lsn

    @property
    def failure(self) -> str | None:
        """Why the store doesn't take anything at the moment, or None."""
        return self._store.failure

    def replay(self) -> int:
        """Bring the store up to the log after a start; returns how many points were missing.

        Raises:
            Unavailable: the disk refuses.
        """
        points = waiting = 0
        for record in self._wal.read(self._store.stored_lsn):
            database, lines = split_payload(record.payload)
            rows = list(parse_rows(lines.decode()))
            self._store.add(record.lsn, database, rows)
            points += len(rows)
            waiting += len(lines)
            if waiting > _REPLAYED_AT_ONCE:
                self._wait_until_stored()
                waiting = 0
        self._wait_until_stored()
        if points:
            log.info("took %d points from the log that the store did not have yet", points)
        return points

    def _wait_until_stored(self) -> None:
        """However long it takes: if a start gave up the slow way, the next one would have the same before it."""
        while True:
            try:
                self._store.flush()
            except Unavailable:
                if self._store.failure:
                    raise
            else:
                return

    def add(self, lsn: int, batch: Batch, size: int) -> None:
        """Take a batch that has just become durable, of so many bytes in the log."""
        self._added_bytes += size
        self._unstored.append((lsn, self._added_bytes))
        self._store.add(lsn, batch.database, batch.rows, batch.blocks)
