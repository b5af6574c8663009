"""How right the voip probe's ratings are, on paths of the lab that are known.

    python -m benchmarks.accuracy_voip [--runs 4]

Each direction's R is held against the E-model of what the wire's own records say: delay, loss, bursts, and what comes
too late for the buffer. Idle and with all cores loaded come in turn. Prints Markdown for docs/accuracy.md. Needs root,
or `unshare -Urn`.
"""

import argparse
import asyncio
import contextlib
import itertools
import statistics
from collections.abc import Mapping

from tests.lab.impairment import Options
from tests.lab.topology import Lab, Path
from tests.lab.wire import Way

from benchmarks.lab_accuracy import loaded_cores
from streamswarm_agent.net.stamp.sender import StampSender
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue
from streamswarm_core.probespecs import SPECS, VoipParams
from streamswarm_core.reflector.limits import RateLimit
from streamswarm_core.reflector.stamp import StampReflector
from streamswarm_core.voice.emodel import Connection, mean_opinion, rate

SECONDS, BUFFER, CODEC = 4.0, 60.0, 20.125
UDP = 17
SEQUENCE_AT: dict[Way, int] = {"there": 28, "back": 52}
PATHS: dict[str, tuple[Options, Options]] = {
    "20 ms each way": ({"delay_ms": 20}, {"delay_ms": 20}),
    "150 ms each way": ({"delay_ms": 150}, {"delay_ms": 150}),
    "5 % loss there": ({"delay_ms": 20, "loss": 0.05}, {"delay_ms": 20}),
    "8 % in bursts of 4 back": ({"delay_ms": 20}, {"delay_ms": 20, "loss": 0.08, "burst": 4}),
    "2 % and 4 %, bursts of 3": (
        {"delay_ms": 50, "loss": 0.02, "burst": 3},
        {"delay_ms": 50, "loss": 0.04, "burst": 3},
    ),
    "jitter to 200 ms there": ({"delay_ms": 20, "jitter_ms": 200}, {"delay_ms": 20}),
}


async def measure(line: Path) -> Mapping[str, FieldValue]:
    reflector = StampReflector(limit=RateLimit(each=1e6, total=1e6))
    with line.far.entered():
        port = reflector.listen([line.target], 0)
    engines = Engines(StampSender())
    params = VoipParams(port=port, seconds=SECONDS, wait=0.6, jitter_buffer="fixed", buffer=BUFFER / 1000)
    try:
        with line.near.entered():
            (point,) = await PROBES["voip"].run(
                line.target, SPECS["voip"].params.model_validate(params), Context(engines)
            )
        return point.fields
    finally:
        engines.close()
        reflector.close()


def truth(line: Path, count: int) -> dict[str, float]:
    """R of each direction by the wire's records."""
    delays: dict[Way, list[float | None]] = {}
    for way, at in SEQUENCE_AT.items():
        packets = sorted((one for one in line.records(way) if one.head[9] == UDP), key=lambda one: one.arrived_ns)
        stream = [one for one in packets if int.from_bytes(one.head[at : at + 4], "big") < count]
        delays[way] = [None if one.sent_ns is None else (one.sent_ns - one.arrived_ns) / 1e6 for one in stream]
    means = {way: statistics.fmean(one for one in found if one is not None) for way, found in delays.items()}
    total = sum(means.values()) / 2 + BUFFER + CODEC
    return {way: _r(found, means[way] + BUFFER, total) for way, found in delays.items()}


def _r(delays: list[float | None], latest: float, total: float) -> float:
    missing = [one is None or one > latest for one in delays]
    gaps = [len(list(run)) for gone, run in itertools.groupby(missing) if gone]
    share = sum(missing) / len(missing)
    bursts = max(1.0, sum(gaps) / len(gaps) * (1 - share)) if gaps else 1.0
    loss = {"bpl": 25.1, "ppl": 100 * share, "burst_ratio": bursts}
    return rate(Connection(delay=total, echo_delay=total, round_trip=2 * total, **loss)).r


async def main(runs: int) -> None:
    print(f"{runs} runs of {SECONDS:g} s each, G.711 with concealment, fixed buffer of {BUFFER:g} ms:\n")
    print("| path | cores | R there | told | R back | told | largest error of R | of MOS |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, (there, back) in PATHS.items():
        found: dict[bool, list[tuple[float, float, float, float]]] = {False: [], True: []}
        for seed, loaded in itertools.product(range(1, runs + 1), (False, True)):
            with Lab() as lab, loaded_cores() if loaded else contextlib.nullcontext():
                line = lab.path(hops=1, there=there, back=back, record=True, seed=seed)
                told = await measure(line)
                real = truth(line, int(told["sent"]))
            found[loaded].append((real["there"], float(told["r_there"]), real["back"], float(told["r_back"])))
        for loaded, rows in found.items():
            pairs = [pair for one in rows for pair in (one[:2], one[2:])]
            worst = max(abs(a - b) for a, b in pairs)
            score = max(abs(mean_opinion(a) - mean_opinion(b)) for a, b in pairs)
            middle = " | ".join(f"{statistics.median(column):.1f}" for column in zip(*rows, strict=True))
            print(f"| {name} | {'loaded' if loaded else 'idle'} | {middle} | {worst:.2f} | {score:.3f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4)
    asyncio.run(main(parser.parse_args().runs))
