from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.serve import check_address, serve


def run(settings: CollectorSettings) -> None:
    """Run the collector until SIGINT or SIGTERM.

    Raises:
        ConfigError: the address, the data folder or the store's file can't be used.
    """
    check_address(settings.host, settings.port, CollectorSettings)
    serve(create_app(settings), settings, host=settings.host, port=settings.port)
