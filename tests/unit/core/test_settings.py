from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from streamswarm_core.errors import ConfigError
from streamswarm_core.settings import ServiceSettings, variable_name


class DemoSettings(ServiceSettings, table="demo"):
    port: int = Field(1234, ge=1, le=65_535, description="A port.")
    secret: SecretStr = Field(SecretStr(""), description="A secret.")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_need_no_configuration() -> None:
    settings = DemoSettings.load()
    assert (settings.port, settings.data) == (1234, Path("data"))


def test_environment_beats_dotenv_beats_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "streamswarm.toml").write_text('data = "from-toml"\nlog_level = "error"\n[demo]\nport = 1\n')
    assert DemoSettings.load().port == 1
    (tmp_path / ".env").write_text("STREAMSWARM_DEMO_PORT=2\nSTREAMSWARM_OTHER_PORT=9\n")
    assert DemoSettings.load().port == 2
    monkeypatch.setenv("STREAMSWARM_DEMO_PORT", "3")
    settings = DemoSettings.load()
    assert (settings.port, settings.data, settings.log_level) == (3, Path("from-toml"), "error")


def test_a_value_out_of_bounds_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSWARM_DEMO_PORT", "70000")
    with pytest.raises(ConfigError, match=r"STREAMSWARM_DEMO_PORT \(or \[demo\] port\): .* 65535"):
        DemoSettings.load()


def test_a_misspelt_variable_is_refused_with_the_right_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSWARM_DEMO_PROT", "1")
    with pytest.raises(ConfigError, match="did you mean STREAMSWARM_DEMO_PORT"):
        DemoSettings.load()


def test_a_misspelt_key_in_the_file_is_refused_with_the_right_spelling(tmp_path: Path) -> None:
    (tmp_path / "streamswarm.toml").write_text("[demo]\nprot = 1\n")
    with pytest.raises(ConfigError, match=r"\[demo\] prot: no such setting; did you mean port"):
        DemoSettings.load()


def test_a_named_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSWARM_CONFIG", "nowhere.toml")
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        DemoSettings.load()


def test_secrets_are_masked_when_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSWARM_DEMO_SECRET", "planted-secret")
    shown = DemoSettings.load().effective()
    assert shown["secret"] == "********"
    assert "planted-secret" not in str(shown)


def test_shared_settings_have_shared_variables() -> None:
    assert variable_name(DemoSettings, "data") == "STREAMSWARM_DATA"
    assert variable_name(DemoSettings, "port") == "STREAMSWARM_DEMO_PORT"


def test_a_secret_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("s3cret with spaces\n")
    (tmp_path / "level").write_text("debug")
    monkeypatch.setenv("STREAMSWARM_DEMO_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("STREAMSWARM_LOG_LEVEL_FILE", str(tmp_path / "level"))
    settings = DemoSettings.load()
    assert (settings.secret.get_secret_value(), settings.log_level) == ("s3cret with spaces", "debug")


def test_a_file_and_a_value_for_the_same_setting_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSWARM_DEMO_SECRET", "one")
    monkeypatch.setenv("STREAMSWARM_DEMO_SECRET_FILE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"STREAMSWARM_DEMO_SECRET and STREAMSWARM_DEMO_SECRET_FILE are both set"):
        DemoSettings.load()


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSWARM_DEMO_SECRET_FILE", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match=r"STREAMSWARM_DEMO_SECRET_FILE=.*missing: No such file"):
        DemoSettings.load()


def test_a_setting_that_is_itself_a_file_keeps_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class KeySettings(ServiceSettings, table="keys"):
        key: SecretStr = Field(SecretStr(""), description="A key.")
        key_file: Path | None = Field(None, description="Where it is.")

    monkeypatch.setenv("STREAMSWARM_KEYS_KEY_FILE", str(tmp_path / "missing"))
    assert KeySettings.load().key_file == tmp_path / "missing"
