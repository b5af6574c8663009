import os
from functools import partial
from typing import TYPE_CHECKING

from streamswarm_controlplane.db import Database
from streamswarm_controlplane.metricsfolder import FOLDER_VARIABLE, metrics_folder
from streamswarm_controlplane.schema import migrate
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.serve import check_address, serve, serve_workers

if TYPE_CHECKING:
    from fastapi import FastAPI


def run(settings: ControlPlaneSettings) -> None:
    """Run the control plane until SIGINT or SIGTERM.

    Raises:
        ConfigError: the address, the data folder or the database can't be used.
    """
    check_address(settings.host, settings.port, ControlPlaneSettings)
    # Here, where what is wrong becomes one line: an app that can't start is only a log entry.
    database = Database(settings.database)
    try:
        migrate(database.engine)
    finally:
        database.close()
    if settings.workers == 1:
        serve(_create_app(settings), settings, host=settings.host, port=settings.port)
        return
    with metrics_folder() as folder:
        os.environ[FOLDER_VARIABLE] = str(folder)
        serve_workers(
            partial(_create_app, settings), settings, host=settings.host, port=settings.port, workers=settings.workers
        )


def _create_app(settings: ControlPlaneSettings) -> "FastAPI":
    # A second and a half to import: what started workers doesn't need it, nor one whom the database is refused.
    from streamswarm_controlplane.app import create_app  # noqa: PLC0415

    return create_app(settings)
