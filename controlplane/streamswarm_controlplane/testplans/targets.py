"""Targets that no agent can make anything of, refused where they are written instead of failing at every run."""

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from streamswarm_core.probespecs import ProbeSpec

_BLANK: Final = re.compile(r"[\s\x00-\x1f\x7f]")
_HIGHEST_PORT: Final = 65_535


def _is_host_port(target: str) -> bool:
    host, _, port = target.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    return bool(host) and (":" not in host or bracketed) and port.isdecimal() and 0 < int(port) <= _HIGHEST_PORT


def _is_url(target: str) -> bool:
    try:
        url = urlsplit(target)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


_FORMS: Final[Mapping[str, tuple[Callable[[str], bool], str]]] = {
    "tcp": (_is_host_port, "host:port or [IPv6]:port"),
    "tls": (_is_host_port, "host:port or [IPv6]:port"),
    "tcp_window": (lambda target: _is_host_port(target) or _is_url(target), "host:port or an http:// URL"),
    "http": (_is_url, "an http:// or https:// URL"),
}
"""What the built-in probes take that want more than a host, and how that is called."""


def complaint(spec: ProbeSpec, target: str) -> str:
    """Why a probe can't have this target; empty if it can.

    >>> from streamswarm_core.probespecs import SPECS
    >>> complaint(SPECS["tcp"], "[2001:db8::1]:443")
    ''
    >>> complaint(SPECS["tcp"], "192.0.2.1")
    "'192.0.2.1' is not host:port or [IPv6]:port, such as www.example.com:443"
    """
    fits, form = _FORMS.get(spec.name, (None, ""))
    if fits is not None and not fits(target):
        return f"{target!r} is not {form}, such as {spec.example_target}"
    return f"{target!r} has a space in it; such as {spec.example_target}" if _BLANK.search(target) else ""
