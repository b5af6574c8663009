"""Development mode: for a while no login is asked for, of this machine only, while accounts stay as they are."""

from streamswarm_controlplane.development.mode import (
    HEADER,
    NAME,
    check_settings,
    developer,
    is_developer,
    lets_in,
    open_until,
)
from streamswarm_controlplane.development.window import mark_answers, opened

__all__ = [
    "HEADER",
    "NAME",
    "check_settings",
    "developer",
    "is_developer",
    "lets_in",
    "mark_answers",
    "open_until",
    "opened",
]
