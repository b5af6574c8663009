"""A host with its port, as URLs and targets have them: an IPv6 address stands in brackets (RFC 3986, section 3.2.2)."""


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
