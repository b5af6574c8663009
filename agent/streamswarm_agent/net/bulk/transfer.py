"""A bounded bulk transfer over one connection, and looks at it as it goes."""

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import termios
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.tcp import wait_for
from streamswarm_agent.net.turns import Turns
from streamswarm_core.clock import now_ns
from streamswarm_core.tcpinfo import TcpInfo, read_tcp_info

_CHUNK: Final = 64 * 1024
_SO_MAX_PACING_RATE: Final = 47
_LONGEST_HEAD: Final = 16 * 1024
_LAST_PAUSE: Final = 0.001


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the connection.

    Attributes:
        at: monotonic seconds.
        wall_ns: the same on the wall clock.
        transferred: bytes acknowledged or read so far.
        info: what the kernel said.
    """

    at: float
    wall_ns: int
    transferred: int
    info: TcpInfo


@dataclass(slots=True)
class Course:
    """A transfer as it goes; a fault keeps what was seen before it.

    Attributes:
        interval: seconds between two looks, at least.
        looks: oldest first.
        finished: all that was to be transferred arrived, rather than time being up.
    """

    interval: float
    looks: list[Look] = field(default_factory=list)
    finished: bool = False

    def look(self, opened: socket.socket, transferred: int | None = None) -> Look | None:
        """Look at the connection now.

        Args:
            opened: the connection.
            transferred: bytes so far; None takes what the peer acknowledged since the first look.
        """
        info = read_tcp_info(opened)
        if info is None:
            return None
        if transferred is None:
            begun = self.looks[0].info.bytes_acked if self.looks else info.bytes_acked
            transferred = (info.bytes_acked or 0) - (begun or 0)
        seen = Look(time.monotonic(), now_ns(), transferred, info)
        self.looks.append(seen)
        return seen

    @property
    def due(self) -> float:
        """When the next look is due, monotonic seconds."""
        return self.looks[-1].at + self.interval if self.looks else 0.0


async def upload(
    opened: socket.socket, course: Course, *, size: int, seconds: float, rate: int | None = None, head: bytes = b""
) -> None:
    """Send `head` and `size` bytes, and wait until the peer's kernel has acknowledged them or time is up.

    What is not acknowledged by then is thrown away with the connection, so that nothing goes on behind our back.

    Args:
        opened: a non-blocking connection.
        course: takes the looks.
        size: bytes.
        seconds: for everything.
        rate: bytes per second at most, kept by the kernel.
        head: what goes first, such as a request.

    Raises:
        ProbeFault: the connection broke, or the kernel says nothing of it.
    """
    if rate is not None:
        opened.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, rate)
    if course.look(opened) is None:
        raise ProbeFault(Fault.INTERNAL, "this kernel has no TCP_INFO")
    until, left, turns = time.monotonic() + seconds, size + len(head), Turns()
    waiting = memoryview(head or _noise()[: min(left, _CHUNK)])
    try:
        while (now := time.monotonic()) < until:
            if now >= course.due:
                course.look(opened)
            if not left:
                # The last acknowledgement ends the transfer, so its time must not be rounded up to the next look.
                if _all_acknowledged(opened):
                    course.finished = True
                    break
                await asyncio.sleep(min(course.interval, max(_LAST_PAUSE, (course.looks[-1].info.rtt or 0.0) / 8)))
                continue
            await turns.give()
            try:
                sent = opened.send(waiting)
            except BlockingIOError:
                await _ready_or(opened, min(until, course.due), writable=True)
                continue
            left -= sent
            waiting = waiting[sent:] or memoryview(_noise())[: min(left, _CHUNK)]
    except OSError as error:
        raise from_os_error(error) from None
    finally:
        course.look(opened)
        if not course.finished:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))


async def download(opened: socket.socket, course: Course, *, size: int, seconds: float, head: bytes) -> bytes:
    """Send `head` and read at most `size` bytes, until the end or until time is up; returns how the answer begins.

    Raises:
        ProbeFault: the connection broke.
    """
    until, received, beginning, turns = time.monotonic() + seconds, 0, b"", Turns()
    try:
        opened.send(head)
        course.look(opened, 0)
        while received < size and (now := time.monotonic()) < until:
            if now >= course.due:
                course.look(opened, received)
            await turns.give()
            try:
                chunk = opened.recv(_CHUNK)
            except BlockingIOError:
                await _ready_or(opened, min(until, course.due), writable=False)
                continue
            if not chunk:
                course.finished = True
                break
            received += len(chunk)
            if len(beginning) < _LONGEST_HEAD:
                beginning += chunk[: _LONGEST_HEAD - len(beginning)]
    except OSError as error:
        raise from_os_error(error) from None
    finally:
        course.look(opened, received)
    return beginning


@cache
def _noise() -> bytes:
    """What is sent: nothing that anything on the way could compress."""
    return os.urandom(_CHUNK)


def _all_acknowledged(opened: socket.socket) -> bool:
    # Who only waits isn't told of a reset.
    code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    queued: int = struct.unpack("@i", fcntl.ioctl(opened, termios.TIOCOUTQ, b"\0" * 4))[0]
    return not queued


async def _ready_or(opened: socket.socket, when: float, *, writable: bool) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, when - time.monotonic())):
            await wait_for(opened, writable=writable)
