"""The time in which development mode is on: opened when the control plane starts, and closed when it is over."""

import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from streamswarm_controlplane.db import Database
from streamswarm_controlplane.development.mode import HEADER, end, open_until, start
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now

log = logging.getLogger(__name__)

_REMIND_SECONDS = 300.0


@contextmanager
def opened(database: Database, settings: ControlPlaneSettings) -> Iterator[None]:
    """While the control plane runs. A window that an earlier run has left open is closed, and said so."""
    with database.session() as db:
        window = start(db, settings)
    if window is None:
        yield
        return
    stopped = threading.Event()
    keeper = threading.Thread(target=_keep, args=(database, stopped), name="development mode", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stopped.set()
        keeper.join()
        with database.session() as db:
            end(db)


def _keep(database: Database, stopped: threading.Event) -> None:
    """Say every five minutes that the door is open, and close it in time."""
    while True:
        with database.session() as db:
            until = open_until(db)
            if until is None:
                end(db)
                return
        log.warning("DEVELOPMENT MODE: no login is asked for, until %s, of this machine", until.isoformat())
        if stopped.wait(min(_REMIND_SECONDS, max(0.1, (until - now()).total_seconds()))):
            return


def mark_answers(app: FastAPI, database: Database) -> None:
    """Say so in every answer."""

    def until_when() -> str:
        with database.session() as db:
            until = open_until(db)
        return f"no login until {until.isoformat()}" if until else ""

    @app.middleware("http")
    async def mark(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        said = await run_in_threadpool(until_when)
        if said:
            response.headers[HEADER] = said
        return response
