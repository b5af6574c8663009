"""The iperf3 client, bounded in bytes and in time."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.targets import Address
from streamswarm_agent.net.throughput import Throughput
from streamswarm_agent.net.tools import run_program
from streamswarm_core.probespecs import BandwidthParams
from streamswarm_core.wire.bandwidth import STEP_SECONDS, Direction, Meter

_PORT: Final = 5201
_GRACE_SECONDS: Final = 15.0
_INTERVAL_SECONDS: Final = 0.1
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
    """Measure one direction with a server that runs `iperf3 -s`.

    iperf3 takes a limit of bytes or one of seconds, so it gets the bytes, and an interrupt when the seconds are over;
    it then tells what it has. What arrived is the server's word; if it was interrupted, an upload is counted where it
    was sent.

    Raises:
        ProbeFault: iperf3 isn't installed, or the server can't be reached or has no time.
    """
    ways = params.download + params.upload
    argv = ["iperf3", "--client", address.host, "--port", str(params.port or _PORT), "--json"]
    argv += ["--bytes", str(params.budget // ways), "--parallel", str(params.streams)]
    argv += ["--interval", str(_INTERVAL_SECONDS), "--connect-timeout", str(int(_GRACE_SECONDS / 2 * 1000))]
    if direction == "download":
        argv.append("--reverse")
    limited = ["timeout", "--preserve-status", "--signal=INT", f"{params.seconds:g}", *argv]
    began_ns = wall_ns()
    done = await run_program(limited, timeout=params.seconds + _GRACE_SECONDS)
    if done.code == 127 or b"failed to run command" in done.stderr:
        raise ProbeFault(Fault.MISSING_PROGRAM, "iperf3 is not installed on this host")
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise ProbeFault(Fault.INTERNAL, f"iperf3: {done.complaint}") from None
    intervals = [interval["sum"] for interval in told.get("intervals", ())]
    if not sum(interval["bytes"] for interval in intervals):
        raise _fault(told.get("error", "it transferred nothing"))
    return _read(told["end"], intervals, direction, began_ns, params.warm_up)


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


def _fault(words: str) -> ProbeFault:
    for known, fault in _BY_WORDS.items():
        if known in words:
            return ProbeFault(fault, f"iperf3: {words}")
    return ProbeFault(Fault.PROTOCOL, f"iperf3: {words}")
