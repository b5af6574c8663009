"""Where `streamswarm admin` keeps how it reaches a control plane: one file that only its owner can read."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from streamswarm_core.errors import ConfigError
from streamswarm_core.ownfiles import write_whole

URL_VARIABLE: Final = "STREAMSWARM_URL"
TOKEN_VARIABLE: Final = "STREAMSWARM_TOKEN"  # noqa: S105 - a variable's name
DEFAULT_URL: Final = "http://127.0.0.1:8800"


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach a control plane: with a personal token, or with the session of a login.

    Attributes:
        url: its base URL.
        token: a personal token.
        session: the session cookie.
        csrf: what goes with the session.
    """

    url: str
    token: str = ""
    session: str = ""
    csrf: str = ""


def path(environment: Mapping[str, str] = os.environ) -> Path:
    """The file, by the XDG rules."""
    folder = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(folder) / "streamswarm" / "admin.json"


def load(url: str = "", environment: Mapping[str, str] = os.environ) -> Credentials:
    """What is to be used: a token in the environment goes before the file.

    Args:
        url: as on the command line; "" if it wasn't given.
        environment: where the variables are.

    Raises:
        ConfigError: there is nothing to log in with, or the file is another control plane's.
    """
    stored = _read(path(environment))
    wanted = (url or environment.get(URL_VARIABLE, "")).rstrip("/")
    token = environment.get(TOKEN_VARIABLE, "")
    if token:
        return Credentials(wanted or (stored.url if stored else DEFAULT_URL), token)
    if stored is None:
        raise ConfigError(f"not logged in: `streamswarm admin login`, or a personal token in {TOKEN_VARIABLE}")
    if wanted and wanted != stored.url:
        # A secret goes only to whom it was made by.
        raise ConfigError(
            f"you are logged in at {stored.url}, not at {wanted}: `streamswarm admin --url {wanted} login`"
        )
    return stored


def save(credentials: Credentials) -> Path:
    """Keep them; returns where."""
    file = path()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(file, json.dumps(asdict(credentials)).encode())
    return file


def forget() -> bool:
    """Remove them; whether there were any."""
    there = path().exists()
    path().unlink(missing_ok=True)
    return there


def _read(file: Path) -> Credentials | None:
    if not file.exists():
        return None
    try:
        return Credentials(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{file}: {error}; remove it and log in again") from None
