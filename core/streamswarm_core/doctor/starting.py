"""What starts a service on this host, and where its log is: systemd, `streamswarm up`, or a shell."""

from pathlib import Path
from typing import Final

from streamswarm_core.doctor.files import is_there
from streamswarm_core.settings import ServiceSettings

UNIT_FOLDERS: Final = (
    Path("/etc/systemd/system"),
    Path("/usr/local/lib/systemd/system"),
    Path("/usr/lib/systemd/system"),
)
GROUP_LOCK: Final = "up.lock"
"""In the data folder; there once `streamswarm up` has run on it, and locked while it does."""


def how_to_start(settings: ServiceSettings, verb: str = "start") -> str:
    """The command that starts or restarts a service."""
    name = settings.table
    if _has_unit(name):
        return f"systemctl {verb} streamswarm-{name}"
    if is_there(settings.data / GROUP_LOCK):
        return "Ctrl-C and `streamswarm up`" if verb == "restart" else "streamswarm up"
    return f"streamswarm {name} run"


def how_to_read_log(settings: ServiceSettings) -> str:
    """What shows the end of a service's log."""
    name = settings.table
    if _has_unit(name):
        return f"journalctl -u streamswarm-{name} -n 20"
    if is_there(settings.data / GROUP_LOCK):
        return f"tail {settings.data.absolute() / 'logs' / name}.log"
    return "what it prints"


def _has_unit(name: str) -> bool:
    return any(is_there(folder / f"streamswarm-{name}.service") for folder in UNIT_FOLDERS)
