"""What is kept of the run records, and how much is written for it."""

import random
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streamswarm_agent.runbook import RunBook, record_id
from streamswarm_agent.runfile import RunFile
from streamswarm_core.assignment import RunKind, RunStatus

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def kept(path: Path) -> dict[str, Any]:
    state = asdict(RunFile(path).read())
    return {name: state[name] for name in ("open", "handled", "requests", "unsent")}


def held(book: RunBook) -> dict[str, Any]:
    state = asdict(book._state)
    return {name: state[name] for name in ("open", "handled", "requests", "unsent")}


def without_said(state: dict[str, Any]) -> dict[str, Any]:
    """How much was reported, and the last problem of what goes on, is nothing that is kept beside the report."""
    for record in state["open"].values():
        record["said"], record["problem"] = 0, ""
    return state


def change(book: RunBook, source: random.Random) -> None:
    assignment = f"a{source.randrange(20)}"
    record = record_id(assignment, source.randrange(3))
    match source.randrange(7):
        case 0 | 1:
            book.open(record, assignment, RunKind.SCHEDULED, ends_at=NOON if source.random() < 0.5 else None)
        case 2:
            book.close(record, RunStatus.DONE, "it is over")
        case 3:
            book.handle(assignment, 1, NOON + timedelta(seconds=source.randrange(1000)))
        case 4:
            book.asked(f"r{source.randrange(100)}", datetime.now(UTC) + timedelta(hours=1))
        case 5:
            book.miss(record + "m", assignment, RunKind.MANUAL, None, "too late")
        case 6:
            book.note(assignment, source.choice(["", "timeout"]))
            book.reported(book.to_report(progress=True)[: source.randrange(5)])


@pytest.mark.parametrize("seed", range(3))
def test_what_is_read_is_what_was_held_after_each_change(tmp_path: Path, seed: int) -> None:
    source, path = random.Random(seed), tmp_path / "records.json"
    book = RunBook(path)
    for _ in range(200):
        change(book, source)
        book.save()
        assert without_said(kept(path)) == without_said(held(book))
    assert len(path.read_bytes().splitlines()) > 1, "changes were appended"


def test_a_change_among_thousands_of_records_writes_that_change_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    book = RunBook(path)
    for number in range(1000):
        book.open(f"{number:032x}", f"a{number}", RunKind.SCHEDULED)
    book.save()
    before = path.stat()
    book.close(f"{7:032x}", RunStatus.DONE)
    book.save()
    after = path.stat()
    assert after.st_ino == before.st_ino
    assert 0 < after.st_size - before.st_size < before.st_size / 100


def test_a_file_with_more_changes_than_records_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    book = RunBook(path)
    for number in range(2000):
        book.handle("a", 1, NOON + timedelta(seconds=number))
        book.save()
    assert path.stat().st_size < 100_000
    assert kept(path) == held(book)


def test_a_change_that_a_crash_has_cut_short_is_left_out_and_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    book = RunBook(path)
    book.handle("a", 1, NOON)
    book.save()
    whole = path.read_bytes()
    book.handle("b", 1, NOON)
    book.save()
    both = path.read_bytes()
    for length in range(len(whole), len(both) - 1):
        path.write_bytes(both[:length])
        again = RunBook(path)
        assert again.handled("a")
        assert not again.handled("b")
    again.handle("c", 1, NOON)
    again.save()
    assert kept(path)["handled"].keys() == {"a", "c"}


def test_a_file_that_is_deleted_or_could_not_be_written_is_written_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "records.json"
    book = RunBook(path)
    book.handle("a", 1, NOON)
    book.save()
    path.unlink()
    book.handle("b", 1, NOON)
    book.save()
    assert kept(path)["handled"].keys() == {"a", "b"}
    path.unlink()
    path.mkdir()
    book.handle("c", 1, NOON)
    book.save()
    assert "run records are not kept" in caplog.text
    path.rmdir()
    book.handle("d", 1, NOON)
    book.save()
    assert kept(path)["handled"].keys() == {"a", "b", "c", "d"}


def test_a_file_of_before_which_was_one_line_is_read(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text(
        '{"open": [], "handled": {"a": [2, "2026-01-31T12:00:00+00:00"]},'
        ' "requests": {"r": "2026-01-31T12:00:00+00:00"}, "unsent": []}'
    )
    book = RunBook(path)
    known = book.handled("a")
    assert known is not None
    assert (known.generation, known.moment) == (2, NOON)
    assert not book.asked("r", NOON)
