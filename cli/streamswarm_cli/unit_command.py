"""systemd units of the services, as hard as each allows. provisioning/systemd holds what this prints."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from streamswarm_cli.services import SERVICES

PROGRAM: Final = Path("/opt/streamswarm/bin/streamswarm")
EXIT_CONFIG: Final = 2


@dataclass(frozen=True, slots=True)
class Unit:
    """How the units differ.

    Attributes:
        what: for the description.
        memory: beyond which the kernel ends it.
        after: what it starts after.
        raw: whether it opens raw sockets and reads the host's devices and processes.
    """

    what: str
    memory: str
    after: str = "network-online.target"
    raw: bool = False


UNITS: Final = {
    "controlplane": Unit("control plane, with the console", "2G", "network-online.target postgresql.service"),
    "collector": Unit("collector, which takes and keeps the points", "4G"),
    "ml": Unit("ML service, which scores the series", "4G"),
    "agent": Unit("agent, which measures", "512M", raw=True),
}


def unit(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.")] = "agent",
    *,
    packaged: Annotated[bool, typer.Option("--packaged", help=f"With {PROGRAM} as the program.")] = False,
) -> None:
    """Print a systemd unit for a service, with this program's own path.

    To install one: streamswarm unit agent | sudo tee /etc/systemd/system/streamswarm-agent.service
    """
    if service not in UNITS:
        raise typer.BadParameter(f"no service {service!r}; one of {', '.join(UNITS)}", param_hint="service")
    typer.echo(text_of(service, PROGRAM if packaged else _this_program()), nl=False)


def text_of(service: str, program: Path) -> str:
    """The unit's text."""
    own = UNITS[service]
    if own.raw:
        confined = "AmbientCapabilities=CAP_NET_RAW\n"
        capabilities, families = "CAP_NET_RAW", " AF_PACKET"
    else:
        confined = "PrivateDevices=yes\nPrivateUsers=yes\nProtectProc=invisible\n"
        capabilities, families = "", ""
    return f"""\
[Unit]
Description=StreamSwarm {own.what}
Wants=network-online.target
After={own.after}

[Service]
ExecStart={program} {service} run
EnvironmentFile=-/etc/streamswarm/{service}.env
Environment=STREAMSWARM_DATA=/var/lib/streamswarm
WorkingDirectory=/var/lib/streamswarm
User=streamswarm
Group=streamswarm
StateDirectory=streamswarm
StateDirectoryMode=0700
UMask=0077
Restart=always
RestartSec=2
# A configuration that can't be used is not mended by trying again.
RestartPreventExitStatus={EXIT_CONFIG}
TimeoutStopSec=30
LimitNOFILE=65536
MemoryMax={own.memory}
# What it prints goes to the journal, which keeps itself within bounds: journalctl -u streamswarm-{service}
StandardOutput=journal
StandardError=journal
SyslogIdentifier=streamswarm-{service}

CapabilityBoundingSet={capabilities}
{confined}NoNewPrivileges=yes
LockPersonality=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK{families}
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
"""


def _this_program() -> Path:
    return Path(shutil.which(sys.argv[0]) or sys.argv[0]).absolute()
