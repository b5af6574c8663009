"""How far the time of a TCP handshake, as measured, is from what a capture on the same interface saw.

    python -m benchmarks.accuracy_tcp [--count 300] [--delay-ms 10]

The tcp probe (and, beside it, the wall clock that it also writes) and Debian's prometheus-blackbox-exporter connect in
turn to the same server, over a plain veth and over a wire with delay, on an idle machine and with every core loaded.
The truth is the capture's time from SYN out to SYN-ACK in, by the kernel's clock. Then a server greets late over paths
of more and more jitter, and the probe's server_processing is held against a capture on the server's side (from the ACK
in to the banner out), to see how often the stated error holds. Prints Markdown for docs/accuracy.md. Needs root and
prometheus-blackbox-exporter.
"""

import argparse
import asyncio
import contextlib
import http.client
import multiprocessing
import os
import re
import statistics
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.lab.capture import Capture
from tests.lab.servers.tcp import tcp_server
from tests.lab.topology import Lab
from tests.lab.topology import Path as Line
from tests.support import eventually

from streamswarm_agent.net.icmp.engine import IcmpEngine
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.probespecs import TcpParams

PORT = 7011
BLACKBOX_PORT = 9115
CONFIG = "modules: {tcp_connect: {prober: tcp, timeout: 5s, tcp: {preferred_ip_protocol: ip4}}}\n"
PORTS, FLAGS = struct.Struct("!HH"), 13
SYN, SYN_ACK, ACK, PUSH = 0x02, 0x12, 0x10, 0x08


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core at work."""
    workers = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def spin() -> None:
    while True:
        pass


@contextlib.contextmanager
def blackbox(line: Line) -> Iterator[None]:
    """Run the exporter on near, and wait until it answers."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "blackbox.yml")
        config.write_text(CONFIG)
        command = ["prometheus-blackbox-exporter", f"--config.file={config}"]
        process = line.near.popen([*command, f"--web.listen-address=127.0.0.1:{BLACKBOX_PORT}", "--log.level=error"])
        try:
            eventually(lambda: answers(line), bool)
            yield
        finally:
            process.terminate()
            process.wait(10)


def answers(line: Line) -> bool:
    try:
        return bool(ask_blackbox(line))
    except OSError:
        return False


def ask_blackbox(line: Line) -> float:
    """One probe; seconds as it reports them."""
    with line.near.entered():
        connection = http.client.HTTPConnection("127.0.0.1", BLACKBOX_PORT, timeout=30)
        connection.request("GET", f"/probe?module=tcp_connect&target={line.target}:{PORT}")
    text = connection.getresponse().read().decode()
    connection.close()
    found = re.search(r"^probe_duration_seconds (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def ask_ours(line: Line, context: Context) -> tuple[float, float]:
    """One probe; its handshake and its wall clock, seconds."""
    params = TcpParams(count=1, response="off")
    (point,) = await PROBES["tcp"].run(f"{line.target}:{PORT}", params, context)
    return float(point.fields["connect"]), float(point.fields["total"])


def handshake(seen: Capture) -> float | None:
    """From SYN out to SYN-ACK in, seconds, of the one handshake that was captured; None if it wasn't just one."""
    begun, ended = [], []
    for packet in seen.take():
        if len(packet.transport) <= FLAGS or PORT not in PORTS.unpack_from(packet.transport):
            continue
        if packet.outgoing and packet.transport[FLAGS] == SYN:
            begun.append(packet.at_ns)
        elif not packet.outgoing and packet.transport[FLAGS] == SYN_ACK:
            ended.append(packet.at_ns)
    return (ended[0] - begun[0]) / 1e9 if len(begun) == len(ended) == 1 else None


def compare(line: Line, interface: str, count: int) -> dict[str, list[float]]:
    """Errors of each side in seconds, the sides taking turns."""
    errors: dict[str, list[float]] = {"ours": [], "wall clock": [], "blackbox_exporter": []}
    engine = IcmpEngine()
    try:
        with Capture(line.near, interface) as seen, line.near.entered():
            context = Context(Engines(engine))
            for _ in range(count):
                kernel, wall = asyncio.run(ask_ours(line, context))
                if (truth := handshake(seen)) is not None:
                    errors["ours"].append(kernel - truth)
                    errors["wall clock"].append(wall - truth)
                theirs = ask_blackbox(line)
                if (truth := handshake(seen)) is not None:
                    errors["blackbox_exporter"].append(theirs - truth)
    finally:
        engine.close()
    return errors


def server_time(seen: Capture) -> float | None:
    """From the ACK in to the first bytes out, seconds, of the first connection whose SYN was captured."""
    client, accepted = None, None
    for packet in seen.take():
        if len(packet.transport) <= FLAGS or PORT not in PORTS.unpack_from(packet.transport):
            continue
        source, destination = PORTS.unpack_from(packet.transport)
        flags = packet.transport[FLAGS]
        if packet.outgoing and destination == client and flags & PUSH and accepted is not None:
            return (packet.at_ns - accepted) / 1e9
        if not packet.outgoing and flags == SYN and client is None:
            client = source
        elif not packet.outgoing and flags == ACK and source == client and accepted is None:
            accepted = packet.at_ns
    return None


def split(line: Line, interface: str, count: int) -> list[tuple[float, float]]:
    """Error of server_processing and the error that was stated, seconds; run after run of one assignment."""
    params = TcpParams(response="banner", response_wait=10)
    engine = IcmpEngine()
    results = []
    try:
        with Capture(line.far, interface) as seen, line.near.entered():
            context = Context(Engines(engine))
            for _ in range(count):
                (point,) = asyncio.run(PROBES["tcp"].run(f"{line.target}:{PORT}", params, context))
                truth = server_time(seen)
                if truth is not None and "network_delay_error" in point.fields:
                    error = float(point.fields["server_processing"]) - truth
                    results.append((error, float(point.fields["network_delay_error"])))
    finally:
        engine.close()
    return results


def split_row(jitter: float, results: list[tuple[float, float]]) -> str:
    absolute = sorted(abs(error) * 1e3 for error, _ in results)
    stated = statistics.median(error for _, error in results) * 1e3
    # From twenty round trips on, which is after seven runs of three.
    late = results[7:]
    held = sum(abs(error) <= bound for error, bound in late) / len(late)
    median = statistics.median(absolute)
    return f"| {jitter:g} | {median:.2f} | {absolute[-1]:.2f} | {stated:.2f} | {held:.0%} | {len(late)} |"


def row(path: str, load: str, side: str, errors: list[float]) -> str:
    absolute = sorted(abs(error) * 1e6 for error in errors)
    p99 = absolute[min(len(absolute) - 1, int(len(absolute) * 0.99))]
    return (
        f"| {path} | {load} | {side} | {statistics.median(errors) * 1e6:+.1f} | {statistics.median(absolute):.1f} "
        f"| {p99:.1f} | {len(errors)} |"
    )


def main() -> None:
    """Compare over both paths, idle and loaded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="handshakes of each side, path and load")
    parser.add_argument("--delay-ms", type=float, default=10.0, help="one way, of the wire")
    arguments = parser.parse_args()
    print("| path | machine | measured by | median error µs | median absolute µs | p99 absolute µs | n |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for path in ("veth", f"wire, {arguments.delay_ms:g} ms each way"):
        with Lab() as lab:
            wire = path != "veth"
            line = lab.path(hops=1, delay_ms=arguments.delay_ms) if wire else lab.path(hops=1, relay=False)
            with tcp_server(line.far, port=PORT), blackbox(line):
                for load, loaded in (("idle", contextlib.nullcontext()), ("loaded", busy_cores())):
                    with loaded:
                        for side, errors in compare(line, f"to-{line.routers[0].name}", arguments.count).items():
                            print(row(path, load, side, errors), flush=True)
    print("\n| jitter ms | median error ms | worst ms | stated error, median ms | within it | n |")
    print("| --- | --- | --- | --- | --- | --- |")
    for jitter in (0.0, 2.0, 10.0):
        with Lab() as lab:
            line = lab.path(hops=1, delay_ms=arguments.delay_ms, jitter_ms=jitter)
            with tcp_server(line.far, port=PORT, banner="220 here", speak_ms=30):
                print(split_row(jitter, split(line, f"to-{line.routers[-1].name}", arguments.count)), flush=True)


if __name__ == "__main__":
    main()
