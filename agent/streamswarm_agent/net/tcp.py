import asyncio
import socket
import struct
import time
from typing import Final

from streamswarm_agent.faults import from_os_error
from streamswarm_agent.net.targets import Address

# struct tcp_info (linux/tcp.h): eight bytes, then 32-bit counters; tcpi_rtt is the sixteenth, in microseconds.
_RTT_OFFSET: Final = 8 + 15 * 4


async def connect(address: Address, wait: float) -> tuple[socket.socket, float]:
    """Set up a connection; returns the non-blocking socket and the seconds from SYN to established.

    Raises:
        ProbeFault: refused, timed out, unreachable …
    """
    opened = socket.socket(address.family, socket.SOCK_STREAM)
    opened.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
    started = time.monotonic()
    try:
        async with asyncio.timeout(wait):
            await asyncio.get_running_loop().sock_connect(opened, address.sockaddr)
    except OSError as error:
        opened.close()
        raise from_os_error(error) from None
    except asyncio.CancelledError:
        opened.close()
        raise
    return opened, time.monotonic() - started


def kernel_rtt(opened: socket.socket) -> float | None:
    """The kernel's smoothed round-trip time, seconds; None where it doesn't say."""
    try:
        info = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    except OSError:
        return None
    if len(info) < _RTT_OFFSET + 4:
        return None
    return float(struct.unpack_from("@I", info, _RTT_OFFSET)[0]) / 1e6
