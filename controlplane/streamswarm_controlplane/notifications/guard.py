"""Which addresses a webhook may reach, so that whoever edits channels can't make the server ask itself or its cloud."""

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from streamswarm_core.errors import ConfigError, StreamSwarmError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]

_METADATA: Final = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})
"""Clouds' metadata services that are not link-local."""
_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


class BlockedError(StreamSwarmError):
    """A host has no address that a webhook may reach."""


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host.

    Raises:
        OSError: it has none.
    """
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Guard:
    """Lets through what is not this host, its link, or a metadata service.

    Args:
        allowed: networks that are let through all the same.
        resolver: gives a host's addresses.
    """

    def __init__(self, allowed: Iterable[Network] = (), resolver: Resolve = resolve) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolver

    @classmethod
    def parse(cls, text: str) -> "Guard":
        """With networks from the settings, separated by spaces or commas.

        Raises:
            ConfigError: one of them is none.
        """
        networks = []
        for part in text.replace(",", " ").split():
            try:
                networks.append(ipaddress.ip_network(part))
            except ValueError as error:
                raise ConfigError(
                    f"STREAMSWARM_CONTROLPLANE_WEBHOOK_ALLOW: {error}; give networks such as 127.0.0.0/8"
                ) from None
        return cls(networks)

    def permits(self, address: Address) -> bool:
        """Whether a webhook may reach an address."""
        if any(address in network for network in self._allowed if network.version == address.version):
            return True
        inner = embedded_ipv4(address)
        if inner is not None:
            return self.permits(inner)
        return not (
            address.is_loopback
            or address.is_link_local
            or address.is_unspecified
            or address.is_multicast
            or address.is_reserved
            or address in _METADATA
            or address in ipaddress.IPv4Network("0.0.0.0/8")
        )

    def pin(self, host: str, port: int) -> list[str]:
        """The addresses to connect to: the name is looked up once, and what was checked is what is used.

        Raises:
            BlockedError: none may be reached.
            OSError: the name has no address.
        """
        found = self._resolve(host.strip("[]"), port)
        # A link-local address may carry its interface, which ipaddress understands only for IPv6.
        pinned = [text for text in dict.fromkeys(found) if self.permits(ipaddress.ip_address(text))]
        if pinned:
            return pinned
        addresses = ", ".join(dict.fromkeys(found)) or "nowhere"
        what = host if addresses == host.strip("[]") else f"{host} is {addresses}, which"
        raise BlockedError(
            f"{what} webhooks may not reach; whoever runs this server can allow it with "
            "STREAMSWARM_CONTROLPLANE_WEBHOOK_ALLOW"
        )


def embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, 6to4, Teredo, NAT64, or of the old compatible form.

    >>> [str(embedded_ipv4(ipaddress.ip_address(one))) for one in ("::ffff:127.0.0.1", "2002:7f00:1::", "::1")]
    ['127.0.0.1', '127.0.0.1', 'None']
    """
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _COMPATIBLE and int(address) > 0xFFFF:
        return ipaddress.IPv4Address(int(address))
    return None
