"""systemd units of the services, as hard as each allows. provisioning/systemd holds what this prints."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from streamswarm_cli.services import SERVICES, complete_service

PROGRAM: Final = Path("/opt/streamswarm/bin/streamswarm")
EXIT_CONFIG: Final = 2
_DATA: Final = "/var/lib/streamswarm"


@dataclass(frozen=True, slots=True)
class Unit:
    """How the units differ.

    Attributes:
        what: for the description.
        memory: beyond which the kernel ends it.
        after: what it starts after.
        raw: whether it opens raw sockets and reads the host's devices and processes.
        secrets: of the folder `secrets`, those that are not for it; "" for all of it.
    """

    what: str
    memory: str
    after: str = "network-online.target"
    raw: bool = False
    secrets: tuple[str, ...] = ("",)


UNITS: Final = {
    "controlplane": Unit(
        "control plane, with the console", "2G", "network-online.target postgresql.service", secrets=()
    ),
    "collector": Unit("collector, which takes and keeps the points", "4G", secrets=("ml.token",)),
    "ml": Unit("ML service, which scores the series", "4G", secrets=("collector.token",)),
    "agent": Unit("agent, which measures", "512M", raw=True),
}


def unit(
    service: Annotated[
        str, typer.Argument(help=f"One of {', '.join(SERVICES)}.", autocompletion=complete_service)
    ] = "agent",
    *,
    packaged: Annotated[bool, typer.Option("--packaged", help=f"With {PROGRAM} as the program.")] = False,
) -> None:
    """Print a service's systemd unit, with this program's path.

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
    others = [other for other in UNITS if other != service]
    others += ["/".join(filter(None, ("secrets", secret))) for secret in own.secrets]
    hidden = " ".join(f"-{_DATA}/{other}" for other in others)
    return f"""\
[Unit]
Description=StreamSwarm {own.what}
Wants=network-online.target
After={own.after}

[Service]
ExecStart={program} {service} run
EnvironmentFile=-/etc/streamswarm/{service}.env
Environment=STREAMSWARM_DATA={_DATA}
WorkingDirectory={_DATA}
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
# Memory holds keys and passwords.
LimitCORE=0
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
# What other services keep on the same host, such as the key that the control plane signs with.
InaccessiblePaths={hidden}
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
