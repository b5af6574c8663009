"""What this host lacks for the agent and for each probe, and what to do about it: `streamswarm doctor`."""

import ctypes
import importlib.util
import os
import resource
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import httpx

from streamswarm_agent.enrol import credential_path, load_credential
from streamswarm_agent.faults import without_number
from streamswarm_agent.settings import AgentSettings
from streamswarm_core.errors import ConfigError
from streamswarm_core.probespecs import SPECS
from streamswarm_core.probespecs.demand import Need, NeedKind
from streamswarm_core.settings import variable_name

_ANSWER_SECONDS: Final = 5.0
_WANTED_BUFFER: Final = 4 * 1024 * 1024
_SPARE_DESCRIPTORS: Final = 128
_STA_UNSYNC: Final = 0x40
_TIMEX_BYTES: Final = 256

_RAW_REMEDY: Final = "give the agent CAP_NET_RAW (systemd: AmbientCapabilities=CAP_NET_RAW)"


class State(StrEnum):
    """How it is with one thing."""

    OK = "ok"
    LIMITED = "limited"
    """The agent works, and measures less or worse."""
    LACKING = "lacking"
    """Something doesn't work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: a probe's name, or `agent`.
        state: how it is.
        found: what there is, or what is missing and what for.
        remedy: what to do about it; empty if nothing.
    """

    subject: str
    state: State
    found: str
    remedy: str = ""


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


def examine(settings: AgentSettings, host: Host | None = None) -> list[Finding]:
    """Look at everything; changes nothing and needs no enrolment."""
    host = host or Host()
    return [
        *_data_folder(settings),
        _enrolment(settings),
        _peer("control plane", settings.controlplane_url, variable_name(AgentSettings, "controlplane_url")),
        _peer("collector", settings.collector_url, variable_name(AgentSettings, "collector_url")),
        _spool(settings),
        _clock(),
        _descriptors(settings),
        *_buffers(host),
        *(finding for name, spec in SPECS.items() for finding in _needs_of(name, spec.needs, settings, host)),
    ]


def _needs_of(name: str, needs: tuple[Need, ...], settings: AgentSettings, host: Host) -> Iterator[Finding]:
    if not needs:
        yield Finding(name, State.OK, "needs nothing special")
    for need in needs:
        found, remedy = _CHECKS[need.kind](need, settings, host)
        missing = State.LIMITED if need.optional else State.LACKING
        used = f", needed for {need.used_for}" if need.used_for and remedy else ""
        yield Finding(name, missing if remedy else State.OK, found + used, remedy)


Check = Callable[[Need, AgentSettings, Host], tuple[str, str]]
"""Looks for a need; returns what it found and the remedy, which is empty if the need is met."""


def _ping_socket(_need: Need, _settings: AgentSettings, host: Host) -> tuple[str, str]:
    if _opens(host, socket.SOCK_DGRAM, socket.IPPROTO_ICMP):
        return "unprivileged ICMP sockets are allowed", ""
    if _opens(host, socket.SOCK_RAW, socket.IPPROTO_ICMP):
        return "raw ICMP sockets are allowed", ""
    return "no ICMP socket can be opened", f"sysctl -w net.ipv4.ping_group_range='0 2147483647', or {_RAW_REMEDY}"


def _raw_socket(_need: Need, _settings: AgentSettings, host: Host) -> tuple[str, str]:
    if _opens(host, socket.SOCK_RAW, socket.IPPROTO_RAW):
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


def _opens(host: Host, kind: int, protocol: int) -> bool:
    try:
        host.open_socket(socket.AF_INET, kind, protocol).close()
    except OSError:
        return False
    return True


def _data_folder(settings: AgentSettings) -> Iterator[Finding]:
    folder = settings.folder
    # A folder that isn't there yet is made by the agent, if it may.
    there = next(parent for parent in (folder, *folder.absolute().parents) if _exists(parent))
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding(
            "agent",
            State.LACKING,
            f"data folder {folder}: this user may not write to {there}",
            "change its owner, or choose another folder with STREAMSWARM_DATA",
        )
    else:
        free = shutil.disk_usage(there).free
        short = free < settings.spool_max_bytes
        yield Finding(
            "agent",
            State.LIMITED if short else State.OK,
            f"data folder {folder} can be written, {free / 1e9:.1f} GB free",
            f"make room for the spool's {settings.spool_max_bytes / 1e6:.0f} MB" if short else "",
        )


def _exists(path: Path) -> bool:
    """Whether this user can see it."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _enrolment(settings: AgentSettings) -> Finding:
    try:
        credential = load_credential(settings)
    except ConfigError:
        found = f"{credential_path(settings)} can't be read, or holds no credential"
        remedy = "run this as the agent's user, or enrol again: streamswarm agent enrol --force"
        return Finding("agent", State.LACKING, found, remedy)
    if credential is not None:
        return Finding("agent", State.OK, f"enrolled as {credential.name}")
    return Finding("agent", State.LIMITED, "not enrolled yet", "streamswarm agent enrol --url URL")


def _peer(name: str, url: str, variable: str) -> Finding:
    try:
        answer = httpx.get(f"{url}/health", timeout=_ANSWER_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        found = f"the {name} {url} can't be reached: {without_number(error)}"
        return Finding("agent", State.LACKING, found, f"start it, or correct {variable}")
    if answer.status_code >= 500:
        found = f"the {name} {url} answers HTTP {answer.status_code}"
        return Finding("agent", State.LACKING, found, "see its log")
    # An InfluxDB in the collector's place may want to know who asks.
    if not answer.is_success and answer.status_code not in {401, 403}:
        found = f"{url}/health answers HTTP {answer.status_code}: that is no {name}"
        return Finding("agent", State.LACKING, found, f"correct {variable}")
    return Finding("agent", State.OK, f"the {name} {url} answers")


def _spool(settings: AgentSettings) -> Finding:
    try:
        size = sum(path.stat().st_size for path in (settings.folder / "spool").glob("*.lines"))
    except OSError as error:
        return Finding("agent", State.LACKING, f"the spool can't be read: {error.strerror}", "change its owner")
    share = size / settings.spool_max_bytes
    found = f"{size / 1e6:.1f} MB wait in the spool, of at most {settings.spool_max_bytes / 1e6:.0f}"
    if share > 0.5:
        remedy = f"see why the collector isn't reached, or raise {variable_name(AgentSettings, 'spool_max_bytes')}"
        return Finding("agent", State.LIMITED, found, remedy)
    return Finding("agent", State.OK, found)


def _clock() -> Finding:
    """The kernel knows whether something keeps its clock in step (adjtimex(2), STA_UNSYNC)."""
    # struct timex begins with the modes (none: nothing is changed); the status is its fifth member.
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except AttributeError:
        state = -1
    if state < 0:
        return Finding("agent", State.LIMITED, "the kernel doesn't say whether the clock is in step", "look yourself")
    status = ctypes.c_int.from_buffer(timex, 5 * ctypes.sizeof(ctypes.c_long)).value
    if status & _STA_UNSYNC:
        found = "nothing keeps the clock in step: times of points, and one-way delays, are off by as much as it is"
        return Finding("agent", State.LIMITED, found, "apt install chrony")
    return Finding("agent", State.OK, "the clock is kept in step")


def _descriptors(settings: AgentSettings) -> Finding:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.concurrency + _SPARE_DESCRIPTORS
    found = f"{limit} file descriptors"
    if limit < wanted:
        setting = variable_name(AgentSettings, "concurrency")
        remedy = f"ulimit -n {wanted} (systemd: LimitNOFILE={wanted}), or lower {setting}"
        return Finding("agent", State.LIMITED, f"{found}, {wanted} may be needed", remedy)
    return Finding("agent", State.OK, found)


def _buffers(host: Host) -> Iterator[Finding]:
    try:
        size = int((host.proc / "sys/net/core/rmem_max").read_text())
    except (OSError, ValueError):
        return
    found = f"receive buffers of sockets may have {size / 1e6:.1f} MB"
    if size < _WANTED_BUFFER:
        remedy = f"sysctl -w net.core.rmem_max={_WANTED_BUFFER}, for bursts of thousands of replies"
        yield Finding("agent", State.LIMITED, found, remedy)
    else:
        yield Finding("agent", State.OK, found)
