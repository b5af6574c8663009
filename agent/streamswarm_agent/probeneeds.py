"""What this host lacks for each probe: the right to send ICMP, programs, packages, files."""

import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streamswarm_agent.settings import AgentSettings
from streamswarm_core.doctor.finding import Finding, broken, note, ok
from streamswarm_core.probespecs import SPECS
from streamswarm_core.probespecs.demand import Need, NeedKind
from streamswarm_core.settings import variable_name

_RAW_REMEDY: Final = "give the agent CAP_NET_RAW (systemd: AmbientCapabilities=CAP_NET_RAW)"


@dataclass(frozen=True, slots=True)
class Host:
    """Where to look; tests have their own.

    Attributes:
        proc: the kernel's /proc.
        sys: the kernel's /sys.
        which: finds a program.
        open_socket: opens a socket of family, kind and protocol, or raises OSError.
    """

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    which: Callable[[str], str | None] = shutil.which
    open_socket: Callable[[int, int, int], socket.socket] = socket.socket

    def opens(self, family: int, kind: int, protocol: int) -> bool:
        """Whether a socket may be opened."""
        try:
            self.open_socket(family, kind, protocol).close()
        except OSError:
            return False
        return True


def probes(settings: AgentSettings, host: Host, used: Collection[str] | None) -> Iterator[Finding]:
    """What probes lack, and how many lack nothing.

    Args:
        settings: the agent's.
        host: where to look.
        used: the probes of the agent's assignments, whose lacks are faults; None before it has any, when all are.
    """
    lacks = {name: list(_lacks(spec.needs, settings, host)) for name, spec in SPECS.items()}
    able = [name for name, found in lacks.items() if all(lack.need.optional for lack in found)]
    yield ok("probes", f"{len(able)} of {len(SPECS)} can run here: {', '.join(able)}")
    for name, found in lacks.items():
        for lack in found:
            yield _told(name, lack, faulty=used is None or name in used)


@dataclass(frozen=True, slots=True)
class _Lack:
    need: Need
    found: str
    remedy: str


def _lacks(needs: Iterable[Need], settings: AgentSettings, host: Host) -> Iterator[_Lack]:
    for need in needs:
        found, remedy = _CHECKS[need.kind](need, settings, host)
        if remedy:
            yield _Lack(need, found, remedy)


def _told(name: str, lack: _Lack, *, faulty: bool) -> Finding:
    lost = f", needed for {lack.need.used_for}" if lack.need.used_for else ""
    if lack.need.optional:
        return note(name, f"{lack.found}{lost}", lack.remedy)
    if faulty:
        return broken(name, f"{lack.found}{lost}", lack.remedy)
    return note(name, f"{lack.found}{lost}; no test of this agent uses it", lack.remedy)


Check = Callable[[Need, AgentSettings, Host], tuple[str, str]]
"""Looks for a need; returns what it found and the remedy, which is empty if the need is met."""


def _ping_socket(_need: Need, _settings: AgentSettings, host: Host) -> tuple[str, str]:
    if host.opens(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP):
        return "unprivileged ICMP sockets are allowed", ""
    if host.opens(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP):
        return "raw ICMP sockets are allowed", ""
    return "no ICMP socket can be opened", f"sysctl -w net.ipv4.ping_group_range='0 2147483647', or {_RAW_REMEDY}"


def _raw_socket(_need: Need, _settings: AgentSettings, host: Host) -> tuple[str, str]:
    if host.opens(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW):
        return "raw sockets are allowed", ""
    return "no raw socket can be opened", _RAW_REMEDY


def _program(need: Need, _settings: AgentSettings, host: Host) -> tuple[str, str]:
    path = host.which(need.name)
    if path:
        return path, ""
    return f"the program {need.name} is not installed", f"apt install {need.package or need.name}"


def _package(need: Need, _settings: AgentSettings, _host: Host) -> tuple[str, str]:
    if importlib.util.find_spec(need.name):
        return f"the Python package {need.name} is installed", ""
    return f"the Python package {need.name} is not installed", f"{sys.executable} -m pip install '{need.package}'"


def _setting_file(need: Need, settings: AgentSettings, _host: Host) -> tuple[str, str]:
    variable = variable_name(AgentSettings, need.name)
    path = getattr(settings, need.name, None)
    if not path:
        return f"{variable} names no file", f"set {variable} to the file's path"
    if not os.access(path, os.R_OK):
        return f"{path} can't be read", f"correct {variable}, or the file's permissions"
    return str(path), ""


def _wireless(_need: Need, _settings: AgentSettings, host: Host) -> tuple[str, str]:
    found = sorted(path.parent.name for path in host.sys.glob("class/net/*/wireless"))
    if found:
        return f"wireless interfaces: {', '.join(found)}", ""
    return "this host has no wireless interface", "nothing to do unless it should have one"


_CHECKS: Final[Mapping[NeedKind, Check]] = {
    NeedKind.PING_SOCKET: _ping_socket,
    NeedKind.RAW_SOCKET: _raw_socket,
    NeedKind.PROGRAM: _program,
    NeedKind.SETTING_FILE: _setting_file,
    NeedKind.WIRELESS: _wireless,
    NeedKind.PACKAGE: _package,
}
