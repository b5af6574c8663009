"""Targets as people write them, and what they resolve to."""

import ipaddress
import socket
import time
from dataclasses import dataclass
from functools import lru_cache

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.lookups import look_up
from streamswarm_core.probespecs import Family

_FAMILIES = {
    Family.ANY: socket.AF_UNSPEC,
    Family.IPV4: socket.AF_INET,
    Family.IPV6: socket.AF_INET6,
}


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a target.

    Attributes:
        family: AF_INET or AF_INET6.
        sockaddr: as the socket module takes it.
        resolve: seconds that the name took; None for a literal address.
    """

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]
    resolve: float | None

    @property
    def host(self) -> str:
        """The address in text form."""
        return self.sockaddr[0]

    @property
    def family_tag(self) -> str:
        """The `family` tag: `ipv4` or `ipv6`."""
        return "ipv6" if self.family == socket.AF_INET6 else "ipv4"


def split_host_port(target: str) -> tuple[str, int]:
    """Read `host:port` or `[IPv6]:port`.

    Raises:
        ProbeFault: it is neither.

    >>> split_host_port("[::1]:443")
    ('::1', 443)
    """
    host, colon, port = target.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed) or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ProbeFault(Fault.BAD_TARGET, f"{target!r} is not host:port or [IPv6]:port")
    return (host[1:-1] if bracketed else host), int(port)


async def resolve(host: str, port: int = 0, family: Family = Family.ANY) -> Address:
    """Find the first address of a host, as the system's resolver orders them.

    Raises:
        ProbeFault: the name doesn't exist, has no address of the family, or the resolver doesn't answer.
    """
    written_out = _literal(host, port, family)
    if written_out is not None:
        return written_out
    started = time.monotonic()
    try:
        found = await look_up(host, _FAMILIES[family])
    except (OSError, UnicodeError) as error:
        if isinstance(error, UnicodeError):
            raise ProbeFault(Fault.BAD_TARGET, f"{host!r} is no host name") from None
        raise from_os_error(error) from None
    kind, (address, _, *scope) = found[0]
    return Address(kind, (address, port, *scope), time.monotonic() - started)  # type: ignore[arg-type]


def literal(host: str, family: Family = Family.ANY) -> Address | None:
    """The address that is written out, or None for a name.

    Raises:
        ProbeFault: it is an address of the other family.
    """
    return _literal(host, 0, family)


@lru_cache(16_384)
def _literal(host: str, port: int, family: Family) -> Address | None:
    """The address that is written out, or None for a name.

    Raises:
        ProbeFault: it is an address of the other family.
    """
    host = host.strip("[]")
    if not _is_address(host):
        return None
    try:
        # Nothing is looked up here, so there is nothing to wait for.
        found = socket.getaddrinfo(
            host, port, family=_FAMILIES[family], type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except OSError:
        raise ProbeFault(Fault.BAD_TARGET, f"{host} is no {family} address") from None
    return Address(found[0][0], found[0][4], None)  # type: ignore[arg-type]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
