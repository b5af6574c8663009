import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from streamswarm_controlplane.metricsfolder import metrics_folder

HOLDS_ONE = """
import sys
from streamswarm_controlplane.metricsfolder import metrics_folder
with metrics_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_one_left_is_removed_and_what_a_living_one_has_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, living = (
        subprocess.Popen([sys.executable, "-c", HOLDS_ONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    try:
        assert killed.stdout
        assert living.stdout
        left, held = (Path(one.readline().strip()) for one in (killed.stdout, living.stdout))
        killed.kill()
        killed.wait(10)
        assert left.is_dir()
        (tmp_path / "streamswarm-metrics-of-somebody").mkdir()
        with metrics_folder() as own:
            assert sorted(tmp_path.iterdir()) == sorted([own, held, tmp_path / "streamswarm-metrics-of-somebody"])
        assert not own.exists()
    finally:
        for one in (killed, living):
            one.kill()
            one.communicate()


@pytest.mark.timeout(60)
def test_what_others_put_into_the_temporary_folder_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pipe, links, elsewhere = (tmp_path / f"streamswarm-metrics-{name}" for name in ("pipe", "links", "else"))
    precious = tmp_path / "precious"
    for folder in (pipe, links, precious):
        folder.mkdir()
    (precious / "lock").touch()
    os.mkfifo(pipe / "lock")
    (links / "lock").symlink_to(precious / "lock")
    elsewhere.symlink_to(precious)
    with metrics_folder():
        pass
    assert (precious / "lock").exists()
    assert links.exists()
