from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamswarm_ml.ownfiles import KEY_BYTES, load_or_create_key, write_whole


def test_whoever_asks_at_the_same_time_gets_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(load_or_create_key, [tmp_path / "key"] * 64))
    assert [len(key) for key in keys] == [KEY_BYTES]
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_key_whose_making_was_cut_short_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("streamswarm_ml.ownfiles.os.fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            load_or_create_key(tmp_path / "key")
    assert not (tmp_path / "key").exists()
    assert len(load_or_create_key(tmp_path / "key")) == KEY_BYTES


def test_a_write_that_was_cut_short_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr("streamswarm_ml.ownfiles.os.fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600


def killed(_descriptor: int) -> None:
    raise KeyboardInterrupt
