"""Connections with TLS, and what was agreed on."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.plainfile import check_plain
from streamswarm_agent.net.targets import Address
from streamswarm_agent.net.tcp import connect
from streamswarm_agent.net.tls.certificates import Certificate, CertificateFault, fault_of, read_chain
from streamswarm_agent.net.wire import Wire

_REREAD_SECONDS: Final = 3600
_VERSIONS: Final = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a client asks of TLS.

    Attributes:
        server_name: for SNI, and for the certificate to be verified against.
        verify: whether to verify the certificate at all.
        ca_file: authorities to trust; the system's if empty.
        alpn: protocols to offer.
        oldest: oldest version to accept.
        newest: newest version to offer.
        certificate_file: the agent's own, for a server that wants one; none if empty.
        key_file: its private key.
    """

    server_name: str
    verify: bool = True
    ca_file: str = ""
    alpn: tuple[str, ...] = ()
    oldest: str = "TLS 1.2"
    newest: str = "TLS 1.3"
    certificate_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """What a handshake told.

    Attributes:
        version: such as "TLS 1.3".
        cipher: OpenSSL's name.
        cipher_bits: secret bits.
        alpn: the protocol chosen, or empty.
        resumed: whether an earlier session went on.
        chain: the certificates that the server sent, its own first.
        verified_chain: the chain to an authority; empty if it was not verified.
        fault: why the certificate can't be verified; None if it was, or if nobody asked.
        fault_detail: the same in OpenSSL's words.
    """

    version: str
    cipher: str
    cipher_bits: int
    alpn: str
    resumed: bool
    chain: tuple[Certificate, ...]
    verified_chain: tuple[Certificate, ...]
    fault: CertificateFault | None = None
    fault_detail: str = ""

    @property
    def chain_expires_in(self) -> float | None:
        """Seconds until the first certificate of the chain expires."""
        return min((certificate.expires_in() for certificate in self.chain), default=None)


@dataclass(slots=True)
class Timings:
    """Seconds; None for what was not reached or not needed."""

    connect: float | None = None
    prepare: float | None = None
    handshake: float | None = None


@dataclass(slots=True)
class Secured:
    """A connection with TLS on it. If `peer.fault` is set it is not to be trusted with anything."""

    wire: Wire
    peer: Peer
    timings: Timings = field(default_factory=Timings)


async def secure(
    address: Address,
    terms: Terms,
    wait: float,
    *,
    timings: Timings | None = None,
    prepare: Callable[[Wire], Awaitable[None]] | None = None,
    session: ssl.SSLSession | None = None,
) -> Secured:
    """Connect and shake hands. A certificate that can't be verified is no failure: its facts are wanted most then.

    In that case a second connection is made, without verification, and `peer.fault` says why.

    Args:
        address: the server.
        terms: what to ask for.
        wait: seconds for a connection with its handshake.
        timings: filled as phases are over, so that a fault keeps those before it.
        prepare: talks to the server in the clear until it is ready for TLS.
        session: to be resumed.

    Raises:
        ProbeFault: at whichever phase.
    """
    timings = timings if timings is not None else Timings()
    context = client_context(terms)
    refused: ssl.SSLCertVerificationError | None = None
    while True:
        opened, timings.connect = await connect(address, wait)
        wire = Wire(opened)
        try:
            async with asyncio.timeout(wait):
                tls = await _shake_hands(wire, context, terms.server_name, prepare, session, timings)
        except ssl.SSLCertVerificationError as error:
            wire.close()
            context, refused = client_context(_trusting(terms)), error
        except (OSError, ProbeFault) as error:
            wire.close()
            if refused is not None:
                # The second connection was for the certificate's facts only.
                raise ProbeFault(Fault.CERTIFICATE, refused.verify_message) from None
            raise _unsecured(error, wait, unready=prepare is not None and timings.prepare is None) from None
        except BaseException:
            wire.close()
            raise
        else:
            return Secured(wire, peer_of(tls, refused), timings)


def _unsecured(error: OSError | ProbeFault, wait: float, *, unready: bool) -> ProbeFault:
    if isinstance(error, ProbeFault):
        return error
    if isinstance(error, TimeoutError):
        what = "the server was not ready for TLS" if unready else "TLS was not agreed on"
        return ProbeFault(Fault.TIMEOUT, f"{what} within {wait:g} s")
    return from_os_error(error)


async def _shake_hands(
    wire: Wire,
    context: ssl.SSLContext,
    server_name: str,
    prepare: Callable[[Wire], Awaitable[None]] | None,
    session: ssl.SSLSession | None,
    timings: Timings,
) -> ssl.SSLObject:
    started = time.monotonic()
    if prepare is not None:
        await prepare(wire)
        timings.prepare = time.monotonic() - started
        started = time.monotonic()
    # A session belongs to the context it was made with, so it is never offered without verification.
    tls = await wire.start_tls(context, server_name, session)
    timings.handshake = time.monotonic() - started
    return tls


def certificate_refused(peer: Peer) -> ProbeFault:
    """The fault of a peer whose certificate can't be verified."""
    return ProbeFault(Fault.CERTIFICATE, peer.fault_detail or str(peer.fault))


def client_context(terms: Terms) -> ssl.SSLContext:
    """A client's context; made once an hour, because reading the authorities takes longer than a handshake.

    Raises:
        ProbeFault: a file that the terms name can't be used.
    """
    period = int(time.monotonic() // _REREAD_SECONDS)
    return _context(replace(terms, server_name=""), period)


@lru_cache(64)
def _context(terms: Terms, _period: int) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version, context.maximum_version = _VERSIONS[terms.oldest], _VERSIONS[terms.newest]
    if not terms.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif terms.ca_file:
        with _file_of("ca_file", terms.ca_file, "no PEM certificates in it"):
            context.load_verify_locations(terms.ca_file)
    else:
        context.load_default_certs()
    if terms.certificate_file:
        _load_own(context, terms)
    if terms.alpn:
        context.set_alpn_protocols(list(terms.alpn))
    return context


def _load_own(context: ssl.SSLContext, terms: Terms) -> None:
    for option, path in (("certificate_file", terms.certificate_file), ("certificate_key_file", terms.key_file)):
        with _file_of(option, path, ""), Path(path).open("rb"):
            pass
    mismatch = f"not a certificate and, in {terms.key_file}, its private key without a passphrase"
    with _file_of("certificate_file", terms.certificate_file, mismatch):
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(terms.certificate_file, terms.key_file, password=bytes)


@contextlib.contextmanager
def _file_of(option: str, path: str, unusable: str) -> Iterator[None]:
    check_plain(option, path)
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else unusable
        raise ProbeFault(Fault.BAD_TARGET, f"the option {option}: {path}: {reason}") from None


def _trusting(terms: Terms) -> Terms:
    """The same to a server that has turned out to be somebody else: without the agent's own certificate, too."""
    return replace(terms, verify=False, ca_file="", certificate_file="", key_file="")


def peer_of(tls: ssl.SSLObject, refused: ssl.SSLCertVerificationError | None = None) -> Peer:
    """What a handshake told; `refused` is what an earlier one, with verification, failed with."""
    cipher = tls.cipher() or ("", "", 0)
    return Peer(
        version=(tls.version() or "").replace("TLSv", "TLS "),
        cipher=cipher[0],
        cipher_bits=cipher[2],
        alpn=tls.selected_alpn_protocol() or "",
        resumed=bool(tls.session_reused),
        chain=read_chain(_chain(tls, "get_unverified_chain")),
        verified_chain=read_chain(_chain(tls, "get_verified_chain")) if _verifies(tls) else (),
        fault=fault_of(refused) if refused else None,
        fault_detail=refused.verify_message if refused else "",
    )


def _verifies(tls: ssl.SSLObject) -> bool:
    return tls.context.verify_mode is ssl.CERT_REQUIRED


def _chain(tls: ssl.SSLObject, method: str) -> tuple[bytes, ...]:
    """The chain in DER; the methods are public from Python 3.13 on, and hidden in the object inside before."""
    public: Any = getattr(tls, method, None)
    if public is not None:
        return tuple(public())
    hidden: Any = tls._sslobj  # type: ignore[attr-defined] # noqa: SLF001 - see above
    return tuple(
        ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in getattr(hidden, method)() or ()
    )
