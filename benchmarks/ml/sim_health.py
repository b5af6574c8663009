"""Targets with a hidden state; what is measured depends on it through noise, load, distance and gaps."""

import math
from dataclasses import dataclass

import numpy as np

from streamswarm_ml.health.rule import STATES, State
from streamswarm_ml.windows import Reading

DAY = 288


@dataclass(frozen=True)
class Device:
    """One target: what was measured (None for a missing window), and its hidden state."""

    readings: list[Reading | None]
    states: list[State]


def simulate(device: int, days: int, *, seed: int = 0) -> Device:
    """A Markov chain of three states, with stays of about half a day, three hours and an hour and a half.

    Degraded and bad each slow the path, lose packets or upset the jitter, with a mix of the three drawn anew for every
    episode, so no signal alone tells. Distances differ by a factor of 40, daily load by target; a tenth of the
    windows hold a burst that means nothing, 5 % are missing.
    """
    random = np.random.default_rng((seed, device, 7))
    latency, noise = math.log(random.uniform(0.006, 0.25)), random.uniform(0.03, 0.1)
    load, spread = random.uniform(0.05, 0.3), random.uniform(0.03, 0.1)
    tags = (("agent", f"agent{device % 7}"), ("target", f"device{device}"), ("test", f"t{device}"))
    state, mix, drift = 0, np.zeros(3), 0.0
    leave = (1 / 144, 1 / 36, 1 / 18)
    readings: list[Reading | None] = []
    states = []
    for window in range(days * DAY):
        if random.random() < leave[state]:
            state = int(
                random.choice([s for s in range(3) if s != state], p=[0.75, 0.25] if state == 0 else [0.6, 0.4])
            )
            mix = random.dirichlet([2.0, 2.0, 2.0]) * 3
        states.append(STATES[state])
        drift = 0.9 * drift + random.normal(0, noise / 2)
        if random.random() < 0.05:
            readings.append(None)
            continue
        strength = (0.0, 1.0, 2.4)[state] * random.lognormal(0, 0.3)
        burst = random.random() < 0.1
        extra = 0.22 * strength * mix[0] + burst * random.uniform(0, 0.6)
        lossy = 0.003 + 0.022 * strength * mix[1] + burst * random.uniform(0, 0.05)
        shaky = 0.5 * strength * mix[2] + burst * random.uniform(0, 1)
        daily = load * math.sin(2 * math.pi * (window % DAY) / DAY)
        rtt = math.exp(latency + daily + drift + extra + random.normal(0, noise))
        values = {
            "up": 1.0,
            "rtt_mean": rtt,
            "jitter": rtt * spread * math.exp(random.normal(0, 0.3) + shaky),
            "loss": random.binomial(60, min(lossy, 0.9)) / 60,
        }
        readings.append(Reading("icmp", tags, values))
    return Device(readings, states)
