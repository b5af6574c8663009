import os
import pickle
import stat
import sys
import types
from pathlib import Path

import pytest

from streamswarm_ml.registry import ModelRefused, ModelStore

ran: list[str] = []


class Trap:
    """Unpickling it leaves a trace."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return ran.append, ("ran",)


def path_of(folder: Path, number: int, model: str = "forecast") -> Path:
    return folder / model / f"{number:08d}.model"


def test_what_was_saved_last_is_what_is_loaded(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    assert store.load("forecast") is None
    store.save("forecast", {"a": 1}, samples=10)
    saved = store.save("forecast", {"a": 2}, samples=20)
    again = ModelStore(tmp_path)
    assert again.load("forecast") == {"a": 2}
    assert again.versions("forecast")[0] == saved
    assert (saved.version, saved.samples, saved.size) == (2, 20, path_of(tmp_path, 2).stat().st_size)


def test_a_rollback_is_in_force_until_the_next_save_and_numbers_are_never_used_twice(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    for number in (1, 2, 3):
        store.save("forecast", number, samples=number)
    assert store.roll_back("forecast").version == 2
    assert store.roll_back("forecast").version == 1
    with pytest.raises(ModelRefused, match="no version before 1"):
        store.roll_back("forecast")
    assert ModelStore(tmp_path).load("forecast") == 1
    assert store.roll_back("forecast", 3).version == 3
    store.roll_back("forecast", 1)
    assert store.save("forecast", 4, samples=4).version == 4
    assert store.load("forecast") == 4


def test_only_the_newest_versions_stay(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, keep=2)
    for number in range(5):
        store.save("forecast", number, samples=number)
    assert [known.version for known in store.versions("forecast")] == [5, 4]
    with pytest.raises(ModelRefused, match=r"^forecast: no such version 1; there are 4, 5"):
        store.roll_back("forecast", 1)
    assert store.load("forecast") == 4


def test_the_last_version_of_each_day_stays_longer(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, keep=1, keep_days=2)
    for number, days_ago in ((1, 3), (2, 2), (3, 2), (4, 1), (5, 1)):
        store.save("forecast", number, samples=number)
        long_ago = path_of(tmp_path, number).stat().st_mtime - 86_400 * days_ago
        os.utime(path_of(tmp_path, number), (long_ago, long_ago))
    store.save("forecast", 6, samples=6)
    assert [known.version for known in store.versions("forecast")] == [6, 5]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign key", "renamed", "another model's"])
def test_a_version_that_is_not_as_it_was_written_is_refused_unread(tmp_path: Path, damage: str) -> None:
    store = ModelStore(tmp_path)
    store.save("forecast", Trap(), samples=1)
    store.save("forecast", Trap(), samples=1)
    store.save("health", Trap(), samples=1)
    path = path_of(tmp_path, 2)
    content = bytearray(path.read_bytes())
    match damage:
        case "flip":
            content[-1] ^= 1
        case "cut":
            del content[-3:]
        case "empty":
            content.clear()
        case "foreign key":
            (tmp_path / "store.key").write_bytes(b"k" * 32)
        case "renamed":
            content = bytearray(path_of(tmp_path, 1).read_bytes())
        case _:
            content = bytearray(path_of(tmp_path, 1, "health").read_bytes())
    path.write_bytes(content)
    ran.clear()
    with pytest.raises(ModelRefused):
        ModelStore(tmp_path).load("forecast")
    assert not ran


def test_a_plain_pickle_laid_into_the_folder_is_never_run(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.save("forecast", 1, samples=1)
    path_of(tmp_path, 2).write_bytes(pickle.dumps(Trap()))
    ran.clear()
    with pytest.raises(ModelRefused):
        store.load("forecast", version=2)
    with pytest.raises(ModelRefused):
        store.roll_back("forecast", 2)
    assert [known.version for known in store.versions("forecast")] == [1]
    assert not ran


def test_a_version_whose_classes_have_moved_since_is_refused_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(tmp_path)
    with monkeypatch.context() as of_before:
        moved = types.ModuleType("streamswarm_ml.moved")
        moved.Learned = type("Learned", (), {"__module__": moved.__name__})  # type: ignore[attr-defined]
        of_before.setitem(sys.modules, moved.__name__, moved)
        store.save("forecast", moved.Learned(), samples=1)
    with pytest.raises(ModelRefused, match=r"forecast version 1 .*No module named 'streamswarm_ml.moved'.*reset"):
        store.load("forecast")
    store.save("forecast", 2, samples=2)
    for version in (None, 1):
        with pytest.raises(ModelRefused, match="other classes"):
            store.roll_back("forecast", version)
    assert store.load("forecast") == 2


def test_a_link_out_of_the_folder_is_refused_although_its_content_is_ours(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    store.save("forecast", 1, samples=1)
    path = path_of(tmp_path / "models", 1)
    path.rename(tmp_path / "elsewhere.model")
    path.symlink_to(tmp_path / "elsewhere.model")
    with pytest.raises(ModelRefused, match="leads out of"):
        store.load("forecast")


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.save("forecast", 1, samples=1)
    path_of(tmp_path, 1).chmod(0o666)
    with pytest.raises(ModelRefused, match="nobody else can write"):
        store.load("forecast")


def test_a_state_of_another_format_is_refused_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.save("forecast", 1, samples=1, format=1)
    with pytest.raises(ModelRefused, match="reset the model"):
        store.load("forecast", format=2)


def test_a_crash_while_saving_leaves_the_old_version_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ModelStore(tmp_path)
    store.save("forecast", "old", samples=1)

    def crash(_descriptor: int) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", crash)
        with pytest.raises(OSError, match="no space"):
            store.save("forecast", "new", samples=2)
    assert ModelStore(tmp_path).load("forecast") == "old"


@pytest.mark.parametrize("name", ["", "../forecast", "a/b", "A", "x" * 50])
def test_a_name_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelRefused, match="no name of a model"):
        ModelStore(tmp_path).save(name, 1, samples=1)


def test_files_and_key_are_their_owners_only(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.save("forecast", 1, samples=1)
    for path in (tmp_path / "store.key", path_of(tmp_path, 1)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
