"""One HTTP/1.1 exchange, timed phase by phase."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import SplitResult

import h11
from cryptography import x509

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.targets import Address
from streamswarm_agent.net.tcp import connect

_CHUNK: Final = 64 * 1024


@dataclass(slots=True)
class Exchange:
    """One request and its answer; phases in seconds, None where a phase was not reached or not needed."""

    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    transfer: float | None = None
    status: int | None = None
    location: str = ""
    body_bytes: int = 0
    certificate_days: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for."""

    method: str
    url: SplitResult
    headers: Mapping[str, str]
    verify_tls: bool
    most_body_bytes: int


async def exchange(request: Request, address: Address, wait: float, result: Exchange) -> None:
    """Carry out one request; phases are written to `result` as they are over, so that a fault keeps those before it.

    Raises:
        ProbeFault: at whichever phase.
    """
    opened, result.connect = await connect(address, wait)
    host = request.url.hostname or ""
    started = time.monotonic()
    try:
        if request.url.scheme == "https":
            reader, writer = await asyncio.open_connection(
                sock=opened, ssl=_tls(verify=request.verify_tls), server_hostname=host
            )
            result.tls = time.monotonic() - started
            certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            result.certificate_days = days_left(certificate)
        else:
            reader, writer = await asyncio.open_connection(sock=opened)
    except OSError as error:
        opened.close()
        if isinstance(error, ssl.SSLCertVerificationError):
            result.certificate_days = await _unverified_days_left(address, host, wait)
        raise from_os_error(error) from None
    try:
        await _converse(request, reader, writer, result)
    except OSError as error:
        raise from_os_error(error) from None
    except h11.RemoteProtocolError as error:
        raise ProbeFault(Fault.PROTOCOL, str(error)) from None
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(0.5):
                await writer.wait_closed()


async def _converse(
    request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, result: Exchange
) -> None:
    connection = h11.Connection(h11.CLIENT)
    path = (request.url.path or "/") + (f"?{request.url.query}" if request.url.query else "")
    headers = {"host": request.url.netloc.rpartition("@")[2], "user-agent": "streamswarm", "accept": "*/*"}
    headers |= {"connection": "close", **{key.lower(): value for key, value in request.headers.items()}}
    try:
        head = connection.send(h11.Request(method=request.method, target=path, headers=list(headers.items())))
        writer.write((head or b"") + (connection.send(h11.EndOfMessage()) or b""))
    except h11.LocalProtocolError as error:
        raise ProbeFault(Fault.BAD_TARGET, str(error)) from None
    asked = time.monotonic()
    begun: float | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            received = await reader.read(_CHUNK)
            if begun is None and received:
                begun = time.monotonic()
                result.first_byte = begun - asked
            connection.receive_data(received)
        elif isinstance(event, h11.Response):
            result.status = event.status_code
            result.headers = {key.decode().lower(): value.decode("latin-1") for key, value in event.headers}
            result.location = result.headers.get("location", "")
        elif isinstance(event, h11.Data):
            result.body_bytes += len(event.data)
            if result.body_bytes > request.most_body_bytes:
                break
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            break
    result.transfer = time.monotonic() - (begun if begun is not None else asked)


def _tls(*, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def days_left(certificate: bytes | None, at: datetime | None = None) -> float | None:
    """Days until a DER certificate expires, negative if it has."""
    if not certificate:
        return None
    until = x509.load_der_x509_certificate(certificate).not_valid_after_utc
    return (until - (at or datetime.now(UTC))).total_seconds() / 86_400


async def _unverified_days_left(address: Address, host: str, wait: float) -> float | None:
    """Look at a certificate that could not be verified: its remaining days are wanted most then."""
    with contextlib.suppress(ProbeFault, OSError, ValueError):
        opened, _ = await connect(address, wait)
        async with asyncio.timeout(wait):
            _, writer = await asyncio.open_connection(sock=opened, ssl=_tls(verify=False), server_hostname=host)
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return days_left(certificate)
    return None
