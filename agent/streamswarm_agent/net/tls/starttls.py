"""Talking to a server in the clear until it is ready for TLS."""

from collections.abc import Awaitable, Callable
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.wire import Wire

_MOST_BYTES: Final = 16_384
# An LDAPMessage with the ExtendedRequest 1.3.6.1.4.1.1466.20037 (RFC 4511, section 4.14).
_LDAP_REQUEST: Final = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
_LDAP_SUCCESS: Final = bytes.fromhex("0a0100")
# SSLRequest of PostgreSQL's protocol: its length, then the code 80877103.
_POSTGRES_REQUEST: Final = bytes.fromhex("0000000804d2162f")


async def _smtp(wire: Wire) -> None:
    """RFC 3207."""
    await _lines(wire, lambda line: line[:4] == b"220 ")
    await wire.send(b"EHLO streamswarm.invalid\r\n")
    await _lines(wire, lambda line: line[:4] == b"250 ")
    await wire.send(b"STARTTLS\r\n")
    await _lines(wire, lambda line: line[:4] == b"220 ")


async def _imap(wire: Wire) -> None:
    """RFC 9051, section 6.2.1."""
    await _lines(wire, lambda line: line.upper().startswith(b"* OK"))
    await wire.send(b"a STARTTLS\r\n")
    await _lines(wire, lambda line: line.upper().startswith(b"A OK"))


async def _ldap(wire: Wire) -> None:
    await wire.send(_LDAP_REQUEST)
    answer = await wire.receive()
    if _LDAP_SUCCESS not in answer:
        raise ProbeFault(Fault.PROTOCOL, "the LDAP server refused StartTLS" if answer else "the server hung up")


async def _postgres(wire: Wire) -> None:
    await wire.send(_POSTGRES_REQUEST)
    if await wire.receive() != b"S":
        raise ProbeFault(Fault.PROTOCOL, "the PostgreSQL server refused TLS")


async def _lines(wire: Wire, last: Callable[[bytes], bool]) -> None:
    """Read whole lines up to the one that is awaited; what follows it would be in the clear, and is none of ours."""
    text = b""
    while True:
        received = await wire.receive()
        text += received
        *lines, rest = text.split(b"\n")
        if lines and not rest and last(lines[-1]):
            return
        if not received or len(text) > _MOST_BYTES or _refuses(lines):
            said = (lines or [rest])[-1].decode("latin-1").strip()
            raise ProbeFault(Fault.PROTOCOL, f"the server did not agree to STARTTLS: {said[:200] or 'it hung up'}")


def _refuses(lines: list[bytes]) -> bool:
    """Whether the last line is SMTP's or IMAP's no."""
    return bool(lines) and (lines[-1][:1] in b"45" or lines[-1].upper().startswith((b"A NO", b"A BAD", b"* BYE")))


STARTTLS: Final[dict[str, Callable[[Wire], Awaitable[None]]]] = {
    "smtp": _smtp,
    "imap": _imap,
    "ldap": _ldap,
    "postgres": _postgres,
}
