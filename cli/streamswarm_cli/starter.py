"""The first tests of a new installation: what every host has and nobody minds being measured."""

import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Starter:
    """One test of the starter set, by the names that the control plane's bootstrap takes."""

    key: str
    name: str
    probe: str
    target: str
    interval: float
    params: dict[str, Any] = field(default_factory=dict)


def starter_tests(
    controlplane_url: str,
    *,
    local_only: bool,
    interval: float,
    routes: Path = Path("/proc/net/route"),
    resolver: Path = Path("/etc/resolv.conf"),
    reflector: tuple[str, int] | None = None,
) -> list[Starter]:
    """Choose the tests for this host.

    Args:
        controlplane_url: measured by HTTP and by TCP.
        local_only: send nothing off this machine (ping the loopback address, leave the resolver out).
        interval: seconds between two runs.
        routes: the kernel's IPv4 routing table.
        resolver: where the resolver's address is.
        reflector: address and port of a reflector on this host that asks for no key.
    """
    tests = list(_choose(controlplane_url, None if local_only else routes, None if local_only else resolver, interval))
    if reflector:
        host, port = reflector
        tests.append(Starter("collector-stamp", "Collector both ways", "stamp", host, interval, {"port": port}))
    return tests


def _choose(controlplane_url: str, routes: Path | None, resolver: Path | None, interval: float) -> Iterator[Starter]:
    gateway = default_gateway(routes) if routes else None
    if gateway:
        yield Starter("gateway-ping", "Default gateway", "icmp", gateway, interval)
    else:
        yield Starter("loopback-ping", "Loopback", "icmp", "127.0.0.1", interval)
    server = first_nameserver(resolver) if resolver else None
    if server:
        yield Starter("resolver-dns", "Resolver", "dns", "example.com", interval, {"server": server})
    url = urlsplit(controlplane_url)
    yield Starter("controlplane-http", "Control plane", "http", f"{controlplane_url.rstrip('/')}/health", interval)
    yield Starter("controlplane-tcp", "Control plane port", "tcp", url.netloc, interval)
    yield Starter("host", "This host", "system", "", interval)


def default_gateway(routes: Path) -> str | None:
    """The IPv4 default gateway from the kernel's table (`/proc/net/route`), or None."""
    try:
        rows = [line.split() for line in routes.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return None
    for row in rows:
        if len(row) > 3 and row[1] == "00000000" and row[2] != "00000000":
            return socket.inet_ntoa(struct.pack("=I", int(row[2], 16)))
    return None


def first_nameserver(resolver: Path) -> str | None:
    """The first name server that resolv.conf names, or None."""
    try:
        rows = [line.split() for line in resolver.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    for row in rows:
        if len(row) > 1 and row[0] == "nameserver" and _is_address(row[1]):
            return row[1]
    return None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
