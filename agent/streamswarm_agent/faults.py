"""Why a target is not up: a small closed set, with the detail beside it."""

import errno
import os
import re
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Fault(StrEnum):
    """What the `error` field may hold."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    PROHIBITED = "prohibited"
    TTL_EXCEEDED = "ttl_exceeded"
    TOO_BIG = "too_big"
    RESET = "reset"
    NO_SUCH_NAME = "no_such_name"
    RESOLVER_FAILURE = "resolver_failure"
    PERMISSION = "permission"
    UNAUTHENTICATED = "unauthenticated"
    MISSING_PROGRAM = "missing_program"
    TLS = "tls"
    CERTIFICATE = "certificate"
    PROTOCOL = "protocol"
    UNEXPECTED_ANSWER = "unexpected_answer"
    BAD_TARGET = "bad_target"
    PACKET_LOSS = "packet_loss"
    INTERNAL = "internal"


@dataclass(eq=False)
class ProbeFault(Exception):  # noqa: N818 - it is carried as a result, not as an error
    """A network fault on its way to becoming a point."""

    fault: Fault
    detail: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.detail}"


_BY_ERRNO: Final = {
    errno.ECONNREFUSED: Fault.REFUSED,
    errno.ECONNRESET: Fault.RESET,
    errno.EPIPE: Fault.RESET,
    errno.ECONNABORTED: Fault.RESET,
    errno.ENOTCONN: Fault.RESET,
    errno.ETIMEDOUT: Fault.TIMEOUT,
    errno.EHOSTUNREACH: Fault.UNREACHABLE,
    errno.ENETUNREACH: Fault.UNREACHABLE,
    errno.ENETDOWN: Fault.UNREACHABLE,
    errno.EADDRNOTAVAIL: Fault.UNREACHABLE,
    errno.EAFNOSUPPORT: Fault.UNREACHABLE,
    errno.EMSGSIZE: Fault.TOO_BIG,
    errno.EACCES: Fault.PERMISSION,
    errno.EPERM: Fault.PERMISSION,
    errno.EMFILE: Fault.INTERNAL,
    errno.ENFILE: Fault.INTERNAL,
    errno.ENOMEM: Fault.INTERNAL,
    errno.ENOBUFS: Fault.INTERNAL,
}


EXHAUSTED: Final = frozenset(number for number, fault in _BY_ERRNO.items() if fault is Fault.INTERNAL)
"""What the agent's own host has run out of, which says nothing of a target."""

_IN_OTHER_WORDS: Final = {
    errno.EADDRNOTAVAIL: "this host has no address of the target's IP version, or no free port to send from",
    errno.EMFILE: "the agent's file descriptors are used up; raise LimitNOFILE (ulimit -n)",
    errno.ENFILE: "this host's file descriptors are used up",
    errno.ENOMEM: "this host has no memory left",
    errno.ENOBUFS: "this host has no room for more packets: its link or its memory is full",
    errno.EMSGSIZE: "larger than the MTU of the link here, or than what is known to fit the path",
}
"""Where the system's own ("Message too long") say neither what nor where."""

_NO_TLS: Final = "what answers there doesn't speak TLS"
_NO_VERSION: Final = "the server takes none of the TLS versions that were offered"
_BY_TLS_REASON: Final = {
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": _NO_VERSION,
    "UNEXPECTED_EOF_WHILE_READING": "the server closed the connection before TLS was agreed on",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server takes none of the ciphers that were offered, or wants a certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a client's certificate",
    "TLSV1_UNRECOGNIZED_NAME": "the server knows no such name",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "the server speaks none of the protocols that were offered (ALPN)",
}


def _in_words(reason: str) -> str:
    """OpenSSL's reason, and before it what it means."""
    return f"{_BY_TLS_REASON[reason]} ({reason})" if reason in _BY_TLS_REASON else reason


def without_number(error: Exception) -> str:
    """What an error of a library says, without the operating system's number before it.

    >>> without_number(OSError("[Errno 111] Connection refused"))
    'Connection refused'
    """
    return re.sub(r"^\[Errno -?[0-9]+\] ", "", str(error))


def from_os_error(error: OSError) -> ProbeFault:
    """Sort what the operating system or TLS says into the closed set.

    >>> str(from_os_error(OSError(errno.EMSGSIZE, "")))
    'too_big: larger than the MTU of the link here, or than what is known to fit the path'
    """
    if isinstance(error, TimeoutError):
        return ProbeFault(Fault.TIMEOUT, "no answer in time")
    if isinstance(error, ssl.SSLCertVerificationError):
        return ProbeFault(Fault.CERTIFICATE, error.verify_message)
    if isinstance(error, ssl.SSLError):
        return ProbeFault(Fault.TLS, _in_words(error.reason or str(error)))
    if isinstance(error, socket.gaierror):
        missing = error.errno in {socket.EAI_NONAME, socket.EAI_NODATA}
        return ProbeFault(Fault.NO_SUCH_NAME if missing else Fault.RESOLVER_FAILURE, error.strerror or str(error))
    detail = _IN_OTHER_WORDS.get(error.errno or 0) or (os.strerror(error.errno) if error.errno else str(error))
    return ProbeFault(_BY_ERRNO.get(error.errno or 0, Fault.UNREACHABLE), detail)
