import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.targets import Address, read_target, resolve
from streamswarm_agent.net.tcp import connect
from streamswarm_agent.net.tls import ocsp
from streamswarm_agent.net.tls.connection import Peer, Secured, Terms, Timings, certificate_refused, secure
from streamswarm_agent.net.tls.starttls import STARTTLS
from streamswarm_agent.net.wire import Wire
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.web import TLS
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import TlsParams
from streamswarm_core.probespecs.targets import read_host_port

_DAY: Final = 86_400
_TICKET_SECONDS: Final = 0.5


@dataclass(slots=True)
class TlsRun:
    """One run, with what does not go into its point.

    Attributes:
        tags: of the point.
        fields: of the point, as far as they are known.
        address: of the server.
        peer: what the handshake told.
    """

    tags: dict[str, str]
    fields: dict[str, FieldValue | None] = field(default_factory=dict)
    address: Address | None = None
    peer: Peer | None = None


class TlsProbe:
    """A TLS handshake and the server's certificate."""

    async def run(self, target: str, params: TlsParams, context: Context) -> list[Point]:
        """Up if hands were shaken, the certificate can be verified, and it has the days left that are wanted."""
        stamp, started = context.wall_ns(), context.monotonic()
        run = await measure_tls(target, params)
        return [TLS.point(run.tags, time_ns=stamp, duration=context.monotonic() - started, **run.fields)]


async def measure_tls(target: str, params: TlsParams) -> TlsRun:
    """Shake hands, and judge the certificate."""
    run = TlsRun({"target": target})
    try:
        await _measure(target, params, run)
        _check(run, params)
    except ProbeFault as fault:
        run.fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
    else:
        run.fields["up"] = 1
    return run


async def _measure(target: str, params: TlsParams, run: TlsRun) -> None:
    host, port = read_target(read_host_port, target)
    run.address = address = await resolve(host, port, params.family)
    run.tags["family"] = address.family_tag
    run.fields["resolve"] = address.resolve
    terms = Terms(
        params.server_name or host,
        ca_file=params.ca_file or "",
        alpn=params.alpn,
        oldest=params.min_version,
        newest=params.max_version,
        certificate_file=params.certificate_file or "",
        key_file=params.certificate_key_file or "",
    )
    prepare = STARTTLS[params.starttls] if params.starttls else None
    timings = Timings()
    try:
        secured = await secure(address, terms, params.wait, timings=timings, prepare=prepare)
    finally:
        run.fields |= {"connect": timings.connect, "starttls": timings.prepare, "handshake": timings.handshake}
    run.peer = secured.peer
    run.fields |= describe(secured.peer)
    with secured.wire:
        if params.resume:
            run.fields["resumed"] = await _resumes(secured, address, terms, params)
    if params.ocsp:
        run.fields |= await _ocsp(address, terms.server_name, params)


def describe(peer: Peer) -> dict[str, FieldValue | None]:
    """What the handshake and the certificate say."""
    fields: dict[str, FieldValue | None] = {
        "version": peer.version,
        "cipher": peer.cipher,
        "cipher_strength": peer.cipher_bits,
        "alpn": peer.alpn or None,
        "verified": int(peer.fault is None),
        "certificate_fault": str(peer.fault) if peer.fault else None,
        "chain_expires_in": peer.chain_expires_in,
        "chain_length": len(peer.chain),
    }
    if peer.chain:
        own = peer.chain[0]
        fields |= {
            "expires_in": own.expires_in(),
            "key_type": own.key_type,
            "key_size": own.key_bits,
            "signature": own.signature,
            "names": len(own.names),
            "subject": own.subject or None,
            "issuer": own.issuer or None,
            "serial": own.serial,
        }
    return fields


def _check(run: TlsRun, params: TlsParams) -> None:
    assert run.peer is not None  # noqa: S101 - without a handshake there was a fault before
    if run.peer.fault is not None and params.verify_tls:
        raise certificate_refused(run.peer)
    left = run.peer.chain_expires_in
    if params.min_days and left is not None and left < params.min_days * _DAY:
        raise ProbeFault(Fault.CERTIFICATE, f"{left / _DAY:.1f} days left instead of {params.min_days:g} or more")


async def _resumes(secured: Secured, address: Address, terms: Terms, params: TlsParams) -> int | None:
    """Whether the server takes up the session again; None where it can't be tried."""
    tls = secured.wire.tls
    if tls is None or secured.peer.fault is not None:
        return None
    if secured.peer.version == "TLS 1.3":
        # Its tickets come after the handshake, unasked (RFC 8446, section 4.6.1).
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_TICKET_SECONDS):
                await secured.wire.receive()
    if tls.session is None:
        return 0
    prepare = STARTTLS[params.starttls] if params.starttls else None
    with contextlib.suppress(ProbeFault):
        again = await secure(address, terms, params.wait, prepare=prepare, session=tls.session)
        again.wire.close()
        return int(again.peer.resumed)
    return None


async def _ocsp(address: Address, server_name: str, params: TlsParams) -> dict[str, FieldValue | None]:
    response: bytes | None = None
    # The handshake has been measured; what can't be told in addition is left out.
    with contextlib.suppress(ProbeFault, OSError):
        opened, _ = await connect(address, params.wait)
        with Wire(opened) as wire:
            async with asyncio.timeout(params.wait):
                if params.starttls:
                    await STARTTLS[params.starttls](wire)
                response = await ocsp.stapled(wire, server_name)
    if response is None:
        return {}
    return {"ocsp_stapled": int(bool(response)), "ocsp_status": ocsp.status_of(response) if response else None}
