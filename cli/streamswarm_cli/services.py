"""Finds a service's package when its command is used, and says what to install when it isn't there."""

import importlib
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from streamswarm_core.errors import ConfigError

if TYPE_CHECKING:  # pydantic-settings takes a quarter of a second, which not every command needs
    from streamswarm_core.settings import ServiceSettings


class NotInstalledError(ConfigError):
    """A dependency of a service isn't here; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service that can be started.

    Attributes:
        name: as on the command line.
        title: for people.
        package: importable name.
        settings_class: name of the settings model in the package's `settings` module.
        extra: which extra of the `streamswarm` distribution brings its dependencies.
    """

    name: str
    title: str
    package: str
    settings_class: str
    extra: str

    def module(self, name: str) -> ModuleType:
        """Import one of the package's modules.

        Raises:
            ConfigError: this is no Linux.
            NotInstalledError: a dependency of the service isn't installed.
        """
        if sys.platform != "linux":
            raise ConfigError(f"the {self.title} runs on Linux, not on {sys.platform}")
        try:
            return importlib.import_module(f"{self.package}.{name}")
        except ModuleNotFoundError as error:
            if (error.name or "").startswith(self.package):
                raise
            raise NotInstalledError(
                f"the {self.title} needs the Python package {error.name!r}; "
                f"install it with: pip install 'streamswarm[{self.extra}]'"
            ) from None

    def settings_model(self) -> "type[ServiceSettings]":
        """The class of the service's settings.

        Raises:
            NotInstalledError: as `module`.
        """
        model: type[ServiceSettings] = getattr(self.module("settings"), self.settings_class)
        return model

    def load_settings(self, **overrides: Any) -> "ServiceSettings":
        """Read the service's settings; see ServiceSettings.load."""
        return self.settings_model().load(**overrides)

    def run(self, **overrides: Any) -> None:
        """Run the service until it is told to stop."""
        self.module("main").run(self.load_settings(**overrides))


CONTROLPLANE: Final = Service(
    "controlplane", "control plane", "streamswarm_controlplane", "ControlPlaneSettings", "controlplane"
)
COLLECTOR: Final = Service("collector", "collector", "streamswarm_collector", "CollectorSettings", "collector")
ML: Final = Service("ml", "ML service", "streamswarm_ml", "MlSettings", "ml")
AGENT: Final = Service("agent", "agent", "streamswarm_agent", "AgentSettings", "agent")

SERVICES: Final = {service.name: service for service in (CONTROLPLANE, COLLECTOR, ML, AGENT)}


def complete_service(incomplete: str) -> list[str]:
    """The services that begin like this, for shells."""
    return [name for name in SERVICES if name.startswith(incomplete)]
