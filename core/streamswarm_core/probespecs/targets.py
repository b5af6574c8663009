"""Targets as people write them: the control plane refuses at once what an agent could make nothing of."""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

_NAME: Final = re.compile(r"[^\s/:@%\[\]?#]+")
# No such name can be (WHATWG URL, 3.5); resolvers take 10.1 for 10.0.0.1 and 0x7f.1 for 127.0.0.1, which nobody meant.
_ENDS_IN_A_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")


def read_host(written: str) -> str:
    """Let a host name or an IP address pass; an IPv6 address loses the brackets that URLs put around it.

    Raises:
        ValueError: it is neither.

    >>> read_host("ns1.example.com"), read_host("[2001:db8::1]"), read_host("fe80::1%eth0")
    ('ns1.example.com', '2001:db8::1', 'fe80::1%eth0')
    >>> read_host("10.1")
    Traceback (most recent call last):
    ValueError: '10.1' is no host name and no IP address; takes one of them, without scheme, port or path
    """
    bare = written[1:-1] if written.startswith("[") and written.endswith("]") else written
    try:
        if _NAME.fullmatch(bare) and not _ENDS_IN_A_NUMBER.fullmatch(bare):
            # Labels of 1 to 63 bytes.
            bare.encode("idna")
        else:
            ipaddress.ip_address(bare)
    except ValueError:
        raise ValueError(
            f"{written!r} is no host name and no IP address; takes one of them, without scheme, port or path"
        ) from None
    return bare


def read_host_port(written: str) -> tuple[str, int]:
    """Read `host:port` or `[IPv6]:port`; what the host is, its resolver will say.

    Raises:
        ValueError: it is neither.

    >>> read_host_port("[2001:db8::1]:443")
    ('2001:db8::1', 443)
    >>> read_host_port("192.0.2.1")
    Traceback (most recent call last):
    ValueError: '192.0.2.1' is not host:port or [IPv6]:port, with a port from 1 to 65535
    """
    host, colon, port = written.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed) or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"{written!r} is not host:port or [IPv6]:port, with a port from 1 to 65535")
    return (host[1:-1] if bracketed else host), int(port)


def read_url(written: str) -> SplitResult:
    """Read an `http://` or `https://` URL.

    Raises:
        ValueError: it is none.

    >>> read_url("https://www.example.com:8443/status").port
    8443
    >>> read_url("ftp://www.example.com/")
    Traceback (most recent call last):
    ValueError: 'ftp://www.example.com/' is not an http:// or https:// URL
    """
    try:
        url = urlsplit(written)
        port = url.port
    except ValueError as error:
        raise ValueError(f"{written!r}: {error}") from None
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError(f"{written!r} is not an http:// or https:// URL")
    if port == 0:
        raise ValueError(f"{written!r}: a port is from 1 to 65535")
    return url


def read_upload_target(written: str) -> tuple[str, int] | SplitResult:
    """Read `host:port`, or an `http://` URL that can stand in a request as it is written.

    Raises:
        ValueError: it is neither.

    >>> read_upload_target("192.0.2.1:9"), read_upload_target("http://192.0.2.1/file").path
    (('192.0.2.1', 9), '/file')
    """
    if "://" not in written:
        return read_host_port(written)
    url = read_url(written)
    if url.scheme != "http" or not written.isascii() or any(mark in written for mark in " \r\n\t"):
        raise ValueError(f"{written!r} is neither host:port nor an http:// URL")
    return url
