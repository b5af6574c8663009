"""Whether a service's settings can be used, and what in them nobody reads."""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from streamswarm_cli.doctor.places import DOTENV, Place, config_file, config_text, dotenv
from streamswarm_cli.services import SERVICES, NotInstalledError
from streamswarm_core.doctor.files import is_there
from streamswarm_core.doctor.finding import Finding, broken, ok, warning
from streamswarm_core.errors import ConfigError
from streamswarm_core.masking import masked
from streamswarm_core.settings import PREFIX, ServiceSettings, hint, refuse_unknown_variables

_VARIABLE: Final = re.compile(rf"{PREFIX}[A-Z0-9_]+")
_OTHERS_READ: Final = 0o004


def load(place: Place) -> tuple[ServiceSettings | None, list[Finding]]:
    """A service's settings, if they can be used, and what there is to say of them; within its environment."""
    try:
        settings = place.service.load_settings()
    except NotInstalledError as error:
        return None, [not_installed(error)]
    except ConfigError as error:
        return None, [broken("settings", str(error), _where(str(error), place))]
    found = [ok("settings", f"can be used: {_sources(place)}")]
    try:
        refuse_unknown_variables(type(settings), dotenv())
    except ConfigError as error:
        found.append(
            warning("settings", f"{DOTENV.absolute()}: {error}", "correct the name; as it is, nobody reads it")
        )
    return settings, [*found, *_open_files(place)]


def not_installed(error: NotInstalledError) -> Finding:
    """A service is set up here and lacks a package."""
    said, _, remedy = str(error).partition("; ")
    return broken("program", said, remedy)


def _sources(place: Place) -> str:
    own = f"{PREFIX}{place.service.name.upper()}_"
    count = sum(name.startswith(own) for name in os.environ)
    added = " with those that `streamswarm up` adds" if place.grouped else ""
    sources = [f"{'1 variable' if count == 1 else f'{count} variables'}{added}"] if count else []
    sources += [str(path.absolute()) for path in (DOTENV, config_file()) if is_there(path)]
    return f"{', '.join(sources)}, and defaults" if sources else "the defaults"


def _where(message: str, place: Place) -> str:
    """Where what is wrong was written."""
    named = _VARIABLE.search(message)
    name = named[0] if named else ""
    if message.startswith(str(config_file())):
        return f"correct {config_file().absolute()}"
    if name in os.environ:
        for path in place.unit.files if place.unit else ():
            if re.search(rf"^\s*{name}\s*=", path.read_text(encoding="utf-8"), re.MULTILINE):
                return f"correct {name} in {path}"
        return f"correct {name} in {place.unit.path if place.unit else 'the environment'}"
    if name in dotenv():
        return f"correct {name} in {DOTENV.absolute()}"
    if is_there(config_file()):
        return f"correct it in {config_file().absolute()}"
    return "correct it where it is set"


def _open_files(place: Place) -> Iterator[Finding]:
    """Files with settings, which may be secrets, that everybody on the host can read."""
    files = (*(place.unit.files if place.unit else ()), DOTENV)
    for path in files:
        if is_there(path) and path.stat().st_mode & _OTHERS_READ and _has_secret(path):
            found = f"{path.absolute()} holds secrets and can be read by every user"
            yield warning("settings", found, f"chmod 600 {path.absolute()}")


def _has_secret(path: Path) -> bool:
    secret = re.compile(rf"^\s*{PREFIX}\w*(PASSWORD|TOKEN|SECRET|KEY|KEYS|SINKS)\s*=", re.MULTILINE)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return bool(secret.search(text)) or masked(text) != text  # a URL's password


def strays() -> Iterator[Finding]:
    """Tables and variables with a misspelt service's name: no service looks at them, so none can complain."""
    for name in _stray_tables():
        known = [*SERVICES, *ServiceSettings.model_fields]
        found = f"{config_file().absolute()}: no service reads {name!r}{hint(name, known)}"
        yield warning("settings", found, "correct the name")
    for where, names in (("the environment", os.environ), (str(DOTENV.absolute()), dotenv())):
        for name in _stray_variables(names):
            meant = hint(name.removeprefix(PREFIX).partition("_")[0].lower(), SERVICES)
            yield warning("settings", f"{where}: no service reads {name}{meant}", "correct the name")


def _stray_tables() -> list[str]:
    try:
        document = tomllib.loads(config_text())
    except ValueError:
        return []
    return [name for name in document if name not in SERVICES and name not in ServiceSettings.model_fields]


def _stray_variables(names: Iterable[str]) -> list[str]:
    """Those whose second word is nearly a service's name; others may be somebody else's business."""
    found = []
    for name in names:
        word = name.removeprefix(PREFIX).partition("_")[0].lower()
        if name.startswith(PREFIX) and word not in SERVICES and hint(word, SERVICES):
            found.append(name)
    return found
