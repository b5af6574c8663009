"""How good the ML service's models are: each figure beside its base rate, a trivial baseline and a bootstrap interval.

    python -m benchmarks.ml_models [--nab FOLDER] [--quick] [MODEL …]

Everything is prequential: scored in the order of time, before it is learned. Forecasts are judged on NAB-like files
below --nab (timestamp,value; left out without it), the others on simulators, whose truth is the injected fault or the
hidden state. Each model also gets a check that must fail: labels of chance, or inputs taken away. Prints Markdown for
docs/models.md.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.ml import failure, forecast, health, infrastructure, qos
from benchmarks.ml.figures import Figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="which; all if none is named")
    parser.add_argument("--nab", type=Path, help="folder with NAB-like CSV files")
    parser.add_argument("--quick", action="store_true", help="smaller simulations, wider intervals")
    asked = parser.parse_args()
    small = asked.quick
    runs: dict[str, Callable[[], list[Figure]]] = {
        "forecast": lambda: [*forecast.evaluate(asked.nab), *forecast.check(asked.nab)] if asked.nab else [],
        "failure": lambda: failure.evaluate(12, 14) if small else failure.evaluate(),
        "health": lambda: health.evaluate(16, 10) if small else health.evaluate(),
        "infrastructure": lambda: infrastructure.evaluate(5) if small else infrastructure.evaluate(),
        "qos": lambda: qos.evaluate(6, 10) if small else qos.evaluate(),
    }
    if unknown := set(asked.models) - set(runs):
        parser.error(f"no model {', '.join(sorted(unknown))}; there are {', '.join(runs)}")
    print("| model | figure | value | 95 % interval | trivial baseline | goal | base rate, checks |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in asked.models or runs:
        started = time.process_time()
        for one in runs[name]():
            print(
                f"| {one.model} | {one.name} | {one.value:.3f} | {one.low:.3f} to {one.high:.3f} | {one.baseline} "
                f"| {one.goal} | {one.note} |",
                flush=True,
            )
        print(f"{name}: {time.process_time() - started:.0f} s of CPU", file=sys.stderr)


if __name__ == "__main__":
    main()
