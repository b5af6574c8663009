import asyncio
import os
import resource
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamswarm_collector.wal import Wal
from streamswarm_collector.walfiles import segments
from streamswarm_core.errors import Unavailable
from tests.support import eventually


def payloads(wal: Wal, after: int = 0) -> list[bytes]:
    return [record.payload for record in wal.read(after)]


def append(wal: Wal, *contents: bytes) -> list[int]:
    return [future.result(10) for future in [wal.submit(content) for content in contents]]


def test_records_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    wal = Wal(tmp_path)
    assert append(wal, b"one", b"two") == [1, 2]
    wal.close()
    wal = Wal(tmp_path)
    assert append(wal, b"three") == [3]
    assert payloads(wal) == [b"one", b"two", b"three"]
    assert payloads(wal, after=2) == [b"three"]
    wal.close()


async def test_appending_waits_until_the_batch_is_durable(tmp_path: Path) -> None:
    wal = Wal(tmp_path)
    order: list[int] = []
    assert await wal.append(b"x", order.append) == 1
    assert order == [1]
    assert wal.last_lsn == 1
    wal.close()


async def test_a_client_that_goes_away_while_it_waits_does_not_stop_the_log(tmp_path: Path) -> None:
    wal = Wal(tmp_path)
    handed_on: list[int] = []
    hold, held = threading.Event(), threading.Event()

    def wait(_lsn: int) -> None:
        held.set()
        hold.wait(10)

    first = asyncio.create_task(wal.append(b"first", wait))
    await asyncio.to_thread(held.wait, 10)
    gone = asyncio.create_task(wal.append(b"gone", handed_on.append))
    await asyncio.sleep(0)  # it begins to wait
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    hold.set()
    assert await first == 1
    assert await asyncio.wait_for(wal.append(b"next"), 10) == 3
    assert handed_on == [2]
    wal.close()


def test_a_batch_cut_short_by_a_crash_is_dropped_and_the_log_goes_on(tmp_path: Path) -> None:
    wal = Wal(tmp_path)
    append(wal, b"whole", b"torn" * 100)
    wal.close()
    (segment,) = tmp_path.glob("*.wal")
    segment.write_bytes(segment.read_bytes()[:-7])
    wal = Wal(tmp_path)
    assert payloads(wal) == [b"whole"]
    assert append(wal, b"next") == [2]
    assert payloads(wal) == [b"whole", b"next"]
    wal.close()


def test_damage_in_an_older_segment_is_set_aside_and_later_records_survive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wal = Wal(tmp_path, segment_bytes=10)
    append(wal, b"first")
    append(wal, b"second")
    append(wal, b"third")
    wal.close()
    damaged = sorted(tmp_path.glob("*.wal"))[1]
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 0xFF
    damaged.write_bytes(content)
    wal = Wal(tmp_path, segment_bytes=10)
    assert payloads(wal) == [b"first", b"third"]
    assert "damaged" in caplog.text
    assert next(tmp_path.glob("*.damaged")).read_bytes() == bytes(content)
    wal.close()


def test_segments_that_every_sink_has_are_deleted_and_no_others(tmp_path: Path) -> None:
    wal = Wal(tmp_path, segment_bytes=10)
    for content in (b"one", b"two", b"three"):
        append(wal, content)
    wal.release(upto=2)
    assert payloads(wal) == [b"three"]
    wal.release(upto=3)
    assert append(wal, b"four") == [4]
    wal.close()


def test_numbers_go_on_after_everything_was_released(tmp_path: Path) -> None:
    wal = Wal(tmp_path, segment_bytes=10)
    append(wal, b"one")
    append(wal, b"two")
    wal.release(upto=2)
    wal.close()
    wal = Wal(tmp_path)
    assert append(wal, b"three") == [3]
    wal.close()


def test_a_reader_goes_on_where_it_stopped(tmp_path: Path) -> None:
    wal = Wal(tmp_path, segment_bytes=30)
    reader = wal.follow(0)
    assert reader.next() is None
    append(wal, b"one", b"two")
    append(wal, b"three")
    assert [record.payload for record in iter(reader.next, None)] == [b"one", b"two", b"three"]
    append(wal, b"four")
    assert [record.lsn for record in iter(reader.next, None)] == [4]
    reader.close()
    wal.close()


def test_a_large_segment_that_nobody_needs_goes_even_if_it_is_not_full(tmp_path: Path) -> None:
    wal = Wal(tmp_path)
    append(wal, b"x" * 1_100_000)
    wal.release(0)
    assert append(wal, b"needed") == [2]
    wal.release(2)
    assert append(wal, b"y") == [3]  # comes behind the new segment
    wal.release(2)
    assert wal.size < 1000
    assert payloads(wal) == [b"y"]
    wal.close()
    wal = Wal(tmp_path)
    assert payloads(wal) == [b"y"]
    assert append(wal, b"z") == [4]
    wal.close()


def test_a_record_that_cannot_be_handed_on_stops_the_log_and_is_there_after_a_restart(tmp_path: Path) -> None:
    def fail(_lsn: int) -> None:
        raise ValueError("no such thing")

    wal = Wal(tmp_path)
    append(wal, b"one")
    with pytest.raises(Unavailable, match="record 2 can't be handed on: no such thing"):
        wal.submit(b"two", fail).result(5)
    with pytest.raises(Unavailable, match="record 2"):
        wal.submit(b"three").result(5)
    assert wal.failure is not None
    wal.close()
    wal = Wal(tmp_path)
    assert payloads(wal) == [b"one", b"two"]
    assert append(wal, b"three") == [3]
    wal.close()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_written_again_when_there_is_room_and_said_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    wal = Wal(tmp_path)
    append(wal, b"one")
    (segment,) = segments(tmp_path)
    whole, changed = segment.read_bytes(), segment.stat().st_mtime_ns
    with no_file_larger_than(len(whole) + 500):
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"log can't be written: .*File too large"):
                append(wal, b"x" * 1_000)
            assert (segment.read_bytes(), segment.stat().st_mtime_ns) == (whole, changed)
        assert "File too large" in str(wal.failure)
        assert caplog.messages == [f"no points are taken until there is room in {tmp_path}: File too large"]
        assert append(wal, b"two") == [2]  # it fits
        assert caplog.messages[-1] == "there is room for the log again; points are taken"
        assert str(wal.failure) == "None"
        with pytest.raises(Unavailable):
            append(wal, b"x" * 1_000)
    monkeypatch.setattr("streamswarm_collector.wal._FULL_SECONDS", 0)
    assert str(wal.failure) == "None"  # to be tried again by whoever heeds it
    assert append(wal, b"three", b"x" * 1_000) == [3, 4]
    assert payloads(wal) == [b"one", b"two", b"three", b"x" * 1_000]
    wal.close()
    wal = Wal(tmp_path)
    assert payloads(wal) == [b"one", b"two", b"three", b"x" * 1_000]
    wal.close()


def test_nothing_is_taken_into_a_log_that_was_deleted(tmp_path: Path) -> None:
    wal = Wal(tmp_path / "wal")
    append(wal, b"one")
    shutil.rmtree(tmp_path / "wal")
    for _ in range(2):
        with pytest.raises(Unavailable, match=r"deleted under the running collector: .*restart the collector"):
            append(wal, b"two")
    wal.close()
    wal = Wal(tmp_path / "wal")
    assert append(wal, b"two") == [1]
    wal.close()


def test_after_any_other_failure_of_the_disk_nothing_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    wal = Wal(tmp_path)
    append(wal, b"one")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        with pytest.raises(Unavailable, match="Input/output error; restart the collector"):
            append(wal, b"two")
    with pytest.raises(Unavailable, match="restart the collector"):
        append(wal, b"two")
    wal.close()


def test_a_segment_that_can_not_be_begun_does_not_end_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_folder: Path) -> None:
        raise OSError(28, "No space left on device")

    wal = Wal(tmp_path, segment_bytes=100)
    with monkeypatch.context() as patched:
        patched.setattr("streamswarm_collector.wal.sync", fail)
        assert append(wal, b"x" * 200) == [1]
        assert append(wal, b"y" * 200) == [2]
        eventually(lambda: caplog.text.count("grows on: no other segment can be begun"), lambda count: count == 2)
        assert len(segments(tmp_path)) == 1
    assert append(wal, b"z" * 200) == [3]
    eventually(lambda: len(segments(tmp_path)), lambda count: count == 2)
    assert append(wal, b"one more") == [4]
    assert payloads(wal) == [b"x" * 200, b"y" * 200, b"z" * 200, b"one more"]
    wal.close()
