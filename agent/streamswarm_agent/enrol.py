"""The agent's credential: got once for a one-time token, kept in a file that only its owner can read."""

import json
import os
import platform
from pathlib import Path

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from streamswarm_agent.settings import AgentSettings
from streamswarm_core import __version__
from streamswarm_core.errors import ConfigError


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


def load_credential(settings: AgentSettings) -> Credential | None:
    """Read the credential; None if the agent has never been enrolled.

    Raises:
        ConfigError: the file is damaged.
    """
    path = credential_path(settings)
    try:
        return Credential.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
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
    request = {"token": token, "name": settings.name, "version": __version__, "host": host_facts()}
    try:
        answer = httpx.post(f"{settings.controlplane_url}/api/v1/agent/enrol", json=request, timeout=15)
    except httpx.HTTPError as error:
        raise ConfigError(f"the control plane {settings.controlplane_url} can't be reached: {error}") from None
    if answer.status_code != httpx.codes.CREATED:
        raise ConfigError(f"not enrolled: {_detail(answer)}")
    credential = Credential(controlplane_url=settings.controlplane_url, **answer.json())
    keep(credential_path(settings), credential)
    return credential


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code} from {answer.url}"


def keep(path: Path, credential: Credential) -> None:
    """Write the credential so that a crash at any moment leaves the old file or the new one, on the disk.

    Raises:
        ConfigError: the folder can't be written.
    """
    upcoming = credential.next_secret.get_secret_value() if credential.next_secret else None
    secrets = {"secret": credential.secret.get_secret_value(), "next_secret": upcoming}
    content = json.dumps(credential.model_dump() | secrets)
    temporary = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; choose another folder with STREAMSWARM_DATA") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
