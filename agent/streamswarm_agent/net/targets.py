"""What targets resolve to."""

import ipaddress
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.lookups import look_up
from streamswarm_core.probespecs import Family
from streamswarm_core.probespecs.targets import read_host

Form = TypeVar("Form")

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
        others: how many more the name has; only the first is measured, so that a run says which one it was.
    """

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]
    resolve: float | None
    others: int = 0

    @property
    def chosen(self) -> str:
        """What to put before the words of a fault where the target doesn't say which address it is of.

        >>> Address(socket.AF_INET, ("192.0.2.1", 80), 0.01, others=1).chosen
        '192.0.2.1, the first of 2 addresses: '
        """
        if self.resolve is None:
            return ""
        return f"{self.host}, the first of {self.others + 1} addresses: " if self.others else f"{self.host}: "

    @property
    def host(self) -> str:
        """The address in text form."""
        return self.sockaddr[0]

    @property
    def family_tag(self) -> str:
        """The `family` tag: `ipv4` or `ipv6`."""
        return "ipv6" if self.family == socket.AF_INET6 else "ipv4"


def read_target(form: Callable[[str], Form], target: str) -> Form:
    """Read a target as one of the forms of `streamswarm_core.probespecs.targets`.

    Raises:
        ProbeFault: it isn't of that form.
    """
    try:
        return form(target)
    except ValueError as error:
        raise ProbeFault(Fault.BAD_TARGET, str(error)) from None


async def resolve(host: str, port: int = 0, family: Family = Family.ANY, *, on_interface: bool = False) -> Address:
    """Find the first address of a host, as the system's resolver orders them.

    Args:
        host: a name or an address.
        port: for the address.
        family: which IP version.
        on_interface: the socket will be bound to an interface, so a link-local address needn't name one.

    Raises:
        ProbeFault: the name doesn't exist, has no address of the family, or the resolver doesn't answer.
    """
    written_out = _literal(host.strip("[]"), port, family)
    if written_out is not None:
        return written_out if on_interface else _with_interface(written_out)
    read_target(read_host, host)
    started = time.monotonic()
    try:
        found = await look_up(host, _FAMILIES[family])
    except OSError as error:
        fault = from_os_error(error)
        narrowed = fault.fault is Fault.NO_SUCH_NAME and family is not Family.ANY
        asked = f"; only {family} addresses were asked for" if narrowed else ""
        raise ProbeFault(fault.fault, f"{host}: {fault.detail}{asked}") from None
    kind, (address, _, *scope) = found[0]
    others = len({where[0] for _, where in found}) - 1
    return Address(kind, (address, port, *scope), time.monotonic() - started, others)  # type: ignore[arg-type]


def literal(host: str, family: Family = Family.ANY, *, on_interface: bool = False) -> Address | None:
    """The address that is written out, for good; None for a name, and for an interface's, whose number may change.

    Raises:
        ProbeFault: it is an address of the other family, or see `resolve`.
    """
    written_out = None if "%" in host else _literal(host.strip("[]"), 0, family)
    return written_out if written_out is None or on_interface else _with_interface(written_out)


def _with_interface(address: Address) -> Address:
    """The address, if it can be connected to.

    Raises:
        ProbeFault: it is a link-local one of no interface.
    """
    of_no_interface = address.family == socket.AF_INET6 and not address.sockaddr[-1]
    if of_no_interface and ipaddress.IPv6Address(address.host).is_link_local:
        detail = f"{address.host} is a link-local address: name the interface too, such as {address.host}%eth0"
        raise ProbeFault(Fault.BAD_TARGET, detail)
    return address


def _literal(host: str, port: int, family: Family) -> Address | None:
    return _read_address(host, port, family) if "%" in host else _remembered(host, port, family)


def _read_address(host: str, port: int, family: Family) -> Address | None:
    """The address that is written out, or None for a name.

    Raises:
        ProbeFault: it is an address of the other family, or of an interface that isn't there.
    """
    bare, _, interface = host.partition("%")
    if not _is_address(bare):
        return None
    try:
        # Nothing is looked up here, so there is nothing to wait for.
        found = socket.getaddrinfo(
            host, port, family=_FAMILIES[family], type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except OSError:
        raise ProbeFault(Fault.BAD_TARGET, _what_is_wrong(bare, interface, family)) from None
    return Address(found[0][0], found[0][4], None)  # type: ignore[arg-type]


def _what_is_wrong(bare: str, interface: str, family: Family) -> str:
    host = f"{bare}%{interface}" if interface else bare
    if family not in {Family.ANY, _family_of(bare)}:
        return f"{host} is no {family} address"
    if not ipaddress.ip_address(bare).is_link_local:
        return f"{host}: only a link-local address has an interface; write {bare}"
    return f"{host}: this host has no interface {interface}"


_remembered = lru_cache(16_384)(_read_address)


def _family_of(address: str) -> Family:
    return Family.IPV6 if ":" in address else Family.IPV4


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
