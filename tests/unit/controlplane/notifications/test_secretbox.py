from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamswarm_controlplane.notifications.secretbox import KEY_FILE, SealedError, SecretBox
from streamswarm_core.errors import ConfigError


def test_what_is_sealed_is_opened_by_the_same_key_only(tmp_path: Path) -> None:
    box = SecretBox.load_or_create(tmp_path / KEY_FILE)
    sealed = box.seal({"password": "word"})
    assert "word" not in sealed
    assert SecretBox.load_or_create(tmp_path / KEY_FILE).open(sealed) == {"password": "word"}
    with pytest.raises(SealedError, match="enter them again"):
        SecretBox.load_or_create(tmp_path / "other").open(sealed)
    assert (box.seal({}), box.open("")) == ("", {})


def test_workers_that_start_at_once_share_one_key_that_others_cannot_read(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        boxes = list(pool.map(lambda _: SecretBox.load_or_create(tmp_path / KEY_FILE), range(16)))
    sealed = boxes[0].seal({"a": 1})
    assert [box.open(sealed) for box in boxes] == [{"a": 1}] * 16
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_file_that_holds_no_key_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("nonsense")
    with pytest.raises(ConfigError, match="put the backup back"):
        SecretBox.load_or_create(tmp_path / KEY_FILE)
