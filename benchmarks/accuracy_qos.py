"""How right the qos probe is, on networks of the lab that change markings, police and shape as they are told.

    python -m benchmarks.accuracy_qos [--marking-runs 10] [--limit-runs 10]

Idle and with all cores loaded come in turn. Prints Markdown for docs/accuracy.md. Needs root, or `unshare -Urn`.
"""

import argparse
import asyncio
import contextlib
import random
import statistics
from collections import Counter
from collections.abc import Mapping

from tests.lab import parts
from tests.lab.topology import Lab, Path

from benchmarks.lab_accuracy import loaded_cores
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue
from streamswarm_core.probespecs import QosParams

HOPS = 6
RATES = (1e6, 3e6, 8e6, 16e6)
KINDS = ("policer", "shaper", "loss by chance", "jitter", "nothing")
ETHERNET = 14
Fields = Mapping[str, FieldValue]


async def measure(line: Path, target: str, params: QosParams) -> tuple[Fields, dict[str, Fields]]:
    engines = Engines()
    with line.near.entered():
        try:
            summary, *classes = await PROBES["qos"].run(target, params, Context(engines))
        finally:
            engines.close()
    return summary.fields, {point.tags["dscp"]: point.fields for point in classes}


async def markings(runs: int) -> None:
    print(f"\nA router of {HOPS}, drawn by chance, changes a marking; right is what and between which two hops:\n")
    print("| change | IP | right | said where nothing is changed |")
    print("| --- | --- | ---: | ---: |")
    chance = random.Random(1)
    params = QosParams(classes=("BE", "EF", "AF41"), count=2, spacing=0.02, budget=0, wait=0.5)
    for change in ("rewritten", "bleached", "cleared", "congestion"):
        right, wrong = Counter[str](), Counter[str]()
        for _ in range(runs):
            with Lab() as lab:
                line = lab.path(hops=HOPS, relay=False)
                at = chance.randrange(HOPS)
                if change == "cleared":
                    parts.clear_ecn(line.routers[at])
                elif change == "congestion":
                    parts.mark_congestion(line.routers[at])
                else:
                    parts.rewrite_dscp(line.routers[at], 0 if change == "bleached" else 10, only=46)
                hops4 = [*(router.v4 for router in line.routers), line.target]
                hops6 = [*(router.v6 for router in line.routers), line.target6]
                for family, hops in (("4", hops4), ("6", hops6)):
                    summary, classes = await measure(line, hops[-1], params)
                    of_ecn = change in {"cleared", "congestion"}
                    fields, prefix = (summary, "ecn") if of_ecn else (classes["EF"], "marking")
                    told = [fields.get(prefix), *(fields.get(f"{prefix}_{one}") for one in ("hop", "address", "after"))]
                    right[family] += told == [change, at + 2, hops[at + 1], hops[at]]
                    wrong[family] += sum(classes[name].get("marking") != "kept" for name in ("BE", "AF41"))
                    wrong[family] += not of_ecn and summary.get("ecn") != "kept"
        for family in ("4", "6"):
            print(f"| {change} | {family} | {right[family]} of {runs} | {wrong[family]} of {3 * runs} |")


def network(lab: Lab, kind: str, rate: float, seed: int) -> Path:
    if kind == "loss by chance":
        return lab.path(hops=2, loss=0.03, delay_ms=2, seed=seed)
    if kind == "jitter":
        return lab.path(hops=2, jitter_ms=5, jitter="exponential", delay_ms=5, seed=seed)
    line = lab.path(hops=2, relay=False)
    if kind == "policer":
        parts.police(line.routers[0], rate, packet_bytes=1_000)
    elif kind == "shaper":
        parts.shape(line.routers[0], rate, queue_ms=100)
    return line


async def limits(runs: int) -> None:
    found: dict[tuple[str, bool], Counter[str]] = {}
    errors: dict[tuple[str, float, bool], list[float]] = {}
    sent: list[int] = []
    params = QosParams(classes=("BE",), count=2, spacing=0.02, marking=False)
    for run in range(runs):
        for loaded in (False, True):
            with loaded_cores() if loaded else contextlib.nullcontext():
                for kind in KINDS:
                    for rate in RATES:
                        with Lab() as lab:
                            line = network(lab, kind, rate, run + 1)
                            summary, classes = await measure(line, line.target, params)
                        told = classes["BE"]
                        verdict = str(told.get("limit", "nothing"))
                        found.setdefault((kind, loaded), Counter())[verdict] += 1
                        sent.append(int(summary["sent_bytes"]))
                        if verdict == kind != "nothing":
                            # tbf counts Ethernet frames.
                            truth = rate * 1_000 / (1_000 + ETHERNET) if kind == "shaper" else rate
                            error = float(told["limit_rate"]) / truth - 1
                            errors.setdefault((kind, rate, loaded), []).append(error)
    print(
        f"\nWhat the network does, against what the probe says, rates {', '.join(f'{rate / 1e6:g}' for rate in RATES)}"
    )
    print(f"Mbit/s, budget {params.budget:,} bytes (median sent {statistics.median(sent):,.0f}):\n")
    print("| network | cores | policer | shaper | nothing |")
    print("| --- | --- | ---: | ---: | ---: |")
    for (kind, loaded), said in found.items():
        cells = " | ".join(str(said[verdict]) for verdict in ("policer", "shaper", "nothing"))
        print(f"| {kind} | {'loaded' if loaded else 'idle'} | {cells} |")
    print("\nError of the rate, where the kind was told right:\n")
    print("| network | Mbit/s | cores | median | worst | samples |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for (kind, rate, loaded), of_kind in sorted(errors.items()):
        figures = f"{statistics.median(of_kind):+.1%} | {max(of_kind, key=abs):+.1%} | {len(of_kind)}".replace(
            "%", " %"
        )
        print(f"| {kind} | {rate / 1e6:g} | {'loaded' if loaded else 'idle'} | {figures} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--marking-runs", type=int, default=10)
    parser.add_argument("--limit-runs", type=int, default=10)
    wanted = parser.parse_args()
    asyncio.run(markings(wanted.marking_runs))
    asyncio.run(limits(wanted.limit_runs))


if __name__ == "__main__":
    main()
