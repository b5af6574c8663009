"""Paths with a hidden congestion, and what it does to classes; a breach is one of the hidden values."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from streamswarm_ml.qos.compliance import Policy
from streamswarm_ml.windows import WINDOW_NS, Reading, Window

DAY: Final = 288
POLICIES: Final = {
    "EF": Policy(max_rtt=0.1, max_jitter=0.02, max_loss=0.02),
    "AF41": Policy(max_rtt=0.12, max_jitter=0.03, max_loss=0.04),
    "BE": Policy(max_rtt=0.2, max_loss=0.1),
}
SENSITIVITY: Final = {"EF": 0.55, "AF41": 0.8, "BE": 1.0}


@dataclass(frozen=True)
class SimulatedPath:
    """One path: hidden breaches by class and window, and the readings."""

    breaches: dict[str, list[bool]]
    readings: list[list[Reading]]


def simulate(number: int, days: int, *, seed: int = 0) -> SimulatedPath:
    """Congestion is a daily wave, a slow wander and episodes that build up; every 50th window a class has no answer."""
    random = np.random.default_rng((seed, number, 31))
    base = random.uniform(0.02, 0.06)
    daily, level, phase = random.uniform(0.2, 0.9), random.uniform(0.1, 0.5), random.uniform(-0.6, 0.6)
    wander, episode, left = 0.0, 0.0, 0
    breaches: dict[str, list[bool]] = {name: [] for name in POLICIES}
    readings: list[list[Reading]] = []
    for window in range(days * DAY):
        wander = 0.97 * wander + random.normal(0, 0.06)
        if left == 0 and random.random() < 0.006:
            left = int(random.integers(4, 24))
        episode = min(episode + random.uniform(0.05, 0.3), 1.5) if left else episode * 0.6
        left = max(left - 1, 0)
        wave = max(math.sin(2 * math.pi * window / DAY + phase), 0.0)
        congestion = max(level + daily * wave + wander + episode, 0.0)
        here = []
        for name, policy in POLICIES.items():
            strain = congestion * SENSITIVITY[name]
            rtt = base * (1 + 1.6 * strain**2)
            jitter, loss = 0.004 * (1 + 2.5 * strain**2), 0.001 + 0.015 * max(strain - 0.4, 0.0) ** 2
            breaches[name].append(
                rtt > (policy.max_rtt or math.inf)
                or jitter > (policy.max_jitter or math.inf)
                or loss > (policy.max_loss or math.inf)
            )
            if random.random() < 0.02:
                continue
            tags = (
                ("agent", f"agent{number % 5}"),
                ("dscp", name),
                ("site", f"site{number % 5}"),
                ("target", f"path{number}"),
                ("test", f"qos{number}"),
            )
            values = {
                "rtt_mean": rtt * random.lognormal(0, 0.06),
                "jitter": jitter * random.lognormal(0, 0.12),
                "loss": random.binomial(200, min(loss, 0.9)) / 200,
            }
            here.append(Reading("qos_class", tags, values))
        readings.append(here)
    return SimulatedPath(breaches, readings)


def windows(paths: list[SimulatedPath]) -> list[Window]:
    """All paths together, window by window."""
    count = len(paths[0].readings)
    return [
        Window(index * WINDOW_NS, tuple(reading for path in paths for reading in path.readings[index]))
        for index in range(count)
    ]
