import gc
import os
import signal
import sys
from typing import Final

from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core import log
from streamswarm_core.serve import check_address, serve

_SWITCH_SECONDS: Final = 0.0005
"""A query waits so long at most for a thread that parses or stores; Python's five milliseconds are all its time."""
_YOUNG_OBJECTS: Final = 100_000
"""An answer can be tens of thousands of tuples that die at once; to look for cycles among them takes long."""


def run(settings: CollectorSettings) -> None:
    """Run the collector until SIGINT or SIGTERM.

    Raises:
        ConfigError: the address, the data folder or the store's file can't be used.
    """
    check_address(settings.host, settings.port, CollectorSettings)
    # What is said of the files that are opened has a time, too.
    log.configure(settings.table, level=settings.log_level, style=settings.log_format)
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_YOUNG_OBJECTS)
    serve(
        create_app(settings, on_fatal=_end),
        settings,
        host=settings.host,
        port=settings.port,
        limit_concurrency=settings.max_connections,
    )


def _end() -> None:
    """Whoever started the collector starts it again, which opens the file anew."""
    os.kill(os.getpid(), signal.SIGTERM)
