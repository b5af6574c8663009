import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from streamswarm_agent import spool as spool_module
from streamswarm_agent.probes.direct import Reading
from streamswarm_agent.spool import Spool
from streamswarm_core.catalogue.distribution import ICMP_RTT
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.lineprotocol import parse_line, split_lines
from streamswarm_core.point import Point
from streamswarm_core.serieslines import SeriesLines


def point(time_ns: int = 1) -> Point:
    return ICMP.point({"target": "x"}, time_ns=time_ns, up=1)


def drain(spool: Spool) -> list[Point]:
    """Take everything out, as the sender does."""
    spool.seal()
    taken = []
    while (segment := spool.oldest()) is not None:
        path, lines = segment
        taken += [parse_line(line) for _, line in split_lines(lines.decode())]
        spool.delete(path)
    return taken


def numbers(points: list[Point]) -> list[object]:
    return [one.fields["seq"] for one in points]


def kill(spool: Spool) -> None:
    """What kill -9 a moment later leaves of it: the files as they are, nothing written any more."""
    spool.flush()
    if spool._open:
        spool._open.close()


def open_spool(folder: Path, max_bytes: int = 10_000_000) -> Spool:
    return Spool(folder, max_bytes=max_bytes)


def test_points_come_out_in_order_with_their_tags_and_run_numbers(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    for run in range(3):
        spool.add_run("a", [point(run)], {"test": "t"})
    taken = drain(spool)
    assert [one.time_ns for one in taken] == [0, 1, 2]
    assert numbers(taken) == [1, 2, 3]
    assert {one.tags["test"] for one in taken} == {"t"}
    assert spool.oldest() is None


def test_all_points_of_a_run_have_the_same_number(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.add_run("a", [point(1), point(2)], {})
    assert numbers(drain(spool)) == [1, 1]


def test_a_reading_is_written_as_its_points_would_be(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    tags = {"target": "x", "test": "t"}
    more = ICMP_RTT.point(tags, time_ns=7, sum=0.5, count=1)
    spool.add_run("a", [point(7), more], {"test": "t"})
    spool.add_outcome("a", Reading(SeriesLines(ICMP, tags), {"up": 1}, 7, [more]))
    assert spool.points == 4
    first, second, third, fourth = drain(spool)
    assert third == replace(first, fields={**first.fields, "seq": 2})
    assert fourth == second == more
    assert spool.points == 0


@pytest.mark.parametrize("delivered", [True, False])
def test_run_numbers_go_on_after_a_kill_without_gap_or_repetition(tmp_path: Path, *, delivered: bool) -> None:
    spool = open_spool(tmp_path)
    taken = []
    for _ in range(3):
        spool.add_run("a", [point()], {})
        spool.add_run("b", [point()], {})
    if delivered:
        taken = drain(spool)
    kill(spool)
    again = open_spool(tmp_path)
    again.add_run("a", [point()], {})
    assert sorted(map(str, numbers([*taken, *drain(again)]))) == ["1", "1", "2", "2", "3", "3", "4"]


def test_what_was_delivered_before_a_kill_is_not_sent_again_and_leaves_nothing_on_disk(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.add_run("a", [point()], {})
    assert drain(spool)
    kill(spool)
    again = open_spool(tmp_path)
    assert (again.points, again.size, again.oldest()) == (0, 0, None)
    assert [path.name for path in tmp_path.iterdir()] == ["runs.json"]


def test_a_text_with_line_breaks_is_no_line_of_the_spools_own(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    text = "the server says:\n#run a\n#run a 7 times\u2028#run b 9\x85#run"
    spool.add_run("a", [ICMP.point({"target": "x"}, time_ns=1, up=0, error_detail=text)], {})
    kill(spool)
    spool = open_spool(tmp_path)
    spool.add_run("a", [point(2)], {})
    first, second = drain(spool)
    assert first.fields["error_detail"] == text
    assert numbers([first, second]) == [1, 2]


def test_a_line_that_was_being_written_when_the_agent_was_killed_is_cut_off(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.add_run("a", [point(1)], {})
    spool.add_run("a", [point(2)], {})
    kill(spool)
    (segment,) = tmp_path.glob("*.lines")
    segment.write_bytes(segment.read_bytes()[:-10])
    assert [one.time_ns for one in drain(open_spool(tmp_path))] == [1]


def test_what_was_not_handed_over_when_the_agent_was_killed_leaves_no_gap_in_the_numbers(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.add_run("a", [point(1)], {})
    spool.flush()
    spool.add_run("a", [point(2)], {})
    again = open_spool(tmp_path)
    again.add_run("a", [point(3)], {})
    assert [(one.time_ns, one.fields["seq"]) for one in drain(again)] == [(1, 1), (3, 2)]
    if spool._open:
        spool._open.close()


class Full:
    """A file on a disk that takes nothing more after so many bytes."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self._file = file
        self._room = room

    def write(self, content: bytes) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = self._file.write(content[: self._room])
        self._room -= taken
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_points_that_a_full_disk_does_not_take_wait_in_memory_and_leave_no_half_line(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.add_run("a", [point(1)], {})
    spool.flush()
    assert spool._open
    file = spool._open
    spool._open = Full(file, 30)  # type: ignore[assignment] # a file as far as the spool writes to it
    spool.add_run("a", [point(2), point(3)], {})
    spool.flush()
    spool.add_run("a", [point(4)], {})
    assert (spool.points, spool.dropped_points) == (4, 0)
    assert [(one.time_ns, one.fields["seq"]) for one in drain(spool)] == [(1, 1), (2, 2), (3, 2), (4, 3)]


def test_what_waits_in_memory_is_bounded_and_goes_to_disk_at_the_end_if_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_HELD_BYTES", 200)
    spool = open_spool(tmp_path / "spool")
    shutil.rmtree(tmp_path / "spool")
    (tmp_path / "spool").touch()
    for run in range(20):
        spool.add_run("a", [point(run)], {})
        spool.flush()
    assert spool.dropped_points > 0
    assert spool.points + spool.dropped_points == 20
    (tmp_path / "spool").unlink()
    (tmp_path / "spool").mkdir()
    kept = spool.points
    spool.close()
    assert open_spool(tmp_path / "spool").points == kept


def test_a_folder_that_is_deleted_under_the_agent_is_made_anew(tmp_path: Path) -> None:
    spool = open_spool(tmp_path / "spool")
    spool.add_run("a", [point(1)], {})
    spool.seal()
    shutil.rmtree(tmp_path / "spool")
    assert spool.oldest_age == 0
    spool.add_run("a", [point(2)], {})
    assert [(one.time_ns, one.fields["seq"]) for one in drain(spool)] == [(2, 2)]
    assert spool.dropped_points == 1
    spool.close()
    assert open_spool(tmp_path / "spool")._runs == {"a": 2}


@pytest.mark.parametrize("garbage", ["", "[1]", '{"a": "x"}', "{"])
def test_run_numbers_that_can_not_be_read_are_taken_from_what_waits(tmp_path: Path, garbage: str) -> None:
    spool = open_spool(tmp_path)
    spool.add_run("a", [point(1)], {})
    spool.close()
    (tmp_path / "runs.json").write_text(garbage)
    (tmp_path / "notes.lines").write_text("somebody's own")
    again = open_spool(tmp_path)
    again.add_run("a", [point(2)], {})
    assert [(one.time_ns, one.fields["seq"]) for one in drain(again)] == [(1, 1), (2, 2)]


def test_what_was_delivered_makes_room_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _content: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(spool_module, "write_state", full)
    spool = open_spool(tmp_path)
    spool.add_run("a", [point(1)], {})
    drain(spool)
    spool.close()
    assert not list(tmp_path.iterdir())


def test_when_the_disk_budget_is_used_up_the_oldest_points_go_and_are_counted(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, max_bytes=200)
    for run in range(20):
        spool.add_run("a", [point(run)], {})
        spool.seal()
    assert spool.size <= 200
    assert spool.dropped_points > 0
    taken = drain(spool)
    assert spool.dropped_points + len(taken) == 20
    assert taken[-1].fields["seq"] == 20


def test_it_says_how_much_waits(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    spool.add_run("a", [point(), point()], {})
    assert spool.points == 2
    spool.flush()
    assert spool.points == 2
    assert spool.size > 0
    spool.seal()
    assert spool.points == 2
    drain(spool)
    assert (spool.points, spool.size, spool.oldest_age) == (0, 0, 0.0)
