"""Whom requests from this host trust, and how long they wait; the same for whoever makes them.

httpx trusts the authorities that it brings along, urllib3 those of the system: on a host in a company's network the
agent would reach its control plane and not its collector, or the other way round.
"""

import os
import ssl
from typing import Final

import httpx

CONNECT_SECONDS: Final = 4.0
"""For each address of a name, one after the other: where IPv6 leads nowhere, the next is tried while there is time. Two
SYNs may be lost meanwhile."""
_OWN_STORE: Final = {"SSL_CERT_FILE", "SSL_CERT_DIR"}


def trusted() -> ssl.SSLContext:
    """The authorities of the system and of httpx; those of SSL_CERT_FILE and SSL_CERT_DIR alone where one is set."""
    if _OWN_STORE & os.environ.keys():
        return ssl.create_default_context()
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


def patience(seconds: float) -> httpx.Timeout:
    """So long for each piece of an exchange by a client that blocks, and no longer than that for an address."""
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
