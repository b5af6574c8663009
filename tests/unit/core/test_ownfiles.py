import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamswarm_core.ownfiles import write_once, write_whole


def test_a_write_that_was_cut_short_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr("streamswarm_core.ownfiles.os.fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_disk_that_is_full_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("streamswarm_core.ownfiles.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "file", b"new")
    assert not list(tmp_path.iterdir())


def test_not_only_the_file_is_brought_to_disk_but_its_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        "streamswarm_core.ownfiles.os.fsync", lambda one: synced.append(str(Path(f"/proc/self/fd/{one}").readlink()))
    )
    write_whole(tmp_path / "file", b"new")
    assert synced == [str(tmp_path / "file.new"), str(tmp_path)]
    write_once(tmp_path / "key", b"first")
    assert synced[-1] == str(tmp_path)
    synced.clear()
    write_whole(tmp_path / "file", b"newer", durable=False)
    assert not synced


def test_what_others_could_read_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "file.new").touch(0o644)
    write_whole(tmp_path / "file", b"secret")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_written_once_keeps_what_the_first_wrote(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_once(tmp_path / "key", str(number).encode()), range(64)))
    first = (tmp_path / "key").read_bytes()
    write_once(tmp_path / "key", b"late")
    assert (tmp_path / "key").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_file_whose_first_writing_was_cut_short_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("streamswarm_core.ownfiles.os.fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            write_once(tmp_path / "key", b"half")
    assert not (tmp_path / "key").exists()


def killed(_descriptor: int) -> None:
    raise KeyboardInterrupt
