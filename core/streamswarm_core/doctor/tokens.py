from pathlib import Path

from streamswarm_core.doctor.files import is_there, user_name
from streamswarm_core.settings import ServiceSettings


def token_remedy(settings: ServiceSettings, path: Path) -> str:
    """How a service comes by the token that the control plane makes for it.

    Args:
        settings: the service's.
        path: the token's file.
    """
    name = f"{settings.table}.token"
    if path == settings.data / "secrets" / name and is_there(settings.data / "controlplane"):
        return f"as {user_name()}: streamswarm controlplane init, which makes a good one and is safe to repeat"
    return f"copy secrets/{name} of the control plane's data folder to {path}"
