from pathlib import Path

import pytest

from streamswarm_core.alone import alone
from streamswarm_core.errors import ConfigError
from streamswarm_ml.main import run
from streamswarm_ml.settings import MlSettings
from tests.support import find_free_port


def test_a_second_ml_service_on_the_same_folder_is_refused_and_told_of_shards(tmp_path: Path) -> None:
    settings = MlSettings(data=tmp_path, port=find_free_port())
    settings.folder.mkdir()
    with alone(settings.folder, ""), pytest.raises(ConfigError, match=r"another ML service runs on .*shards and shard"):
        run(settings)


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "ml").write_text("")
    with pytest.raises(ConfigError, match="File exists; choose another with STREAMSWARM_DATA"):
        run(MlSettings(data=tmp_path, port=find_free_port()))
