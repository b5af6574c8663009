"""Through which proxy requests leave this host; the same for whoever makes them, as only httpx heeds HTTPS_PROXY."""

from collections.abc import MutableMapping
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_HERE: Final = ("localhost", "127.0.0.1", "::1")


def proxy_for(url: str) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say for a URL."""
    parts = urlsplit(url)
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or proxy_bypass(parts.hostname or ""):
        return None
    return found if "://" in found else f"http://{found}"


def prepare(environment: MutableMapping[str, str]) -> list[str]:
    """Change the variables so that no proxy is asked for this host itself; returns what can't be used, in words.

    A proxy's variables are mostly set for all of a host, and services on loopback are nothing it could reach.
    """
    spared = [one for one in environment.get("no_proxy", environment.get("NO_PROXY", "")).split(",") if one.strip()]
    environment["no_proxy"] = ",".join([*spared, *(host for host in _HERE if host not in spared)])
    return [
        f"{name}: only HTTP proxies, such as http://proxy.example:3128, are spoken to; it is not used"
        for name in ("all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")
        if not _is_usable(environment.get(name, "")) and environment.pop(name)
    ]


def _is_usable(proxy: str) -> bool:
    """Whether httpx and urllib3 can go by what a variable says; nothing is nothing to go by."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        return not proxy or (parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0)
    except ValueError:
        return False
