from streamswarm_core import log
from streamswarm_core.serve import check_address, serve
from streamswarm_ml.app import create_app
from streamswarm_ml.settings import MlSettings


def run(settings: MlSettings) -> None:
    """Run the ML service until SIGINT or SIGTERM.

    Raises:
        ConfigError: the address or the data folder can't be used.
    """
    check_address(settings.host, settings.port, MlSettings)
    # What is said of the files that are opened has a time, too.
    log.configure(settings.table, level=settings.log_level, style=settings.log_format)
    serve(create_app(settings), settings, host=settings.host, port=settings.port)
