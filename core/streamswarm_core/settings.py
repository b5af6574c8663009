"""One typed settings model per service, read from (strongest first) the environment, `.env` and streamswarm.toml.

A service subclasses ServiceSettings, names its TOML table and sets its variables' prefix:

    class CollectorSettings(ServiceSettings, table="collector"):
        port: int = Field(8801, ge=1, le=65535, description="TCP port to listen on.")

which reads `STREAMSWARM_COLLECTOR_PORT` or `[collector] port = 8801`. `STREAMSWARM_DATA`, `STREAMSWARM_LOG_LEVEL` and
`STREAMSWARM_LOG_FORMAT` (top level of the TOML file) are shared by all services.

`STREAMSWARM_…_FILE` names a file that holds the value instead, for the secrets of containers.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError
from pydantic_settings.sources import EnvSettingsSource, InitSettingsSource

from streamswarm_core.errors import ConfigError
from streamswarm_core.masking import MASK, masked

PREFIX = "STREAMSWARM_"
FILE_SUFFIX = "_FILE"
CONFIG_VARIABLE = "STREAMSWARM_CONFIG"
DEFAULT_CONFIG = Path("streamswarm.toml")


class ServiceSettings(BaseSettings):
    """What every service needs to know."""

    model_config = SettingsConfigDict(env_file=".env", frozen=True, extra="ignore", populate_by_name=True)
    table: ClassVar[str]

    data: Path = Field(
        Path("data"),
        description="Folder that holds everything StreamSwarm keeps.",
        validation_alias=AliasChoices("data", "STREAMSWARM_DATA"),
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="Least severity that is logged.",
        validation_alias=AliasChoices("log_level", "STREAMSWARM_LOG_LEVEL"),
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="`text` for people, `json` (one object a line) for log shippers.",
        validation_alias=AliasChoices("log_format", "STREAMSWARM_LOG_FORMAT"),
    )
    metrics_token: SecretStr = Field(
        SecretStr(""),
        description="Bearer token that /metrics asks for; whoever reaches the port may read it if there is none.",
        validation_alias=AliasChoices("metrics_token", "STREAMSWARM_METRICS_TOKEN"),
    )

    def __init_subclass__(cls, *, table: str, **kwargs: Any) -> None:
        cls.table = table
        super().__init_subclass__(**kwargs)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        cls.model_config["env_prefix"] = f"{PREFIX}{cls.table.upper()}_"
        super().__pydantic_init_subclass__(**kwargs)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the TOML table below the environment and `.env`."""
        table = InitSettingsSource(settings_cls, _read_table(cls))
        files = EnvSettingsSource(settings_cls)
        files.env_vars = {name.lower(): value for name, value in _read_files(cls, os.environ).items()}
        return init_settings, files, env_settings, dotenv_settings, table, file_secret_settings

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the settings.

        Args:
            overrides: values that beat every other source; None means "not given".

        Raises:
            ConfigError: a value can't be used or a variable is misspelt; one line that names it.
        """
        refuse_unknown_variables(cls, os.environ)
        try:
            return cls(**{key: value for key, value in overrides.items() if value is not None})
        except ValidationError as error:
            raise ConfigError(_explain(cls, error)) from None
        except SettingsError as error:
            named = re.search(r'field "(\w+)"', str(error))
            field = named[1] if named else ""
            raise ConfigError(f"{variable_name(cls, field)} (or [{cls.table}] {field}): not valid JSON") from None

    def effective(self) -> dict[str, str]:
        """The values in force by setting name, secrets masked, for `streamswarm config show`."""
        return {name: _display(getattr(self, name)) for name in type(self).model_fields}


def variable_name(cls: type[ServiceSettings], field: str) -> str:
    """The environment variable that sets a field."""
    shared = field in ServiceSettings.model_fields
    return f"{PREFIX}{field.upper()}" if shared else f"{PREFIX}{cls.table.upper()}_{field.upper()}"


def _read_table(cls: type[ServiceSettings]) -> dict[str, Any]:
    named = os.environ.get(CONFIG_VARIABLE)
    path = Path(named) if named else DEFAULT_CONFIG
    if not path.exists():
        if named:
            raise ConfigError(f"{CONFIG_VARIABLE}={named}: no such file")
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
    shared = {key: value for key, value in document.items() if key in ServiceSettings.model_fields}
    table: dict[str, Any] = document.get(cls.table, {})
    for key in table:
        if key not in cls.model_fields:
            raise ConfigError(f"{path}: [{cls.table}] {key}: no such setting{hint(key, cls.model_fields)}")
    return shared | table


def _read_files(cls: type[ServiceSettings], environment: Mapping[str, str]) -> dict[str, str]:
    """The values that variables with the suffix point to, by the variables' names without it."""
    values = {}
    for name in (variable_name(cls, field) for field in cls.model_fields):
        path = environment.get(name + FILE_SUFFIX)
        if not path or _is_own(cls, name + FILE_SUFFIX):
            continue
        if name in environment:
            raise ConfigError(f"{name} and {name}{FILE_SUFFIX} are both set; take one of them away")
        try:
            values[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigError(f"{name}{FILE_SUFFIX}={path}: {reason}") from None
    return values


def _is_own(cls: type[ServiceSettings], name: str) -> bool:
    """Whether a variable sets a field by itself, such as `…_TOKEN_FILE` the field `token_file`."""
    return any(variable_name(cls, field) == name for field in cls.model_fields)


def refuse_unknown_variables(cls: type[ServiceSettings], environment: Iterable[str]) -> None:
    """Make sure that every variable with the prefix of a service is one of its settings.

    Raises:
        ConfigError: one is not, and would be passed by.
    """
    own = f"{PREFIX}{cls.table.upper()}_"
    known = [variable_name(cls, field) for field in cls.model_fields]
    known += [name + FILE_SUFFIX for name in known]
    for name in environment:
        if name.startswith(own) and name not in known:
            raise ConfigError(f"{name}: no such setting{hint(name, known)}")


def hint(name: str, known: Iterable[str]) -> str:
    """What was meant by a name, if one is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _explain(cls: type[ServiceSettings], error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        field = str(problem["loc"][0]) if problem["loc"] else ""
        name = field if field.startswith(PREFIX) else variable_name(cls, field)
        where = f"{name} (or [{cls.table}] {field.removeprefix(PREFIX).lower()})" if field else f"[{cls.table}]"
        lines.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)


def _display(value: Any) -> str:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    return "" if value is None else masked(str(value))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`.

    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "example.com")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
