"""The iperf3 client, bounded in bytes and in time."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.bulk.throughput import Throughput
from streamswarm_agent.net.targets import Address
from streamswarm_agent.net.tools import run_program
from streamswarm_core.probespecs import BandwidthParams
from streamswarm_core.wire.bandwidth import STEP_SECONDS, Direction, Meter

_PORT: Final = 5201
_GRACE_SECONDS: Final = 15.0
_INTERVAL_SECONDS: Final = 0.1
_UDP_GRACE_SECONDS: Final = 5.0
_UDP_PAYLOAD: Final = 1_400
"""Bytes of a datagram: fits in one packet on all but the narrowest links."""

_TRIES: Final = 4
_BETWEEN_TRIES: Final = 1.0
_OCCUPIED: Final = ("busy", "control socket has closed", "unable to receive control message")
"""What a server says, or does, that serves another or isn't done with the test before, such as the run's other way."""

_BY_WORDS: Final = {
    "refused": Fault.REFUSED,
    "busy": Fault.REFUSED,
    "timed out": Fault.TIMEOUT,
    "No route": Fault.UNREACHABLE,
    "unreachable": Fault.UNREACHABLE,
    "reset": Fault.RESET,
}


async def measure_with_iperf3(
    address: Address, params: BandwidthParams, direction: Direction, wall_ns: Callable[[], int]
) -> Throughput:
    """Measure one direction with a server that runs `iperf3 -s`: by TCP what it carries, or by UDP a given rate.

    iperf3 takes a limit of bytes or one of seconds, so it gets the bytes, and an interrupt when the seconds are over;
    it then tells what it has. What arrived is the server's word; if it was interrupted, an upload is counted where it
    was sent. By UDP the bytes are those of the rate in the seconds, so that it isn't interrupted and the server tells.

    Raises:
        ProbeFault: iperf3 isn't installed, or the server can't be reached or has no time.
    """
    size, seconds = params.budget // (params.download + params.upload), params.seconds
    argv = ["iperf3", "--client", address.host, "--port", str(params.port or _PORT), "--json"]
    argv += ["--interval", str(_INTERVAL_SECONDS), "--connect-timeout", str(int(_GRACE_SECONDS / 2 * 1000))]
    if params.udp_rate is None:
        argv += ["--parallel", str(params.streams)]
    else:
        size = min(size, int(params.udp_rate / 8 * seconds))
        seconds += _UDP_GRACE_SECONDS
        argv += ["--udp", "--bitrate", str(int(params.udp_rate)), "--length", str(min(_UDP_PAYLOAD, size))]
    argv += ["--bytes", str(size)]
    if direction == "download":
        argv.append("--reverse")
    for tries_left in reversed(range(_TRIES)):
        began_ns = wall_ns()
        told = await _run(argv, seconds)
        intervals = [interval["sum"] for interval in told.get("intervals", ())]
        if sum(interval["bytes"] for interval in intervals):
            break
        words = told.get("error", "it transferred nothing")
        if not tries_left or not any(sign in words for sign in _OCCUPIED):
            raise _fault(words, seconds)
        await asyncio.sleep(_BETWEEN_TRIES)
    if params.udp_rate is None:
        return _read(told["end"], intervals, direction, began_ns, params.warm_up)
    return _read_udp(told["end"], direction, began_ns)


async def _run(argv: list[str], seconds: float) -> Mapping[str, Any]:
    limited = ["timeout", "--preserve-status", "--signal=INT", f"{seconds:g}", *argv]
    done = await run_program(limited, timeout=seconds + _GRACE_SECONDS)
    if done.code == 127 or b"failed to run command" in done.stderr:
        raise ProbeFault(Fault.MISSING_PROGRAM, "iperf3 is not installed on this host")
    try:
        told: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise ProbeFault(Fault.INTERNAL, f"iperf3: {done.complaint}") from None
    return told


def _read_udp(end: Mapping[str, Any], direction: Direction, began_ns: int) -> Throughput:
    """What the receiving side counted; lost are the numbers that it missed, jitter is RFC 3550's."""
    arrived = end.get("sum_received") or {}
    if not arrived.get("packets"):
        raise ProbeFault(Fault.PROTOCOL, "iperf3: the receiving side told nothing of what arrived")
    return Throughput(
        direction,
        began_ns,
        arrived["bytes"] * 8 / arrived["seconds"],
        arrived["bytes"],
        arrived["seconds"],
        loss=arrived["lost_packets"] / arrived["packets"],
        jitter=arrived["jitter_ms"] / 1e3,
    )


def _read(
    end: Mapping[str, Any], intervals: list[Mapping[str, Any]], direction: Direction, began_ns: int, warm_up: float
) -> Throughput:
    meter = Meter()
    meter.add(0, 0.0)
    for interval in intervals:
        # Spread evenly over the interval, whose steps are finer.
        steps = max(1, round(interval["seconds"] / STEP_SECONDS))
        for step in range(steps):
            share = interval["bytes"] * (step + 1) // steps - interval["bytes"] * step // steps
            meter.add(share, interval["start"] + (step + 0.5) * interval["seconds"] / steps)
    meter.seconds = float(intervals[-1]["end"])
    found = Throughput.of(
        direction,
        meter,
        began_ns=began_ns,
        warm_up=warm_up,
        retransmits=end.get("sum_sent", {}).get("retransmits"),
    )
    arrived = end.get("sum_received", {})
    if direction == "download" or not arrived.get("bytes"):
        return found
    rate = arrived["bytes"] * 8 / arrived["seconds"] if arrived["seconds"] else None
    return Throughput(
        direction, began_ns, rate, arrived["bytes"], arrived["seconds"], found.per_second, found.retransmits
    )


def _fault(words: str, seconds: float) -> ProbeFault:
    if "interrupt" in words:
        # Ours, when the time was over.
        return ProbeFault(Fault.TIMEOUT, f"iperf3: nothing was transferred within {seconds:g} s")
    for known, fault in _BY_WORDS.items():
        if known in words:
            return ProbeFault(fault, f"iperf3: {words}")
    return ProbeFault(Fault.PROTOCOL, f"iperf3: {words}")
