import io
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from streamswarm_ml import state
from streamswarm_ml.state import Saved, StateFile, _seal


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    assert StateFile(tmp_path).load() is None
    StateFile(tmp_path).save(Saved({"a": [1, 2]}, {"numbers": np.arange(5.0)}))
    loaded = StateFile(tmp_path).load()
    assert loaded is not None
    assert loaded.header == {"a": [1, 2]}
    assert loaded.arrays["numbers"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("damage", ["flip", "cut", "foreign key"])
def test_a_file_that_is_not_as_we_wrote_it_is_refused_and_set_aside(tmp_path: Path, damage: str) -> None:
    file = StateFile(tmp_path)
    file.save(Saved({"a": 1}, {}))
    content = bytearray(file.path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
    elif damage == "cut":
        del content[-3:]
    else:
        (tmp_path / "state.key").write_bytes(b"k" * 32)
    file.path.write_bytes(content)
    assert StateFile(tmp_path).load() is None
    assert (tmp_path / "detectors.refused").exists()
    StateFile(tmp_path).save(Saved({"b": 2}, {}))
    assert StateFile(tmp_path).load() == Saved({"b": 2}, {})


def test_a_state_of_another_version_is_said_to_be_one_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as older:
        older.setattr(state, "_MAGIC", b"STREAMSWARM-ML-1\n")
        StateFile(tmp_path).save(Saved({"a": 1}, {}))
    content = (tmp_path / "detectors.state").read_bytes()
    assert StateFile(tmp_path).load() is None
    assert "is of another version of StreamSwarm; set aside as detectors.refused, and learned anew" in caplog.text
    assert (tmp_path / "detectors.refused").read_bytes() == content


def test_the_key_is_its_owners_only(tmp_path: Path) -> None:
    StateFile(tmp_path)
    assert stat.S_IMODE((tmp_path / "state.key").stat().st_mode) == 0o600


def test_a_pickle_is_never_loaded_even_if_it_carries_our_seal(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    with pytest.raises(ValueError, match="allow_pickle"):
        state.save(Saved({}, {"objects": np.array([object()], dtype=object)}))
    buffer = io.BytesIO()
    np.savez(buffer, objects=np.array([{"a": 1}], dtype=object), header=np.frombuffer(b"{}", dtype=np.uint8))
    body = memoryview(b"STREAMSWARM-ML-2\n" + buffer.getvalue())
    state.path.write_bytes(_seal(state._key, memoryview(body)) + body)
    assert state.load() is None
    assert (tmp_path / "detectors.refused").exists()


def test_a_save_that_was_cut_off_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateFile(tmp_path)
    state.save(Saved({"a": 1}, {}))
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda _descriptor: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space"):
            state.save(Saved({"a": 2}, {}))
    assert StateFile(tmp_path).load() == Saved({"a": 1}, {})
