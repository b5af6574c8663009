import ipaddress
from typing import Final

import psutil

_MOST: Final = 64


def read_addresses() -> list[str]:
    """The IP addresses of this host's interfaces, IPv4 first, without loopback, link-local and multicast ones."""
    found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            try:
                address = ipaddress.ip_address(one.address.partition("%")[0])
            except ValueError:  # a hardware address
                continue
            if not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified):
                found.add(address)
    return [str(address) for address in sorted(found, key=lambda one: (one.version, int(one)))[:_MOST]]
