"""Names that have an address where nobody answers, not even to refuse, before the one that works."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def leading_nowhere(name: str, port: int, monkeypatch: pytest.MonkeyPatch, *, addresses: int = 1) -> Iterator[None]:
    """The name is `::1` first, as often as `addresses` says, where connecting to this port takes for ever.

    Then it is 127.0.0.1. A listener whose queue is full takes no SYN, as a network that drops IPv6 doesn't.
    """
    look_up = socket.getaddrinfo
    nowhere = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0))] * addresses
    there = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def looked_up(host: Any, *arguments: Any, **more: Any) -> Any:
        return nowhere + there if host in {name, name.encode()} else look_up(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    with contextlib.ExitStack() as opened:
        full = opened.enter_context(socket.socket(socket.AF_INET6))
        full.bind(("::1", port))
        full.listen(0)
        for _ in range(3):
            waiting = opened.enter_context(socket.socket(socket.AF_INET6))
            waiting.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
            waiting.connect_ex(("::1", port))
        yield
