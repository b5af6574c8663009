"""The address that a service listens on: whether the service answers there, or something else, or nobody yet."""

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from streamswarm_core import __version__
from streamswarm_core.doctor.asking import Answer, UnansweredError, ask
from streamswarm_core.doctor.files import is_there
from streamswarm_core.doctor.finding import Finding, broken, note, ok, warning
from streamswarm_core.doctor.listeners import Process, listener_on
from streamswarm_core.doctor.starting import how_to_read_log, how_to_start
from streamswarm_core.errors import ConfigError
from streamswarm_core.hostport import host_port, local_url
from streamswarm_core.serve import check_address
from streamswarm_core.settings import ServiceSettings, variable_name

_IN_USE: Final = os.strerror(errno.EADDRINUSE)
_NOT_OURS: Final = os.strerror(errno.EADDRNOTAVAIL)
_QUIET: Final = frozenset({"name", "version", "status"})


class OwnPort:
    """Asks once, and keeps the answer for other checks.

    Args:
        settings: the service's.
        host: where it listens.
        port: its TCP port.
        folder: its part of the data folder, which is there once it has run.
    """

    def __init__(self, settings: ServiceSettings, host: str, port: int, folder: Path) -> None:
        self.url: Final = local_url(host, port)
        self._settings = settings
        self._host, self._port = host, port
        self._has_run = is_there(folder)
        self._answer: Answer | None = None
        self._reason = ""
        self._refusal = self._why_not_free()
        # An address that isn't this host's is another's, who isn't asked.
        if self._refusal and _NOT_OURS not in self._refusal:
            try:
                self._answer = ask(f"{self.url}/health")
            except UnansweredError as error:
                self._reason = str(error)
        self.process: Final[Process | None] = listener_on(port)

    @property
    def runs(self) -> bool:
        """Whether the service itself answers."""
        return self._answer is not None and self._answer.body.get("name") == f"streamswarm-{self._settings.table}"

    @property
    def health(self) -> Mapping[str, Any]:
        """What the service says of itself; empty if it doesn't answer."""
        return self._answer.body if self._answer and self.runs else {}

    def findings(self) -> Iterator[Finding]:
        """Who answers there."""
        where = host_port(self._host, self._port)
        if self._answer is None or not self.runs:
            yield self._not_ours(where)
            return
        who = f"{self.process.pid} " if self.process else ""
        version = str(self._answer.body.get("version", ""))
        if not self._answer.good or self.health.get("status") in {"fail", "warn"}:
            details = "; ".join(f"{key}: {_plain(value)}" for key, value in self.health.items() if key not in _QUIET)
            found = f"{who}runs on {where} and isn't well: {details or self._answer.complaint}"
            see = f"what it names is below, or in its log: {how_to_read_log(self._settings)}"
            yield (warning if self._answer.good else broken)("process", found, see)
        elif version != __version__:
            found = f"{who}runs version {version} on {where}, and {__version__} is installed"
            yield warning("process", found, f"restart it: {how_to_start(self._settings, 'restart')}")
        else:
            yield ok("process", f"{who}runs version {version} on {where}")

    def _why_not_free(self) -> str:
        try:
            check_address(self._host, self._port, type(self._settings))
        except ConfigError as error:
            return str(error)
        return ""

    def _not_ours(self, where: str) -> Finding:
        if self._answer is not None or _IN_USE in self._refusal:
            return self._taken(where)
        if self._refusal:
            model = type(self._settings)
            variables = f"{variable_name(model, 'host')} or {variable_name(model, 'port')}"
            return broken("port", self._refusal.partition("; ")[0], f"choose another address or port with {variables}")
        start = f"start it: {how_to_start(self._settings)}"
        if self._has_run:
            remedy = f"{start}; if it ends again, its log says why: {how_to_read_log(self._settings)}"
            return broken("process", f"it doesn't run: nobody listens on {where}", remedy)
        return note("process", f"it has never run here; {where} is free for it", start)

    def _taken(self, where: str) -> Finding:
        variable = variable_name(type(self._settings), "port")
        if self.process is None:
            who = f"another program (sudo ss -ltnp 'sport = :{self._port}' says which)"
        else:
            who = str(self.process)
        if self._answer is None and self.process is not None and "streamswarm" in self.process.command:
            found = f"{who} holds {where} and doesn't answer: {self._reason}"
            return broken("process", found, f"restart it: {how_to_start(self._settings, 'restart')}")
        return broken("port", f"{where} is taken by {who}", f"stop that, or choose another port with {variable}")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {one}" for key, one in value.items())
    return str(value)
