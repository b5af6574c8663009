"""The process between the two ends of an impaired wire.

It reads frames with the kernel's time of arrival (SO_TIMESTAMPNS), decides what happens to each, and sends what is to
arrive when its time has come. Since a frame's time counts from the kernel's stamp, it doesn't matter how late this
process is woken; what remains is how late it sends, and that it counts itself (`late_mean`, `late_max`).

Started by wire.py, with sockets that are already open: python -S -m tests.lab.relay LEFT RIGHT CONTROL SEED. On CONTROL
it takes a JSON document a line and answers each with one; when CONTROL is closed it ends. Only the standard library's
light parts are imported, so that it starts in some 20 ms.
"""

import contextlib
import gc
import heapq
import itertools
import json
import os
import random
import select
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from tests.lab.capture import is_chatter, overflow
from tests.lab.impairment import Impairment, bits_per_second

ETHERNET_HEADER: Final = 14
_TIMESPEC: Final = struct.Struct("@ll")
_LARGEST_FRAME: Final = 9_216
# Sleeping ends some 30 µs late on an idle virtual machine; the rest of the wait is spun away.
_SPIN_NS: Final = 60_000
# Few, so that what is due doesn't wait while a burst is read; and all that there can be, before a question is answered.
_FRAMES_PER_WAKE: Final = 16
_ALL_FRAMES: Final = 1_000_000
_HEAD_BYTES: Final = 64


@dataclass(slots=True)
class Counters:
    """What happened in one direction, counted by the relay itself: the truth that a measurement is held against.

    Attributes:
        received: IP packets that came in.
        received_bytes: their bytes, without link headers.
        delivered: packets sent out, copies included.
        lost: taken away by `loss`.
        queue_dropped: found the queue before the rate limit full.
        swallowed: larger than `swallow_over`.
        duplicated: copies made.
        reordered: sent out after a packet that came in later.
        overflowed: lost because the relay itself couldn't keep up; a test whose figures matter asserts 0.
        late_mean: how long after their time packets were sent, mean, seconds.
        late_max: the same, worst case, seconds.
    """

    received: int = 0
    received_bytes: int = 0
    delivered: int = 0
    lost: int = 0
    queue_dropped: int = 0
    swallowed: int = 0
    duplicated: int = 0
    reordered: int = 0
    overflowed: int = 0
    late_mean: float = 0.0
    late_max: float = 0.0

    @property
    def missing(self) -> int:
        """Packets that came in and are never to come out."""
        return self.lost + self.queue_dropped + self.swallowed

    @property
    def loss(self) -> float:
        """Share of the packets that never came out, whatever the reason; 0 if there were none."""
        return self.missing / self.received if self.received else 0.0


@dataclass(order=True, slots=True)
class _Waiting:
    """A frame on the wire."""

    due_ns: int
    number: int
    arrived_ns: int = field(compare=False)
    frame: bytes = field(compare=False)


class Direction:
    """From one end to the other."""

    def __init__(self, arrive: socket.socket, depart: socket.socket, seed: str) -> None:
        self.arrive = arrive
        self.counters = Counters()
        self.records: list[tuple[int, int | None, int, str, str]] | None = None
        self._depart = depart
        self._random = random.Random(seed)
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count()
        self._last_sent = -1
        self._losing = False
        self._wire_free_ns = 0
        self._last_due_ns = 0
        self._late_ns = 0
        self.set(Impairment())

    def set(self, impairment: Impairment) -> None:
        """Applies to what arrives from now on."""
        self.impairment = impairment
        self._ns_per_byte = 8e9 / bits_per_second(impairment.rate) if impairment.rate is not None else 0.0
        if not self._ns_per_byte:
            self._wire_free_ns = 0

    @property
    def next_due_ns(self) -> int | None:
        return self._waiting[0].due_ns if self._waiting else None

    def take(self, most: int) -> None:
        """Read what has arrived."""
        for _ in range(most):
            try:
                frame, ancillary, _flags, _sender = self.arrive.recvmsg(_LARGEST_FRAME, 64)
            except BlockingIOError:
                return
            seconds, nanoseconds = _TIMESPEC.unpack_from(ancillary[0][2])
            if is_chatter(frame[ETHERNET_HEADER:]):
                self._depart.send(frame)
            else:
                self._judge(frame, seconds * 1_000_000_000 + nanoseconds)

    def deliver(self) -> None:
        """Send what is due."""
        for _ in range(_FRAMES_PER_WAKE):
            now = time.time_ns()
            if not self._waiting or self._waiting[0].due_ns > now:
                return
            waiting = heapq.heappop(self._waiting)
            with contextlib.suppress(OSError):
                # ENOBUFS and ENETDOWN: the interface is going away.
                self._depart.send(waiting.frame)
            self._count_delivery(waiting, now)

    def truth(self) -> dict[str, Any]:
        """The counters; the kernel's count of frames that this process was too slow for is cleared by reading."""
        counters = self.counters
        counters.overflowed += overflow(self.arrive)
        counters.late_mean = self._late_ns / counters.delivered / 1e9 if counters.delivered else 0.0
        return asdict(counters)

    def _judge(self, frame: bytes, arrived_ns: int) -> None:
        counters, impairment = self.counters, self.impairment
        size = len(frame) - ETHERNET_HEADER
        counters.received += 1
        counters.received_bytes += size
        if self._loses():
            counters.lost += 1
            self._record(arrived_ns, None, frame, "lost")
            return
        if impairment.swallow_over is not None and size > impairment.swallow_over:
            counters.swallowed += 1
            self._record(arrived_ns, None, frame, "swallowed")
            return
        free_ns = max(arrived_ns, self._wire_free_ns)
        if self._ns_per_byte:
            if free_ns - arrived_ns > impairment.queue_ms * 1e6:
                counters.queue_dropped += 1
                self._record(arrived_ns, None, frame, "queue_dropped")
                return
            self._wire_free_ns = free_ns = free_ns + round(size * self._ns_per_byte)
        self._schedule(frame, arrived_ns, free_ns + round((impairment.delay_ms + self._jitter_ms()) * 1e6))

    def _schedule(self, frame: bytes, arrived_ns: int, due_ns: int) -> None:
        impairment = self.impairment
        if impairment.reorder and self._random.random() < impairment.reorder:
            due_ns += round(impairment.reorder_ms * 1e6)
        else:
            due_ns = self._last_due_ns = max(due_ns, self._last_due_ns)
        heapq.heappush(self._waiting, _Waiting(due_ns, next(self._numbers), arrived_ns, frame))
        if impairment.duplicate and self._random.random() < impairment.duplicate:
            self.counters.duplicated += 1
            heapq.heappush(self._waiting, _Waiting(due_ns, next(self._numbers), arrived_ns, frame))

    def _loses(self) -> bool:
        """Independently, or by Gilbert's chain: E. N. Gilbert, Capacity of a burst-noise channel, 1960."""
        loss, burst = self.impairment.loss, self.impairment.burst
        if burst == 1 or loss in {0, 1}:
            return loss > 0 and self._random.random() < loss
        change = 1 / burst if self._losing else loss / (burst * (1 - loss))
        if self._random.random() < change:
            self._losing = not self._losing
        return self._losing

    def _jitter_ms(self) -> float:
        jitter = self.impairment.jitter_ms
        if not jitter:
            return 0.0
        match self.impairment.jitter:
            case "uniform":
                return self._random.uniform(0, jitter)
            case "normal":
                return abs(self._random.gauss(0, jitter))
            case "exponential":
                return self._random.expovariate(1 / jitter)

    def _count_delivery(self, waiting: _Waiting, now: int) -> None:
        counters = self.counters
        counters.delivered += 1
        if waiting.number < self._last_sent:
            counters.reordered += 1
        self._last_sent = max(self._last_sent, waiting.number)
        late = now - waiting.due_ns
        self._late_ns += late
        counters.late_max = max(counters.late_max, late / 1e9)
        self._record(waiting.arrived_ns, now, waiting.frame, "delivered")

    def _record(self, arrived_ns: int, sent_ns: int | None, frame: bytes, fate: str) -> None:
        if self.records is not None:
            head = frame[ETHERNET_HEADER : ETHERNET_HEADER + _HEAD_BYTES].hex()
            self.records.append((arrived_ns, sent_ns, len(frame) - ETHERNET_HEADER, fate, head))


def _answer(request: dict[str, Any], directions: dict[str, Direction]) -> dict[str, Any]:
    match request["do"]:
        case "set":
            for name, impairment in request["impairments"].items():
                directions[name].set(Impairment(**impairment))
            return {}
        case "record":
            for direction in directions.values():
                direction.records = []
            return {}
        case "records":
            return {name: direction.records for name, direction in directions.items()}
        case _:
            return {name: direction.truth() for name, direction in directions.items()}


def relay(directions: dict[str, Direction], control: socket.socket) -> None:
    """Carry frames until the control socket is closed."""
    lines = control.makefile("rw", encoding="utf-8")
    arrivals = {direction.arrive.fileno(): direction for direction in directions.values()}
    while True:
        dues = [due for direction in directions.values() if (due := direction.next_due_ns) is not None]
        wait = max(0, min(dues) - time.time_ns() - _SPIN_NS) / 1e9 if dues else None
        ready, _, _ = select.select([*arrivals, control.fileno()], [], [], wait)
        asked = control.fileno() in ready
        for number, direction in arrivals.items():
            if number in ready or asked:
                direction.take(_ALL_FRAMES if asked else _FRAMES_PER_WAKE)
        if not ready:
            while time.time_ns() < min(dues):
                pass
        for direction in directions.values():
            direction.deliver()
        if asked:
            line = lines.readline()
            if not line:
                return
            lines.write(json.dumps(_answer(json.loads(line), directions)) + "\n")
            lines.flush()


def be_prompt() -> None:
    """Ask to run before everything else, where this user may; and never stop for the garbage collector."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    gc.disable()


def main() -> None:
    left, right, control = (socket.socket(fileno=int(number)) for number in sys.argv[1:4])
    seed = sys.argv[4]
    directions = {"there": Direction(left, right, f"{seed} there"), "back": Direction(right, left, f"{seed} back")}
    be_prompt()
    relay(directions, control)


if __name__ == "__main__":
    main()
