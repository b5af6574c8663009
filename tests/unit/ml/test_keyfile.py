import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamswarm_core.errors import ConfigError
from streamswarm_ml.keyfile import KEY_BYTES, load_or_create_key
from streamswarm_ml.registry import ModelStore
from streamswarm_ml.state import StateFile


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = load_or_create_key(path)
    assert len(key) == KEY_BYTES
    assert load_or_create_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_asks_at_the_same_time_gets_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(load_or_create_key, [tmp_path / "key"] * 64))
    assert [len(key) for key in keys] == [KEY_BYTES]


@pytest.mark.parametrize("content", [b"", b"short", bytes(KEY_BYTES + 1)])
def test_what_is_no_whole_key_seals_nothing(tmp_path: Path, content: bytes) -> None:
    """Such as the empty file of a crash, with which everybody could seal."""
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="remove it to have a new one made"):
        load_or_create_key(path)


def test_a_key_that_others_may_have_read_or_put_there_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "key"
    load_or_create_key(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="nobody else can read"):
        load_or_create_key(path)
    path.chmod(0o600)
    path.rename(tmp_path / "other")
    path.symlink_to(tmp_path / "other")
    with pytest.raises(ConfigError, match="leads elsewhere"):
        load_or_create_key(path)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigError, match="plain file"):
        load_or_create_key(path)


@pytest.mark.parametrize(("make", "name"), [(ModelStore, "store.key"), (StateFile, "state.key")])
def test_models_and_state_are_sealed_with_such_a_key(
    tmp_path: Path, make: type[ModelStore] | type[StateFile], name: str
) -> None:
    make(tmp_path)
    (tmp_path / name).chmod(0o644)
    with pytest.raises(ConfigError):
        make(tmp_path)
