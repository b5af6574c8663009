"""What a run asks of the agent and its link (for the schedule), and of the host (for `streamswarm doctor`)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Lane(StrEnum):
    """Which runs share a limit of how many may be under way: a slow kind can't take the places of a quick one."""

    SHARED = "shared"
    """Waits on sockets that all runs share, as pings do; costs memory only, so there is no limit."""
    SOCKET = "socket"
    """Opens sockets of its own; the limit keeps the agent within its file descriptors."""
    TOOL = "tool"
    """Runs a program, or calls that block a thread."""
    EXCLUSIVE = "exclusive"
    """Fills the link: one at a time, on a link that is not busy, while no run with a target is under way."""


@dataclass(frozen=True, slots=True)
class RunCost:
    """What one run puts on the link, estimated from its options.

    Attributes:
        packets: that the agent sends.
        bytes: of IP packets, in the busier direction.
    """

    packets: float = 0
    bytes: float = 0

    def per_second(self, interval: float) -> "RunCost":
        """Spread over an interval of so many seconds.

        >>> RunCost(10, 1000).per_second(5)
        RunCost(packets=2.0, bytes=200.0)
        """
        return RunCost(self.packets / interval, self.bytes / interval)

    def __add__(self, other: "RunCost") -> "RunCost":
        return RunCost(self.packets + other.packets, self.bytes + other.bytes)


DEFAULT_BUDGET: Final = RunCost(2_000, 20e6 / 8)
"""What all of an agent's assignments together may put on its link per second, unless its settings say otherwise."""

SHORT_EXCHANGE: Final = RunCost(10, 10_000)
"""The cost of a probe that doesn't state its own."""


class NeedKind(StrEnum):
    """What can be needed; the agent knows how to look for each."""

    PING_SOCKET = "ping_socket"
    RAW_SOCKET = "raw_socket"
    PROGRAM = "program"
    SETTING_FILE = "setting_file"
    WIRELESS = "wireless"
    PACKAGE = "package"


@dataclass(frozen=True, slots=True)
class Need:
    """Something of the host that a probe can't do without, or measures less without.

    Attributes:
        kind: how to look for it.
        name: the program, the Python package, or the agent's setting that holds the file's path; empty for the others.
        package: the Debian package that brings the program, or what pip installs for the Python package.
        optional: the probe works without it, and leaves out what it would have measured.
        used_for: what is lost without it.
    """

    kind: NeedKind
    name: str = ""
    package: str = ""
    optional: bool = False
    used_for: str = ""


PING_SOCKET: Final = Need(NeedKind.PING_SOCKET, used_for="sending ICMP echo")
RAW_SOCKET: Final = Need(NeedKind.RAW_SOCKET, used_for="sending packets that it makes itself")


def program(name: str, package: str, used_for: str, *, optional: bool = False) -> Need:
    """A program that the probe starts."""
    return Need(NeedKind.PROGRAM, name, package, optional, used_for)


def setting_file(setting: str, used_for: str) -> Need:
    """A file whose path is one of the agent's settings; the probe runs without it, too."""
    return Need(NeedKind.SETTING_FILE, setting, optional=True, used_for=used_for)


def package(name: str, requirement: str, used_for: str, *, optional: bool = False) -> Need:
    """A Python package that an agent doesn't have unless asked for."""
    return Need(NeedKind.PACKAGE, name, requirement, optional, used_for)
