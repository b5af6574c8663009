"""A host with its port, as URLs and targets have them: an IPv6 address stands in brackets (RFC 3986, section 3.2.2)."""

from typing import Final

_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to listen, not where to call


def bracketed(host: str) -> str:
    """A host as it stands before a colon.

    >>> bracketed("::1"), bracketed("192.0.2.1"), bracketed("a.example")
    ('[::1]', '192.0.2.1', 'a.example')
    """
    return f"[{host}]" if ":" in host else host


def host_port(host: str, port: int | str) -> str:
    """Host and port.

    >>> host_port("::1", 5060), host_port("192.0.2.1", 5060)
    ('[::1]:5060', '192.0.2.1:5060')
    """
    return f"{bracketed(host)}:{port}"


def local_url(host: str, port: int) -> str:
    """Where a service of this machine is asked that listens on an address, or on all of them.

    >>> local_url("0.0.0.0", 8801), local_url("::1", 8801)
    ('http://127.0.0.1:8801', 'http://[::1]:8801')
    """
    return f"http://{host_port(_WILDCARDS.get(host, host), port)}"
