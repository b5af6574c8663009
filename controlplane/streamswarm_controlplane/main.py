from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.serve import check_address, serve


def run(settings: ControlPlaneSettings) -> None:
    """Run the control plane until SIGINT or SIGTERM.

    Raises:
        ConfigError: the address, the data folder or the database can't be used.
    """
    check_address(settings.host, settings.port, ControlPlaneSettings)
    serve(create_app(settings), settings, host=settings.host, port=settings.port)
