"""Whether a server staples an OCSP response (RFC 6066, section 8), which Python's ssl can't tell.

A TLS 1.2 handshake is begun and left as soon as the server has said what it has: up to there everything is in the
clear. A server that speaks only TLS 1.3 sends its response encrypted, and stays unknown.
"""

import secrets
import struct
from datetime import UTC, datetime
from typing import Final

from cryptography.x509 import ocsp

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.wire import Wire

_HANDSHAKE_RECORD: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_HELLO_DONE: Final = 14
_CERTIFICATE_STATUS: Final = 22
_RECORD: Final = struct.Struct("!BHH")
_MOST_BYTES: Final = 256 * 1024
# ECDHE and plain RSA with AES-GCM, then ECDHE with ChaCha20: what TLS 1.2 servers of the last decade know.
_CIPHERS: Final = bytes.fromhex("c02bc02fc02cc030cca9cca8009c009d")
_GROUPS: Final = bytes.fromhex("001d00170018")
_SIGNATURES: Final = bytes.fromhex("040305030603080408050806040105010601")


async def stapled(wire: Wire, server_name: str) -> bytes | None:
    """Ask for a stapled response; returns it in DER, or empty if the server has none, or None if it can't be told.

    Raises:
        OSError: the connection is gone.
        ProbeFault: the answer is no TLS.
    """
    await wire.send(_client_hello(server_name))
    records, messages = b"", b""
    while len(messages) < _MOST_BYTES:
        received = await wire.receive()
        if not received:
            return None
        records += received
        while len(records) >= _RECORD.size:
            kind, _, length = _RECORD.unpack_from(records)
            if kind not in range(20, 24):
                raise ProbeFault(Fault.PROTOCOL, "the server doesn't speak TLS")
            if len(records) < _RECORD.size + length:
                break
            if kind != _HANDSHAKE_RECORD:
                return None
            messages += records[_RECORD.size : _RECORD.size + length]
            records = records[_RECORD.size + length :]
        while len(messages) >= 4 and len(messages) >= 4 + int.from_bytes(messages[1:4]):
            kind, body = messages[0], messages[4 : 4 + int.from_bytes(messages[1:4])]
            messages = messages[4 + len(body) :]
            if kind == _CERTIFICATE_STATUS:
                # One byte of type, three of length, then the response.
                return body[4:]
            if kind == _SERVER_HELLO_DONE:
                return b""
    return None


def status_of(response: bytes) -> str:
    """What a response says: good, revoked, unknown, stale, not_yet_valid, or malformed. Its signature isn't checked."""
    now = datetime.now(UTC)
    try:
        read = ocsp.load_der_ocsp_response(response)
        if read.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return "unknown"
        if read.next_update_utc is not None and read.next_update_utc < now:
            return "stale"
        if read.this_update_utc > now:
            return "not_yet_valid"
        return read.certificate_status.name.lower()
    except ValueError:
        return "malformed"


def _client_hello(server_name: str) -> bytes:
    name = server_name.removesuffix(".").encode("idna") if not _is_address(server_name) else b""
    extensions = [
        (5, b"\x01" + bytes(4)),
        (10, _vector(2, _GROUPS)),
        (11, b"\x01\x00"),
        (13, _vector(2, _SIGNATURES)),
    ]
    if name:
        extensions.insert(0, (0, _vector(2, b"\x00" + _vector(2, name))))
    packed = b"".join(struct.pack("!H", kind) + _vector(2, body) for kind, body in extensions)
    hello = b"\x03\x03" + secrets.token_bytes(32) + b"\x00" + _vector(2, _CIPHERS) + b"\x01\x00" + _vector(2, packed)
    message = bytes([_CLIENT_HELLO]) + _vector(3, hello)
    return _RECORD.pack(_HANDSHAKE_RECORD, 0x0301, len(message)) + message


def _vector(size: int, body: bytes) -> bytes:
    return len(body).to_bytes(size) + body


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdecimal()
