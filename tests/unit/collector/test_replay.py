"""The log is read back at a start, however much of it there is and however slow the disk."""

import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from streamswarm_collector.batch import Block, Row
from streamswarm_collector.sinks import embedded
from streamswarm_collector.sinks.embedded import EmbeddedSink
from streamswarm_collector.store import writer
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.wal import Wal
from streamswarm_core.errors import Unavailable
from tests.unit.collector.conftest import rows_of


class WatchedStore(EmbeddedStore):
    """Notes how many records were added beyond those that were stored."""

    most_waiting = 0

    def add(self, lsn: int, bucket: str, rows: Sequence[Row], blocks: Sequence[Block] = ()) -> None:
        """The same."""
        super().add(lsn, bucket, rows, blocks)
        self.most_waiting = max(self.most_waiting, lsn - self.stored_lsn)


class ImpatientStore(EmbeddedStore):
    """Says when it hasn't written in time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.waited_in_vain = threading.Event()

    def flush(self) -> None:
        """The same."""
        try:
            super().flush()
        except Unavailable:
            self.waited_in_vain.set()
            raise


def log_of(folder: Path, records: int) -> Wal:
    log = Wal(folder)
    for number in range(records):
        log.submit(f"d\nm v={number} {number}".encode()).result()
    return log


def test_a_store_that_is_slow_to_write_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BARRIER_SECONDS", 0.01)
    with closing(log_of(tmp_path / "wal", 3)) as log, closing(ImpatientStore(tmp_path / "s.duckdb")) as store:
        held = threading.Event()

        def hold_up() -> None:
            with store.rewriting():
                held.set()
                store.waited_in_vain.wait(20)

        holding = threading.Thread(target=hold_up)
        holding.start()
        held.wait()
        assert EmbeddedSink(store, log).replay() == 3
        holding.join()
        assert store.waited_in_vain.is_set()
        monkeypatch.undo()
        assert len(rows_of(store, "m")) == 3


def test_of_a_long_log_only_a_part_is_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_REPLAYED_AT_ONCE", 30)
    with closing(log_of(tmp_path / "wal", 50)) as log, closing(WatchedStore(tmp_path / "s.duckdb")) as store:
        assert EmbeddedSink(store, log).replay() == 50
        assert store.most_waiting <= 5
        assert len(rows_of(store, "m")) == 50
