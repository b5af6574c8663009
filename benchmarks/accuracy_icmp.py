"""How far off are the round-trip times that our icmp probe, fping, ping and blackbox_exporter read?

    python -m benchmarks.accuracy_icmp [--rounds 10] [--echoes 100]

The truth is a capture on the interface that the packets leave and come back by, with the kernel's timestamps; all four
send over the same path of the lab in turn, first on an idle machine, then with a busy process on every core. Prints
Markdown for docs/accuracy.md. Needs root, `fping`, `ping` and `prometheus-blackbox-exporter`.
"""

import argparse
import asyncio
import contextlib
import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from tests.lab.namespace import Namespace
from tests.lab.topology import Lab
from tests.support import find_free_port

from streamswarm_agent.net.icmp.engine import IcmpEngine
from streamswarm_agent.net.targets import Address

SPACING: Final = 0.01
_SO_TIMESTAMPNS: Final = 35
_ALL_PROTOCOLS: Final = 0x0003
_ETHERNET, _IPV4 = 14, 20
_REQUEST, _REPLY = 8, 0
_BUSY: Final = "import hashlib\nwhile True: hashlib.sha256(bytes(100_000)).digest()"
_BLACKBOX: Final = "modules:\n  icmp:\n    prober: icmp\n    timeout: 5s\n    icmp:\n      preferred_ip_protocol: ip4\n"


@dataclass
class Errors:
    """What one tool read, less the truth, in seconds.

    Attributes:
        signed: one for each reply that both saw.
        unmatched: readings or replies without the other.
    """

    signed: list[float] = field(default_factory=list)
    unmatched: int = 0

    def take(self, read: list[float | None], truth: list[float | None]) -> None:
        """Compare a turn's readings with the truth, both in the order of the requests."""
        self.unmatched += abs(len(read) - len(truth))
        for mine, theirs in zip(read, truth, strict=False):
            if mine is None or theirs is None:
                self.unmatched += mine is not theirs
            else:
                self.signed.append(mine - theirs)

    def row(self) -> str:
        """As cells of the table."""
        absolute = sorted(abs(error) * 1e6 for error in self.signed)
        p99 = absolute[int(len(absolute) * 0.99)]
        bias = statistics.median(self.signed) * 1e6
        cells = (statistics.median(absolute), p99, absolute[-1], bias)
        return " | ".join(f"{cell:,.1f}" for cell in cells) + f" | {len(absolute)} | {self.unmatched}"


class Capture:
    """Echo requests and replies on an interface, with the kernel's timestamps; read when asked, so it takes no CPU."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._socket.bind((interface, _ALL_PROTOCOLS))  # the only kind that sees what is sent

    def round_trips(self) -> list[float | None]:
        """Of the requests since the last call, in their order; None without a reply."""
        requests: dict[bytes, int] = {}
        replies: dict[bytes, int] = {}
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, ancillary, _, _ = self._socket.recvmsg(2_000, 64)
                seconds, nanoseconds = struct.unpack("@ll", ancillary[0][2])
                if packet[12:14] != b"\x08\x00":
                    continue
                kind = packet[_ETHERNET + _IPV4]
                key = packet[_ETHERNET + _IPV4 + 4 : _ETHERNET + _IPV4 + 32]
                seen = requests if kind == _REQUEST else replies if kind == _REPLY else None
                if seen is not None:
                    seen.setdefault(key, seconds * 1_000_000_000 + nanoseconds)
        return [(replies[key] - sent) / 1e9 if key in replies else None for key, sent in requests.items()]


@dataclass
class Place:
    """Where everything is measured.

    Attributes:
        near: the namespace that sends.
        target: the address that answers.
        echoes: requests a turn.
        blackbox: base URL of the exporter, in near.
    """

    near: Namespace
    target: str
    echoes: int
    blackbox: str


def ours(place: Place) -> list[float | None]:
    async def measure() -> list[float | None]:
        engine = IcmpEngine()
        address = Address(socket.AF_INET, (place.target, 0), None)
        run = await engine.echo(address, count=place.echoes, spacing=SPACING, wait=2, size=56)
        engine.close()
        return list(run.rtts)

    with place.near.entered():
        return asyncio.run(measure())


def fping(place: Place) -> list[float | None]:
    argv = ["fping", "-q", "-C", str(place.echoes), "-p", f"{SPACING * 1e3:g}", "-t", "2000", place.target]
    said = place.near.run(argv, check=False).stderr
    times = said.partition(" : ")[2].split()
    return [None if text == "-" else float(text) / 1e3 for text in times]


def ping(place: Place) -> list[float | None]:
    argv = ["ping", "-n", "-c", str(place.echoes), "-i", f"{SPACING:g}", "-W", "2", place.target]
    said = place.near.run(argv, check=False).stdout
    found = {int(number): float(text) / 1e3 for number, text in re.findall(r"icmp_seq=(\d+) .*time=([\d.]+)", said)}
    return [found.get(number) for number in range(1, place.echoes + 1)]


def blackbox(place: Place) -> list[float | None]:
    read: list[float | None] = []
    with place.near.entered(), httpx.Client(base_url=place.blackbox, timeout=10) as client:
        for _ in range(place.echoes):
            text = client.get("/probe", params={"target": place.target, "module": "icmp"}).text
            found = re.search(r'^probe_icmp_duration_seconds{phase="rtt"} (\S+)$', text, re.MULTILINE)
            read.append(float(found[1]) if found else None)
            time.sleep(SPACING)
    return read


TOOLS: Final[dict[str, Callable[[Place], list[float | None]]]] = {
    "StreamSwarm": ours,
    "fping": fping,
    "ping": ping,
    "blackbox_exporter": blackbox,
}


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep cores busy."""
    running = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


@contextlib.contextmanager
def blackbox_exporter(near: Namespace) -> Iterator[str]:
    """Run it in a namespace; yields its base URL there."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "blackbox.yml")
        config.write_text(_BLACKBOX, encoding="utf-8")
        address = f"127.0.0.1:{find_free_port()}"
        argv = ["prometheus-blackbox-exporter", f"--config.file={config}", f"--web.listen-address={address}"]
        near.popen([*argv, "--log.level=error"])
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with near.entered(), contextlib.suppress(httpx.HTTPError):
                httpx.get(f"http://{address}/-/healthy")
                break
            time.sleep(0.05)
        yield f"http://{address}"


def compare(place: Place, capture: Capture, rounds: int) -> dict[str, Errors]:
    """All tools in turn, again and again."""
    errors = {name: Errors() for name in TOOLS}
    for number in range(rounds + 1):
        for name, tool in TOOLS.items():
            capture.round_trips()
            read = tool(place)
            truth = capture.round_trips()
            if number:  # the first round warms up
                errors[name].take(read, truth)
    return errors


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=10)
    arguments.add_argument("--echoes", type=int, default=100)
    options = arguments.parse_args()
    with Lab() as lab:
        line = lab.path(delay_ms=2, hops=1, at=1)
        with blackbox_exporter(line.near) as url:
            place = Place(line.near, line.target, options.echoes, url)
            capture = Capture(line.near, "to-r1")
            print("| load | tool | median error, µs | p99, µs | worst, µs | bias, µs | echoes | unmatched |")
            print("| --- | --- | --- | --- | --- | --- | --- | --- |")
            for load, processes in (("idle", 0), ("every core busy", os.cpu_count() or 1)):
                with busy(processes):
                    for name, errors in compare(place, capture, options.rounds).items():
                        print(f"| {load} | {name} | {errors.row()} |", flush=True)


if __name__ == "__main__":
    main()
