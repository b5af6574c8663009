"""The vocabulary that every StreamSwarm service shares; no service's logic lives here."""

from typing import Final

__version__: Final = "0.1.0"
