"""CPU for each echo where replies come one after the other: the ICMP engine reading them singly, together, and fping.

    python -m benchmarks.agent_replies [--rates 100 500] [--seconds 6] [--rounds 2]

A host in the network lab answers each request after 5 to 80 ms, by chance. All in turn. Needs root and `fping`.
"""

import argparse
import asyncio
import heapq
import itertools
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import time
from typing import Final
from unittest.mock import patch

from tests.lab.topology import Lab

from streamswarm_agent.net.icmp import channel
from streamswarm_agent.net.icmp.engine import IcmpEngine
from streamswarm_agent.net.icmp.flight import Flight
from streamswarm_agent.net.icmp.requests import Echoes
from streamswarm_agent.net.icmp.run import EchoHistory
from streamswarm_agent.net.targets import Address

_STARTS_PER_SECOND: Final = 10
_CLOSE: Final = {"each reply by itself": 0.0, "together": 0.004}
_REQUEST_TO_REPLY: Final = 0x0800
"""What the checksum grows by when the type 8 becomes 0."""


def answer_forever() -> None:
    """Be the host that takes its time."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    waiting: list[tuple[float, int, bytes, str]] = []
    for number in itertools.count():
        until = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 1.0
        if select.select([opened], [], [], until)[0]:
            packet, (sender, _) = opened.recvfrom(2000)
            message = bytearray(packet[20:])
            if message[0] == 8:
                message[0] = 0
                checksum = struct.unpack_from("!H", message, 2)[0] + _REQUEST_TO_REPLY
                struct.pack_into("!H", message, 2, (checksum & 0xFFFF) + (checksum >> 16))
                due = time.monotonic() + random.uniform(0.005, 0.08)
                heapq.heappush(waiting, (due, number, bytes(message), sender))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, reply, receiver = heapq.heappop(waiting)
            opened.sendto(reply, (receiver, 0))


async def ours(target: str, rate: int, seconds: float) -> tuple[float, int]:
    """CPU microseconds an echo, and how many echoes were lost."""
    engine, loop = IcmpEngine(), asyncio.get_running_loop()
    echoes = Echoes(Address(socket.AF_INET, (target, 0), None), 1, 1.0, 1.0, 56)
    history, ended = EchoHistory(), list[Flight]()
    used, begun = time.process_time(), loop.time()
    for tick in range(round(seconds * _STARTS_PER_SECOND)):
        for _ in range(rate // _STARTS_PER_SECOND):
            engine.launch(echoes, history, ended.append)
        await asyncio.sleep(max(0.0, begun + (tick + 1) / _STARTS_PER_SECOND - loop.time()))
    await asyncio.sleep(1.5)
    used = time.process_time() - used
    engine.close()
    return used / len(ended) * 1e6, sum(flight.rtts[0] < 0 for flight in ended)


def fping(target: str, rate: int, seconds: float) -> float:
    """CPU microseconds an echo."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    each = round(seconds * rate / 20)
    argv = ["fping", "-q", "-c", str(each), "-p", "200", "-i", f"{1000 / rate:.2f}", "-t", "1000", *[target] * 20]
    subprocess.run(argv, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used / each / 20 * 1e6


def main() -> None:
    """Run the comparison."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rates", type=int, nargs="+", default=[100, 500])
    arguments.add_argument("--seconds", type=float, default=6)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.answer:
        answer_forever()
    with Lab() as lab:
        line = lab.path(relay=False, hops=1)
        line.far.sysctl({"ipv4/icmp_echo_ignore_all": "1"})
        line.far.popen([sys.executable, "-m", "benchmarks.agent_replies", "--answer"])
        time.sleep(3)
        print("| echoes/s | read | CPU µs/echo | lost |\n| --- | --- | --- | --- |")
        for rate, _ in itertools.product(options.rates, range(options.rounds)):
            with line.near.entered():
                for name, close in _CLOSE.items():
                    with patch.object(channel, "_CLOSE_SECONDS", close):
                        used, lost = asyncio.run(ours(line.target, rate, options.seconds))
                    print(f"| {rate} | {name} | {used:.1f} | {lost} |", flush=True)
                print(f"| {rate} | fping | {fping(line.target, rate, options.seconds):.1f} | |", flush=True)


if __name__ == "__main__":
    main()
