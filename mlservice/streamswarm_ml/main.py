from typing import Final

from streamswarm_core import log
from streamswarm_core.alone import alone
from streamswarm_core.errors import ConfigError
from streamswarm_core.serve import check_address, serve
from streamswarm_ml.app import create_app
from streamswarm_ml.settings import MlSettings

_TAKEN: Final = (
    "another ML service runs on this folder; give this one its own with STREAMSWARM_DATA, and its own shard "
    "(shards and shard), or both score every series"
)


def run(settings: MlSettings) -> None:
    """Run the ML service until SIGINT or SIGTERM.

    Raises:
        ConfigError: the address or the data folder can't be used, or another ML service uses it.
    """
    check_address(settings.host, settings.port, MlSettings)
    # What is said of the files that are opened has a time, too.
    log.configure(settings.table, level=settings.log_level, style=settings.log_format)
    try:
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{settings.folder}: {error.strerror}; choose another with STREAMSWARM_DATA") from None
    # Two on one folder would replace each other's state, and each other's versions of models.
    with alone(settings.folder, _TAKEN):
        serve(create_app(settings), settings, host=settings.host, port=settings.port)
