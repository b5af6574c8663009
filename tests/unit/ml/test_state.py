import stat
from pathlib import Path

import pytest

from streamswarm_ml.state import StateFile


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    assert StateFile(tmp_path).load() is None
    StateFile(tmp_path).save({"a": [1, 2]})
    assert StateFile(tmp_path).load() == {"a": [1, 2]}


@pytest.mark.parametrize("damage", ["flip", "cut", "foreign key"])
def test_a_file_that_is_not_as_we_wrote_it_is_refused_and_set_aside(tmp_path: Path, damage: str) -> None:
    state = StateFile(tmp_path)
    state.save({"a": 1})
    content = bytearray(state.path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
    elif damage == "cut":
        del content[-3:]
    else:
        (tmp_path / "state.key").write_bytes(b"k" * 32)
    state.path.write_bytes(content)
    assert StateFile(tmp_path).load() is None
    assert (tmp_path / "detectors.refused").exists()
    StateFile(tmp_path).save({"b": 2})
    assert StateFile(tmp_path).load() == {"b": 2}


def test_the_key_is_its_owners_only(tmp_path: Path) -> None:
    StateFile(tmp_path)
    assert stat.S_IMODE((tmp_path / "state.key").stat().st_mode) == 0o600
