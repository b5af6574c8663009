"""How exactly the dns and http probes time their phases, beside blackbox_exporter: measured, against a capture.

    python -m benchmarks.accuracy_web [--runs 300]

The truth of a phase is the time between two packets on the probing host's interface, by the kernel's clock. Both probe
the same servers over the same path, in turn, idle and with both cores loaded. Prints Markdown for docs/accuracy.md.
Needs root, or `unshare -Urn`.
"""

import argparse
import asyncio
import contextlib
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.lab.capture import Capture, Captured
from tests.lab.namespace import end
from tests.lab.servers.dns import dns_server
from tests.lab.servers.http import http_server
from tests.lab.topology import Lab
from tests.lab.topology import Path as Line

from benchmarks.lab_accuracy import loaded_cores, table
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.probespecs import DnsParams, HttpParams

DNS_PORT, HTTP_PORT, BLACKBOX = 53, 80, "127.0.0.1:9115"
SYN, SYN_ACK = 0x02, 0x12
MODULES = """\
modules:
  http_2xx: {prober: http, timeout: 10s}
  dns_udp: {prober: dns, timeout: 10s, dns: {query_name: www.lab.test, query_type: A}}
"""
Phases = dict[str, float]


@dataclass(frozen=True)
class Packet:
    """What of a captured packet matters here."""

    at: float
    outgoing: bool
    flags: int
    payload: int


def packets(seen: list[Captured], port: int) -> Iterator[Packet]:
    """Packets to and from a port of the far host."""
    for one in seen:
        ports = int.from_bytes(one.transport[:2]), int.from_bytes(one.transport[2:4])
        if ports[1 if one.outgoing else 0] == port:
            yield _packet(one, udp=port == DNS_PORT)


def _packet(seen: Captured, *, udp: bool) -> Packet:
    header = 8 if udp else (seen.transport[12] >> 4) * 4
    return Packet(seen.at_ns / 1e9, seen.outgoing, 0 if udp else seen.transport[13], len(seen.transport) - header)


def first(seen: list[Packet], good: Callable[[Packet], bool]) -> float:
    return next(packet.at for packet in seen if good(packet))


def truth(captured: list[Captured]) -> Phases:
    """The phases of one DNS query and one HTTP request, as their packets passed."""
    dns, http = list(packets(captured, DNS_PORT)), list(packets(captured, HTTP_PORT))
    asked = first(http, lambda one: one.outgoing and one.payload > 0)
    return {
        "dns request": first(dns, lambda one: not one.outgoing) - first(dns, lambda one: one.outgoing),
        "http connect": first(http, lambda one: one.flags == SYN_ACK) - first(http, lambda one: one.flags == SYN),
        "http first byte": first(http, lambda one: not one.outgoing and one.payload > 0) - asked,
    }


async def ours(line: Line, context: Context) -> Phases:
    """What our probes measure."""
    (dns,) = await PROBES["dns"].run("www.lab.test", DnsParams(server=line.target), context)
    (http,) = await PROBES["http"].run(f"http://{line.target}/", HttpParams(), context)
    return {
        "dns request": float(dns.fields["lookup"]),
        "http connect": float(http.fields["connect"]),
        "http first byte": float(http.fields["first_byte"]),
    }


def theirs(line: Line, client: httpx.Client) -> Phases:
    """What blackbox_exporter measures."""

    def ask(module: str, target: str) -> Phases:
        text = client.get(f"http://{BLACKBOX}/probe", params={"module": module, "target": target}).text
        families = {family.name: family for family in text_string_to_metric_families(text)}
        family = next(
            families[name] for name in families if name.endswith(("dns_duration_seconds", "http_duration_seconds"))
        )
        return {sample.labels["phase"]: sample.value for sample in family.samples}

    dns, http = ask("dns_udp", line.target), ask("http_2xx", f"http://{line.target}/")
    return {"dns request": dns["request"], "http connect": http["connect"], "http first byte": http["processing"]}


def compare(runs: int, load: str, errors: dict[tuple[str, str, str], list[float]]) -> None:
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab())
        line = lab.path(delay_ms=2)
        stack.enter_context(dns_server(line.far, port=DNS_PORT))
        stack.enter_context(http_server(line.far, port=HTTP_PORT))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        config = Path(folder) / "blackbox.yml"
        config.write_text(MODULES)
        command = ["prometheus-blackbox-exporter", f"--config.file={config}", f"--web.listen-address={BLACKBOX}"]
        exporter = line.near.popen(command)
        stack.callback(end, exporter)
        stack.enter_context(line.near.entered())
        capture = stack.enter_context(Capture(line.near, "to-r1"))
        client = stack.enter_context(httpx.Client(timeout=30))
        runner = stack.enter_context(asyncio.Runner())
        context = Context(Engines())
        _wait_for(client)
        if load == "loaded":
            stack.enter_context(loaded_cores())
        measurers: dict[str, Callable[[], Phases]] = {
            "streamswarm": lambda: runner.run(ours(line, context)),
            "blackbox_exporter": lambda: theirs(line, client),
        }
        for _ in range(runs):
            for name, measure in measurers.items():
                capture.take()
                measured = measure()
                for phase, seconds in truth(capture.take()).items():
                    errors.setdefault((phase, load, name), []).append(measured[phase] - seconds)


def _wait_for(client: httpx.Client) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            client.get(f"http://{BLACKBOX}/")
            return
        time.sleep(0.05)
    raise SystemExit("blackbox_exporter did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300, help="of each program, idle and loaded")
    runs = parser.parse_args().runs
    errors: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(3):
        for load in ("idle", "loaded"):
            compare(math.ceil(runs / 3), load, errors)
    rows = []
    for (phase, load, name), values in sorted(errors.items()):
        ordered = sorted(value * 1e6 for value in values)
        cells = (statistics.median(ordered), ordered[math.ceil(len(ordered) * 0.99) - 1], ordered[0])
        rows.append(f"{phase} | {load} | {name} | " + " | ".join(f"{cell:.0f}" for cell in cells))
    table("DNS and HTTP phases", "phase | cores | program | median error, µs | p99 | least", rows)


if __name__ == "__main__":
    main()
