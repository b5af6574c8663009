"""Opening a connection to a device, phase by phase, so that a fault has a name.

gRPC itself has one code for all that can go wrong until the first answer, and trusts authorities of its own; so TCP and
TLS are tried first by the agent's own means, and what these find is handed to gRPC.
"""

import asyncio
import importlib
import os
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.gnmi.refusal import RefusedRequest
from streamswarm_agent.net.plainfile import check_plain
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.net.tcp import connect
from streamswarm_agent.net.tls.certificates import Certificate
from streamswarm_agent.net.wire import Wire
from streamswarm_core.gnmipath import GnmiPath
from streamswarm_core.probespecs import Family

if TYPE_CHECKING:
    from streamswarm_agent.gnmi.client import GnmiClient, Security

_INSTALL: Final = "pip install 'streamswarm[gnmi]'"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A device, and how to get in: what connections are told apart by.

    Attributes:
        host: name or address.
        port: TCP port.
        family: IP version.
        username: empty for none.
        password: never shown.
        insecure: whether to do without TLS.
        verify: whether to verify the device's certificate.
        server_name: what it has to be for; the host if empty.
        ca_file: authorities; the system's if empty.
        certificate_file: the agent's own; none if empty.
        certificate_key_file: its key.
    """

    host: str
    port: int
    family: Family = Family.ANY
    username: str = ""
    password: str = field(default="", repr=False)
    insecure: bool = False
    verify: bool = True
    server_name: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    certificate_key_file: str = ""


@dataclass(slots=True)
class Connection:
    """A connection that stands, and what is known of the device.

    Attributes:
        client: makes the calls.
        family_tag: `ipv4` or `ipv6`.
        version: of gNMI; empty if the device doesn't say.
        encodings: that it can answer in; none if it doesn't say.
        phases: seconds of resolve, connect, handshake and capabilities, those that there were.
        once: whether Subscribe with mode ONCE is worth a try.
        refused: paths that it refused, why, and until when not to ask for them again, monotonic seconds.
    """

    client: "GnmiClient"
    family_tag: str
    version: str
    encodings: frozenset[str]
    phases: dict[str, float]
    once: bool = True
    refused: dict[GnmiPath, tuple[str, float]] = field(default_factory=dict)

    def close(self) -> None:
        """Close it; another time does no harm."""
        self.client.close()


async def load_client() -> Any:
    """The module with gRPC in it; importing it takes a while, so a thread does.

    Raises:
        ProbeFault: gRPC or pygnmi isn't installed.
    """
    # gRPC writes to standard error by itself, also of what is no error, such as a device that says goodbye.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        return await asyncio.to_thread(importlib.import_module, "streamswarm_agent.gnmi.client")
    except ModuleNotFoundError as error:
        package = (error.name or "grpc").partition(".")[0]
        raise ProbeFault(Fault.MISSING_PROGRAM, f"the Python package {package} is not installed: {_INSTALL}") from None
    except ImportError as error:
        raise ProbeFault(Fault.MISSING_PROGRAM, f"gRPC can't be used: {error}") from None


async def open_connection(endpoint: Endpoint, wait: float) -> Connection:
    """Connect, and ask the device what it can.

    Args:
        endpoint: the device.
        wait: seconds for each phase.

    Raises:
        ProbeFault: at whichever phase.
    """
    module = await load_client()
    phases: dict[str, float] = {}
    address = await resolve(endpoint.host, endpoint.port, endpoint.family)
    if address.resolve is not None:
        phases["resolve"] = address.resolve
    security = await _try(endpoint, address, wait, phases)
    client: GnmiClient = module.GnmiClient(_in_grpcs_form(address), security, endpoint.username, endpoint.password)
    try:
        started = time.monotonic()
        try:
            capabilities = await client.capabilities(wait)
            version, encodings = capabilities.version, capabilities.encodings
        except RefusedRequest:
            version, encodings = "", frozenset()
        phases["capabilities"] = time.monotonic() - started
    except BaseException:
        client.close()
        raise
    return Connection(client, address.family_tag, version, encodings, phases)


async def _try(endpoint: Endpoint, address: Address, wait: float, phases: dict[str, float]) -> "Security | None":
    context = None if endpoint.insecure else _context(endpoint)
    opened, phases["connect"] = await connect(address, wait)
    with Wire(opened) as wire:
        if context is None:
            return None
        started = time.monotonic()
        name = (endpoint.server_name or endpoint.host).removesuffix(".")
        try:
            async with asyncio.timeout(wait):
                tls = await wire.start_tls(context, name)
        except OSError as error:
            raise from_os_error(error) from None
        phases["handshake"] = time.monotonic() - started
        if tls.selected_alpn_protocol() != "h2":
            raise ProbeFault(Fault.PROTOCOL, "offers no HTTP/2 by ALPN, which gRPC needs: is that gNMI's port?")
        return (await load_client()).Security(  # type: ignore[no-any-return]
            *_trusted(endpoint, context, tls.getpeercert(binary_form=True) or b"", name)
        )


def _trusted(endpoint: Endpoint, context: ssl.SSLContext, shown: bytes, name: str) -> tuple[bytes, bytes, bytes, str]:
    """What gRPC is to trust, the agent's certificate and key, and the name that the device's must have."""
    own = _read(endpoint.certificate_file, "certificate_file"), _read(endpoint.certificate_key_file, "")
    if not endpoint.verify:
        return ssl.DER_cert_to_PEM_cert(shown).encode(), *own, _name_in(shown)
    if endpoint.ca_file:
        return _read(endpoint.ca_file, "ca_file"), *own, name
    # Of a folder of authorities only those are read that the handshake needed, and they are there now.
    found = "".join(ssl.DER_cert_to_PEM_cert(one) for one in context.get_ca_certs(binary_form=True))
    return found.encode(), *own, name


def _name_in(der: bytes) -> str:
    """A name that an unverified certificate is for: gRPC can't do without comparing one.

    Raises:
        ProbeFault: gRPC would refuse it whatever it is told.
    """
    certificate = Certificate.read(der)
    if certificate.expires_in() < 0:
        raise ProbeFault(Fault.CERTIFICATE, "has expired, and gRPC takes no such certificate, verified or not")
    common = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    names = [*certificate.dns_names, *certificate.names, *(str(one.value) for one in common)]
    if not names:
        raise ProbeFault(
            Fault.CERTIFICATE, "is for no name at all, and gRPC takes no such certificate, verified or not"
        )
    return names[0].replace("*", "device")


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    if not endpoint.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif endpoint.ca_file:
        _load("ca_file", endpoint.ca_file, context.load_verify_locations)
    else:
        context.load_default_certs()
    if endpoint.certificate_file:
        key = endpoint.certificate_key_file
        check_plain("certificate_file", endpoint.certificate_file)
        check_plain("certificate_key_file", key)
        _load("certificate_file", endpoint.certificate_file, lambda path: context.load_cert_chain(path, key))
    return context


def _load(option: str, path: str, load: Any) -> None:
    check_plain(option, path)
    try:
        load(path)
    except OSError as error:
        reason = f"can't be used: {error.reason}" if isinstance(error, ssl.SSLError) else error.strerror
        raise ProbeFault(Fault.BAD_TARGET, f"the option {option}: {path}: {reason}") from None


def _read(path: str, option: str) -> bytes:
    if not path:
        return b""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ProbeFault(Fault.BAD_TARGET, f"the option {option}: {path}: {error.strerror}") from None


def _in_grpcs_form(address: Address) -> str:
    host, port = address.sockaddr[:2]
    if address.family_tag == "ipv6":
        return f"ipv6:%5B{host.replace('%', '%25')}%5D:{port}"
    return f"ipv4:{host}:{port}"
