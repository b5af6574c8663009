"""Which services this host is configured for, and what each is started with here: settings, folder, user."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from streamswarm_cli.doctor.units import Unit, UnreadableError, unit_of
from streamswarm_cli.group import group_environment
from streamswarm_cli.services import SERVICES, Service
from streamswarm_core.doctor.files import is_there, user_name
from streamswarm_core.doctor.starting import GROUP_LOCK
from streamswarm_core.errors import ConfigError
from streamswarm_core.settings import CONFIG_VARIABLE, DEFAULT_CONFIG, PREFIX, ServiceSettings

DOTENV: Final = Path(".env")
_ROOT: Final = "root"


class SharedSettings(ServiceSettings, table="doctor"):
    """What all services are told, without any of theirs, whose packages may not be here."""


@dataclass(frozen=True, slots=True)
class Place:
    """How a service is started on this host.

    Attributes:
        service: which one.
        source: where its settings come from, for people.
        unit: its unit, if that starts it; None if a shell or something else does.
        user: whose process has to look; empty if this one can.
        grouped: whether `streamswarm up` starts it, with the others.
    """

    service: Service
    source: str
    unit: Unit | None = None
    user: str = ""
    grouped: bool = False


def place_of(service: Service) -> Place:
    """How a service is started: by its unit, unless this shell has settings of its own.

    Raises:
        UnreadableError: this user may not see what its unit says.
    """
    unit = None if shell_has_settings(service) else unit_of(service.name)
    if unit is None:
        grouped = is_there(shared_data() / GROUP_LOCK) and not _has_unit(service)
        source = "as `streamswarm up` starts it" if grouped else f"with the settings of this shell and {Path.cwd()}"
        return Place(service, source, user=_owner(service), grouped=grouped)
    user = unit.user or _ROOT
    mine = user_name()
    return Place(service, f"with the settings of {unit.path}, as {user}", unit, user if mine == _ROOT != user else "")


def shell_has_settings(service: Service) -> bool:
    """Whether this shell says how the service, or all of them, are to be started."""
    own = f"{PREFIX}{service.name.upper()}_"
    return any(name.startswith(own) or name in {f"{PREFIX}DATA", CONFIG_VARIABLE} for name in os.environ)


def is_configured(service: Service) -> bool:
    """Whether this host is meant to run a service: a unit, settings, or what it has kept say so."""
    own = f"{PREFIX}{service.name.upper()}_"
    if any(name.startswith(own) for name in (*os.environ, *dotenv())):
        return True
    if re.search(rf"^\s*\[*{service.name}\b", config_text(), re.MULTILINE):
        return True
    return is_there(shared_data() / service.name) or (not shell_has_settings(service) and _has_unit(service))


def _has_unit(service: Service) -> bool:
    try:
        return unit_of(service.name) is not None
    except UnreadableError:
        return True


def shared_data() -> Path:
    """The data folder of this shell's settings; the default where they can't be used."""
    try:
        return SharedSettings.load().data
    except ConfigError:
        return Path("data")


def config_file() -> Path:
    """The file of settings that services read here, there or not."""
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)


def config_text() -> str:
    """What stands in the file of settings; nothing if it can't be read, which its service's check says."""
    try:
        return config_file().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def dotenv() -> dict[str, str]:
    """The variables of `.env` here."""
    try:
        return {name: value or "" for name, value in dotenv_values(DOTENV, interpolate=False).items()}
    except (OSError, UnicodeDecodeError):
        return {}


@contextlib.contextmanager
def environment_of(place: Place) -> Iterator[None]:
    """Have the environment and the folder that the service is started with."""
    before, folder = dict(os.environ), Path.cwd()
    try:
        if place.unit is not None:
            for name in [name for name in os.environ if name.startswith(PREFIX)]:
                del os.environ[name]
            os.environ.update(place.unit.environment)
            os.chdir(place.unit.folder)
        elif place.grouped and not (settings := group_settings())[1]:
            os.environ.update({**group_environment(settings[0]), **os.environ})
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        os.chdir(folder)


def group_settings() -> tuple[dict[str, ServiceSettings], list[str]]:
    """The settings of all services by name, and the titles of those whose settings can't be used."""
    settings, unusable = {}, []
    for service in SERVICES.values():
        try:
            settings[service.name] = service.load_settings()
        except ConfigError:
            unusable.append(service.title)
    return settings, unusable


def _owner(service: Service) -> str:
    """Whose folder it is, if root asks and it isn't root's: only its owner sees what the service sees."""
    if user_name() != _ROOT:
        return ""
    try:
        owner = user_name((shared_data() / service.name).stat().st_uid)
    except OSError:
        return ""
    return owner if owner != _ROOT else ""
