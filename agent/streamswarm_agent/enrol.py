"""The agent's credential: got once for a one-time token, kept in a file that only its owner can read."""

import contextlib
import errno
import json
import platform
from pathlib import Path
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from streamswarm_agent.faults import without_number
from streamswarm_agent.settings import AgentSettings
from streamswarm_core import __version__, problem
from streamswarm_core.errors import ConfigError
from streamswarm_core.outbound import patience, trusted
from streamswarm_core.ownfiles import write_whole
from streamswarm_core.settings import variable_name

_ROOM: Final = 4096
"""Bytes that a credential takes at most."""


class Credential(BaseModel):
    """Who the agent is to the control plane.

    Attributes:
        agent_id: given by the control plane.
        name: its `agent` tag.
        site: its `site` tag.
        secret: exchanged for access tokens.
        next_secret: the one that replaces it with its first use, as soon as there is one.
        controlplane_url: who gave it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    agent_id: str
    name: str
    site: str = ""
    secret: SecretStr
    next_secret: SecretStr | None = None
    controlplane_url: str


def credential_path(settings: AgentSettings) -> Path:
    """Where the credential is kept."""
    return settings.folder / "credential.json"


def has_credential(settings: AgentSettings) -> bool:
    """Whether there is a credential, or what was one.

    Raises:
        ConfigError: this user may not look.
    """
    path = credential_path(settings)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unusable(path, error) from None
    return True


def load_credential(settings: AgentSettings) -> Credential | None:
    """Read the credential; None if the agent has never been enrolled.

    Raises:
        ConfigError: the file is damaged, or another user's.
    """
    path = credential_path(settings)
    try:
        return Credential.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None
    except ValidationError:
        raise ConfigError(f"{path}: not a credential; enrol again with: streamswarm agent enrol --force") from None


def host_facts() -> dict[str, str]:
    """What an administrator wants to know of the host."""
    return {
        "hostname": platform.node(),
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def enrol(settings: AgentSettings, *, token: str) -> Credential:
    """Exchange a one-time token for a credential, and keep it.

    Raises:
        ConfigError: the control plane refuses or can't be reached, or the folder can't be written.
    """
    if not token.strip():
        raise ConfigError("the enrolment token is empty; make one in the console under Agents")
    # The token is worth nothing once it has been used, so what would go wrong afterwards has to be seen before.
    _try_folder(credential_path(settings))
    request = {"token": token.strip(), "name": settings.name, "version": __version__, "host": host_facts()}
    try:
        url = f"{settings.controlplane_url}/api/v1/agent/enrol"
        answer = httpx.post(url, json=request, timeout=patience(15), verify=trusted())
    except httpx.HTTPError as error:
        raise ConfigError(
            f"the control plane {settings.controlplane_url} can't be reached: {without_number(error)}"
        ) from None
    if answer.status_code != httpx.codes.CREATED:
        raise ConfigError(f"not enrolled: {_detail(answer)}")
    try:
        credential = Credential.model_validate({**answer.json(), "controlplane_url": settings.controlplane_url})
    except (ValueError, TypeError):
        # And not with what was wrong: that could be a secret.
        raise ConfigError(f"not enrolled: {answer.url} answers, but not as a control plane does") from None
    keep(credential_path(settings), credential)
    return credential


def _detail(answer: httpx.Response) -> str:
    if answer.headers.get("content-type", "").partition(";")[0] == problem.MEDIA_TYPE:
        with contextlib.suppress(ValidationError):
            return problem.Problem.model_validate_json(answer.content).detail
    variable = variable_name(AgentSettings, "controlplane_url")
    return f"HTTP {answer.status_code} from {answer.url}, which is no control plane's answer; check --url or {variable}"


def _try_folder(path: Path) -> None:
    """See whether a credential can be kept there.

    Raises:
        ConfigError: the folder can't be written, or the disk is full.
    """
    trial = path.with_suffix(".trial")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(trial, b" " * _ROOM)
        trial.unlink()
    except OSError as error:
        raise _unusable(path, error) from None


def keep(path: Path, credential: Credential) -> None:
    """Write the credential so that a crash at any moment leaves the old file or the new one, on the disk.

    Raises:
        ConfigError: the folder can't be written.
    """
    upcoming = credential.next_secret.get_secret_value() if credential.next_secret else None
    secrets = {"secret": credential.secret.get_secret_value(), "next_secret": upcoming}
    content = json.dumps(credential.model_dump() | secrets)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, content.encode())
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError) -> ConfigError:
    remedy = "make room" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "change its folder's owner"
    return ConfigError(f"{path}: {error.strerror}; {remedy}, or choose another folder with STREAMSWARM_DATA")
