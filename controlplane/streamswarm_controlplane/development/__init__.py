"""Development mode: for a while no login is asked for, of this machine only, while accounts stay as they are."""

from streamswarm_controlplane.development.mode import NAME, developer, is_developer, lets_in, open_until

__all__ = ["NAME", "developer", "is_developer", "lets_in", "open_until"]
