"""Runs a service's app on uvicorn, the same way in every service."""

import asyncio
import contextlib
import errno
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import Any, Final

import uvicorn
from uvicorn.supervisors import Multiprocess

from streamswarm_core import log
from streamswarm_core.errors import ConfigError
from streamswarm_core.heads import bounded_http
from streamswarm_core.settings import ServiceSettings, variable_name

STOP_SECONDS: Final = 4
_HUNG_SECONDS: Final = 30
"""A worker that says nothing for so long is replaced. With uvicorn's 5 a host that is busy never gets one started."""
KEPT_SECONDS: Final = 75
"""How long an idle connection stays open: longer than agents are silent, who would shake hands anew for each poll."""
Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application."""


def check_address(host: str, port: int, settings: type[ServiceSettings]) -> None:
    """Make sure that a service can listen.

    Raises:
        ConfigError: something else listens there, or the address isn't this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                remedy = f"stop what listens there, or choose another port with {variable_name(settings, 'port')}"
            elif error.errno == errno.EACCES:
                remedy = f"choose a port from 1024 with {variable_name(settings, 'port')}"
            else:
                remedy = (
                    f"choose an address of this host with {variable_name(settings, 'host')}, such as 127.0.0.1 or ::1"
                )
            reason = error.strerror or str(error)
            raise ConfigError(f"the {settings.table} can't listen on {host} port {port}: {reason}; {remedy}") from None


def uvicorn_config(app: Application | Callable[[], Application], host: str, port: int, **more: Any) -> uvicorn.Config:
    """How every service is served; `more` is for uvicorn, which takes what makes the app with `factory=True`."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # uvicorn would believe whatever comes from loopback
        timeout_keep_alive=KEPT_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        **{"http": bounded_http(), **more},
    )


class QuietServer(uvicorn.Server):
    """uvicorn's server, but one that sleeps: the original looks ten times a second whether it is to stop.

    For services that have little else to do: on a small host each look costs as much as three pings.
    """

    look_seconds = 1.0
    """Between two looks at what else can end it, and two settings of the Date header's second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        """Serve until told to stop; a signal is noticed at once."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.look_seconds):
                    await self._stop.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        super().handle_exit(sig, frame)
        self.stop()

    def stop(self) -> None:
        """End, from whatever thread."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


def serve(app: Application, settings: ServiceSettings, *, host: str, port: int, **more: Any) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        app: the service.
        settings: for the log.
        host: address to listen on.
        port: TCP port to listen on.
        more: for uvicorn.

    Raises:
        ConfigError: the address can't be used.
    """
    check_address(host, port, type(settings))
    log.configure(settings.table, level=settings.log_level, style=settings.log_format)
    uvicorn.Server(uvicorn_config(app, host, port, **more)).run()


def serve_workers(
    make_app: Callable[[], Application], settings: ServiceSettings, *, host: str, port: int, workers: int, **more: Any
) -> None:
    """Serve with several processes on one socket until SIGINT or SIGTERM; one that dies is replaced.

    Args:
        make_app: makes the service in each process; sent there, so a module's function or a `partial` of one.
        settings: for the log.
        host: address to listen on.
        port: TCP port to listen on.
        workers: number of processes.
        more: for uvicorn.

    Raises:
        ConfigError: the address can't be used.
    """
    check_address(host, port, type(settings))
    log.configure(settings.table, level=settings.log_level, style=settings.log_format)
    made_there = partial(_make_in_worker, make_app, settings)
    more = {"timeout_worker_healthcheck": _HUNG_SECONDS, **more}
    config = uvicorn_config(made_there, host, port, factory=True, workers=workers, **more)
    listening = config.bind_socket()
    try:
        Multiprocess(config, sockets=[listening]).run()
    finally:
        listening.close()


def _make_in_worker(make_app: Callable[[], Application], settings: ServiceSettings) -> Application:
    log.configure(settings.table, level=settings.log_level, style=settings.log_format)
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    return make_app()


def _stop_with_parent() -> None:
    """A worker whose parent was killed would go on holding the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
