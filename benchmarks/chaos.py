"""Kills and stops the services of a running system at random, and looks whether anything that was measured is missing.

    python -m benchmarks.chaos [--minutes 5] [--seed 1]

The whole group runs as `streamswarm up --local-only --interval 1` does, on loopback, its data in a temporary folder.
Every few seconds one service is killed (SIGKILL) or stopped for a while (SIGSTOP). Runs of an assignment are numbered
without gaps by the agent, so a number that is missing in the store is a run that was lost. Ends with 1 if there is one,
or if a score is missing or there twice.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from tests.e2e.stack import SERVICES, Stack, running_stack
from tests.support import eventually

from streamswarm_core.probespecs import SPECS
from streamswarm_core.reader import InfluxQLReader

MEASUREMENTS = ("icmp", "tcp", "http", "stamp", "system")
LONGEST_STOP = 12.0
SETTLE_SECONDS = 120.0


def processes(stack: Stack) -> dict[str, psutil.Process]:
    """The services that run now, by name."""
    found = {}
    for child in psutil.Process(stack.process.pid).children():
        try:
            words = child.cmdline()
        except psutil.Error:  # it is just ending
            continue
        if words[-1:] == ["run"]:
            found[words[-2]] = child
    return found


def disturb(stack: Stack, chance: random.Random, counts: Counter[tuple[str, str]]) -> None:
    """Kill or stop one service."""
    running = processes(stack)
    if not running:
        return
    name = chance.choice(sorted(running))
    victim = running[name]
    try:
        if chance.random() < 0.7:
            victim.send_signal(signal.SIGKILL)
            counts[name, "killed"] += 1
        else:
            victim.send_signal(signal.SIGSTOP)
            time.sleep(chance.uniform(1, LONGEST_STOP))
            victim.send_signal(signal.SIGCONT)
            counts[name, "stopped"] += 1
    except psutil.NoSuchProcess:
        return


def lost_runs(reader: InfluxQLReader) -> tuple[list[tuple[str, int, int]], int]:
    """Runs stored and numbers up to the newest that are missing, by measurement; and all that are missing."""
    rows, lost = [], 0
    for name in MEASUREMENTS:
        measurement = SPECS[name].measurements[0].name
        stored = missing = 0
        for series in reader.execute(f'SELECT "seq" FROM "{measurement}" GROUP BY agent, test'):
            numbers = {int(row[1]) for row in series.rows if row[1] is not None}
            stored += len(numbers)
            missing += max(numbers, default=0) - len(numbers)
        rows.append((measurement, stored, missing))
        lost += missing
    return rows, lost


def scores(reader: InfluxQLReader) -> tuple[int, int]:
    """Values of `icmp.rtt_mean`, and scores of them."""
    values = reader.execute("SELECT count(rtt_mean) FROM icmp")
    told = reader.execute(
        "SELECT count(score) FROM anomaly WHERE \"measurement\" = 'icmp' AND \"field\" = 'rtt_mean' "
        "AND detector != 'multivariate'"
    )
    have, scored = (int(one[0].rows[0][1] or 0) if one else 0 for one in (values, told))
    return have, scored


def main() -> int:
    """Disturb, settle, look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long services are disturbed")
    parser.add_argument("--seed", type=int, default=1, help="of what happens when")
    options = parser.parse_args()
    chance, counts = random.Random(options.seed), Counter[tuple[str, str]]()
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        running_stack(Path(folder)) as stack,
    ):
        end = time.monotonic() + options.minutes * 60
        while time.monotonic() < end:
            time.sleep(chance.uniform(1, 8))
            disturb(stack, chance, counts)
        with stack.reader() as reader:
            eventually(lambda: len(processes(stack)), lambda count: count == len(SERVICES), SETTLE_SECONDS)
            before = eventually(lambda: lost_runs(reader)[0][0][1], bool, SETTLE_SECONDS)
            eventually(lambda: lost_runs(reader)[0][0][1], lambda count: count > before + 10, SETTLE_SECONDS)
        os.kill(processes(stack)["agent"].pid, signal.SIGSTOP)  # so that nothing comes while scores catch up
        with stack.reader() as reader:
            values, told = eventually(lambda: scores(reader), lambda pair: pair[0] == pair[1], SETTLE_SECONDS)
            rows, lost = lost_runs(reader)
        os.kill(processes(stack)["agent"].pid, signal.SIGCONT)
    for (name, what), count in sorted(counts.items()):
        print(f"{name} {what}: {count}")
    print("\n| measurement | runs stored | runs missing |\n| --- | ---: | ---: |")
    for name, stored, missing in rows:
        print(f"| {name} | {stored:,} | {missing} |")
    print(f"\nvalues of icmp.rtt_mean {values:,}, scores of them {told:,}")
    return 1 if lost or values != told else 0


if __name__ == "__main__":
    sys.exit(main())
