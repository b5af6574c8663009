"""Page–Hinkley and ADWIN at telling a new normal from an incident, inside the detector.

    python -m benchmarks.drift [--series 8] [--seeds 4000]

The series are those of `benchmarks/incidents.py`. A route change lasts a day or more and should become a new normal;
the others end within four hours, a leak within twelve, and should not. An anomaly is a new normal after as many points
without a change as `parameters.py` says, if a level has been reached; what tells a change is what differs. ADWIN is
River's, on the same deviations.
"""

import argparse
from collections.abc import Callable
from typing import Final

import numpy as np
from river.drift import ADWIN

from benchmarks.incidents import KINDS, series_of
from benchmarks.ml_vus import ranges_of
from streamswarm_ml.detectors import Ending, StreamDetector
from streamswarm_ml.detectors.drift import PageHinkley

_DAYS: Final = 10
_GRACE: Final = 10


class Adwin(PageHinkley):
    """River's ADWIN, asked in the same way."""

    __slots__ = ("_adwin",)

    def restart(self) -> None:
        """Forget everything."""
        super().restart()
        self._adwin = ADWIN()

    def changed(self, value: float) -> bool:
        """Whether ADWIN has cut its window."""
        self._adwin.update(value)
        self._mean = self._adwin.estimation
        return bool(self._adwin.drift_detected)


class Steady(PageHinkley):
    """Never a change: only time decides."""

    __slots__ = ()

    def changed(self, value: float) -> bool:
        """Never."""
        self._count += 1
        self._mean += (value - self._mean) / self._count
        return False


TESTS: Final[dict[str, Callable[[], PageHinkley]]] = {"Page–Hinkley": PageHinkley, "ADWIN": Adwin, "time": Steady}


def settled(make: Callable[[], PageHinkley], number: int, seed: int) -> tuple[int, int, list[int]]:
    """Incidents of a kind, those with a new normal told inside of them, and after how many points each was."""
    kind = KINDS[number]
    one = series_of(kind, kind.family, seed, _DAYS)
    detector = StreamDetector()
    detector._drift = make()  # noqa: SLF001 - there is no other way in
    told = [
        at
        for at, (value, time_ns) in enumerate(zip(one.values.tolist(), one.times_ns.tolist(), strict=True))
        if detector.update(value, time_ns).ending == Ending.NEW_NORMAL
    ]
    found = []
    for first, last in ranges_of(one.labels):
        inside = [at - first for at in told if first <= at <= last + _GRACE]
        found += inside[:1]
    return len(ranges_of(one.labels)), len(found), found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--series", type=int, default=8, help="of each kind")
    arguments.add_argument("--seeds", type=int, default=4000, help="what the numbers of the series begin with")
    options = arguments.parse_args()
    chosen = [
        n for n, kind in enumerate(KINDS) if kind.name in {"route change", "latency step", "slow leak", "flapping"}
    ]
    print(
        "| told by | "
        + " | ".join(KINDS[n].name for n in chosen)
        + " | points until a route change is told, and for nine of ten |"
    )
    print("| --- " * (len(chosen) + 2) + "|")
    for name, make in TESTS.items():
        cells, delays = [], []
        for number in chosen:
            runs = [settled(make, number, options.seeds + seed) for seed in range(options.series)]
            cells.append(f"{sum(run[1] for run in runs) / sum(run[0] for run in runs):.2f}")
            if KINDS[number].name == "route change":
                delays = [delay for run in runs for delay in run[2]]
        median, most = np.quantile(delays, [0.5, 0.9]) if delays else (np.nan, np.nan)
        print(f"| {name} | {' | '.join(cells)} | {median:.0f}, {most:.0f} |", flush=True)


if __name__ == "__main__":
    main()
