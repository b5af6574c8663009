"""The socket of a transport, for what a transport's own object can't do: uvloop's has no options."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from streamswarm_core.tcpinfo import TcpInfo, read_tcp_info

_TCP_NOTSENT_LOWAT: Final = 25
_MOST_NOT_SENT: Final = 65_536


@contextmanager
def borrowed_socket(descriptor: int) -> Iterator[socket.socket]:
    """The socket behind a file descriptor, which stays open.

    Raises:
        OSError: it is closed.
    """
    # A descriptor can't be lent without a copy: the socket object would close it.
    with socket.socket(fileno=os.dup(descriptor)) as copied:
        yield copied


def tcp_info_of(descriptor: int) -> TcpInfo | None:
    """What the kernel says of a connection; None if it is closed."""
    try:
        with borrowed_socket(descriptor) as opened:
            return read_tcp_info(opened)
    except OSError:
        return None


def keep_little_unsent(descriptor: int) -> None:
    """Have the kernel take no more than it can soon send, so that a slow link is done soon after the last write."""
    with borrowed_socket(descriptor) as opened:
        opened.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _MOST_NOT_SENT)
