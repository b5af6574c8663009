"""Targets that fail, with and without warning; the truth is when a fault was injected, not what a rule says."""

import math
from dataclasses import dataclass

import numpy as np

from streamswarm_ml.windows import Reading

DAY = 288


@dataclass(frozen=True)
class Fault:
    """One injected failure.

    Attributes:
        start: first window.
        stop: first window after it.
        announced: whether something went before it.
    """

    start: int
    stop: int
    announced: bool


@dataclass(frozen=True)
class Device:
    """One target: what was measured (None for a missing window), and what was injected."""

    name: str
    readings: list[Reading | None]
    faults: list[Fault]


def simulate(device: int, days: int, *, seed: int = 0) -> Device:
    """A target with daily load, autocorrelated noise, 3 % of windows missing, failures, and false warnings.

    Three of four failures are announced: for 40 to 150 minutes before, loss, latency or jitter grow, each with a
    strength of its own, which may be none. More ramps of the same kind, but weaker on average, end without a failure.
    Bursts of loss and of latency come and go at any time. All of these begin at independent, uniform times.
    """
    random = np.random.default_rng((seed, device))
    windows = days * DAY
    latency = math.log(random.uniform(0.004, 0.18))
    noise, spread = random.uniform(0.05, 0.15), random.uniform(0.02, 0.1)
    extra, loss_extra, jitter_extra = np.zeros(windows), np.zeros(windows), np.zeros(windows)
    faults: list[Fault] = []
    failed = np.zeros(windows, dtype=bool)

    def ramp(start: int, length: int, low: float, high: float) -> None:
        begin = max(start - length, 0)
        shape = np.linspace(0.15, 1, length)[-(start - begin) :] if start > begin else np.zeros(0)
        extra[begin:start] += random.uniform(low, high) * (random.random() < 0.8) * shape * 0.5
        loss_extra[begin:start] += random.uniform(low, high) * (random.random() < 0.7) * shape * 0.06
        jitter_extra[begin:start] += random.uniform(low, high) * (random.random() < 0.7) * shape

    def add(start: int, *, announced: bool) -> bool:
        fault = Fault(start, start + int(random.integers(2, 12)), announced)
        free = not failed[fault.start - 2 : fault.stop + 2].any()
        if free:
            faults.append(fault)
            failed[fault.start : fault.stop] = True
        return free

    for start in random.choice(np.arange(40, windows - 40), size=int(days * 0.4)):
        if add(int(start), announced=True):
            ramp(int(start), int(random.integers(8, 30)), 0.4, 1.6)
    # Anywhere: a rest after other failures would make the time since the last one a warning.
    for start in random.choice(np.arange(40, windows - 40), size=int(days * 0.15)):
        add(int(start), announced=False)
    faults.sort(key=lambda fault: fault.start)
    for start in random.choice(np.arange(40, windows), size=int(days * 0.5)):
        ramp(int(start), int(random.integers(6, 24)), 0.1, 0.9)
    for start in random.choice(np.arange(windows), size=days * 2):
        loss_extra[start : start + 1 + int(random.integers(3))] += random.uniform(0.01, 0.12)
    for start in random.choice(np.arange(windows), size=days * 2):
        extra[start : start + 1 + int(random.integers(4))] += random.uniform(0.1, 0.6)

    drift = 0.0
    tags = (("agent", f"agent{device % 7}"), ("target", f"device{device}"), ("test", f"t{device}"))
    readings: list[Reading | None] = []
    for window in range(windows):
        drift = 0.9 * drift + random.normal(0, noise / 2)
        daily = 0.15 * math.sin(2 * math.pi * (window % DAY) / DAY)
        if random.random() < 0.03:
            readings.append(None)
            continue
        if failed[window]:
            hard = random.random() < 0.6
            values = {"up": 0.0, "loss": 1.0} if hard else {"up": 1.0, "loss": float(random.uniform(0.3, 0.9))}
            readings.append(Reading("icmp", tags, values))
            continue
        rtt = math.exp(latency + daily + drift + extra[window] + random.normal(0, noise / 2))
        jitter = rtt * spread * math.exp(random.normal(0, 0.3) + jitter_extra[window])
        lost = random.binomial(60, min(0.002 + max(loss_extra[window], 0), 0.24)) / 60
        readings.append(Reading("icmp", tags, {"up": 1.0, "rtt_mean": rtt, "jitter": jitter, "loss": lost}))
    return Device(f"device{device}", readings, faults)
