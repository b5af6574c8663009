"""Where a request comes from, with and without reverse proxies in front."""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from fastapi import Request

FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "Via")
"""Headers that say that somebody stands between."""


def client_of(peer: str, forwarded: Sequence[str], proxies: Iterable[str]) -> str:
    """The address that asks: the last one in X-Forwarded-For that is none of our proxies' own.

    Entries to the left of it were written by the client or its proxies, and can say anything.

    >>> client_of("10.0.0.1", ["203.0.113.9, 198.51.100.7"], ["10.0.0.0/8"])
    '198.51.100.7'
    >>> client_of("192.0.2.1", ["198.51.100.7"], ["10.0.0.0/8"])
    '192.0.2.1'
    """
    networks = [ipaddress.ip_network(proxy) for proxy in proxies]
    address = peer
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    while hops and _among(address, networks):
        address = _bare(hops.pop()) or address
    return address


def throttled_as(address: str) -> str:
    """What failures are counted by: an IPv4 address, or the /64 that an IPv6 host can choose addresses from.

    >>> throttled_as("2001:db8::1234"), throttled_as("::ffff:192.0.2.1"), throttled_as("192.0.2.1")
    ('2001:db8::/64', '192.0.2.1', '192.0.2.1')
    """
    try:
        parsed = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def peer_of(request: Request) -> str:
    """The other end of the connection."""
    return request.client.host if request.client else ""


def came_by_tls(request: Request, proxies: Iterable[str]) -> bool:
    """Whether the browser spoke TLS, to us or to a proxy that we trust."""
    if request.url.scheme == "https":
        return True
    networks = [ipaddress.ip_network(proxy) for proxy in proxies]
    told = request.headers.get("X-Forwarded-Proto", "").split(",")[-1].strip().lower()
    return told == "https" and _among(peer_of(request), networks)


def _among(address: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks)


def _bare(hop: str) -> str:
    """The address of an entry that may carry brackets and a port, or ""."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(ipaddress.ip_address(hop))
    except ValueError:
        return ""
