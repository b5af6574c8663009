"""A network of agents with faults injected at a host, a WiFi link, a card, a site's uplink or a target."""

import math
from dataclasses import dataclass

import numpy as np

from streamswarm_ml.infrastructure.places import PLACES, Place
from streamswarm_ml.windows import WINDOW_NS, Reading, Window

DAY = 288
SITES, AGENTS_A_SITE, TARGETS = 6, 4, 8


@dataclass(frozen=True)
class Fault:
    """One injected fault.

    Attributes:
        place: where.
        name: of the agent, site or target.
        start: first window.
        stop: first window after it.
        strength: how much it slows and loses.
        shape: how it shows, 0..1: which metrics of the place move, and how much of the harm is delay.
        lag: windows from the metric to the result.
        visible: how much the host's metrics tell of it.
    """

    place: Place
    name: str
    start: int
    stop: int
    strength: float
    shape: float
    lag: int
    visible: float


def site_of(agent: str) -> str:
    """The site of an agent."""
    return f"site{int(agent.removeprefix('agent')) // AGENTS_A_SITE}"


def has_wifi(agent: str) -> bool:
    """Whether it is on WiFi: every other one."""
    return int(agent.removeprefix("agent")) % 2 == 0


def simulate(days: int, *, seed: int = 0) -> tuple[list[Window], list[Fault]]:
    """All windows, and the truth.

    Confounders: daily load moves processors, traffic and delay together; backups keep a host busy without harming a
    result; signals fade and cards drop packets without harm; while another fault lasts, one agent in four is also busy.
    One reading in ten of the host is missing, and each fault moves only some metrics of its place, some of them hardly,
    up to two windows before it shows in the results. Faults may overlap.
    """
    random = np.random.default_rng((seed, 21))
    windows = days * DAY
    agents = [f"agent{number}" for number in range(SITES * AGENTS_A_SITE)]
    names = {
        Place.HOST: agents,
        Place.WIFI: [agent for agent in agents if has_wifi(agent)],
        Place.NIC: agents,
        Place.UPLINK: [f"site{number}" for number in range(SITES)],
        Place.REMOTE: [f"target{number}" for number in range(TARGETS)],
    }
    each = {Place.HOST: 5, Place.WIFI: 5, Place.NIC: 5, Place.UPLINK: 2, Place.REMOTE: 2}
    faults = []
    for place in PLACES:
        for _ in range(each[place] * days):
            start = int(random.integers(DAY // 2, windows - 30))
            stop = start + int(random.integers(3, 20))
            lag = int(random.integers(0, 3)) if place in {Place.HOST, Place.WIFI, Place.NIC} else 0
            name = str(random.choice(names[place]))
            faults.append(
                Fault(place, name, start, stop, random.uniform(0.6, 1.6), random.random(), lag, random.uniform(0.05, 1))
            )
    measured = {agent: sorted(random.choice(TARGETS, size=6, replace=False)) for agent in agents}
    distance = {(agent, target): random.uniform(-4.5, -1.8) for agent in agents for target in range(TARGETS)}
    load = {agent: random.uniform(0.1, 0.4) for agent in agents}
    starts: dict[int, list[Fault]] = {}
    for fault in faults:
        starts.setdefault(fault.start, []).append(fault)
    active: list[Fault] = []
    busy: dict[str, int] = {}
    made = []
    for window in range(windows):
        active = [fault for fault in active if fault.stop + 2 > window] + starts.get(window, [])
        day = 0.5 + 0.5 * math.sin(2 * math.pi * window / DAY)
        readings: list[Reading] = []
        for agent in agents:
            if random.random() < (0.25 / 6 if active else 0.01):
                busy[agent] = window + int(random.integers(2, 12))
            readings += _host(random, agent, window, active, day * load[agent], is_busy=busy.get(agent, 0) > window)
            readings += [
                _result(random, agent, int(target), window, active, distance[agent, int(target)], day)
                for target in measured[agent]
            ]
        made.append(Window(window * WINDOW_NS, tuple(readings)))
    return made, faults


def harms(fault: Fault, agent: str, target: str, window: int) -> bool:
    """Whether a fault harms this result in this window."""
    if not fault.start + fault.lag <= window < fault.stop + fault.lag:
        return False
    return fault.name in {agent, site_of(agent), target}


def _host(
    random: np.random.Generator, agent: str, window: int, active: list[Fault], load: float, *, is_busy: bool
) -> list[Reading]:
    own = {fault.place: fault for fault in active if fault.name == agent and fault.start <= window < fault.stop}
    tags = (("agent", agent), ("site", site_of(agent)), ("test", "system"))
    usage = 0.15 + load + is_busy * random.uniform(0.2, 0.6) + random.normal(0, 0.05)
    steal, some, drops = random.exponential(0.01), random.exponential(0.01) + is_busy * 0.05, 0.0
    if fault := own.get(Place.HOST):
        told = fault.strength * fault.visible
        usage += 0.5 * told * (fault.shape < 0.7)
        steal += 0.1 * told * (fault.shape > 0.5)
        some += 0.12 * told * random.uniform(0.3, 1)
        drops += 2 * told * (fault.shape > 0.8)
    errors, crc, changes = random.poisson(0.05) / 10, 0.0, 0.0
    if random.random() < 0.03:
        errors += random.uniform(0, 3)
    if fault := own.get(Place.NIC):
        told = fault.strength * fault.visible
        errors += 2 * told * (fault.shape < 0.6) * random.uniform(0.2, 1)
        crc += 1.5 * told * (fault.shape > 0.4) * random.uniform(0.2, 1)
        changes += random.poisson(0.5 * told) / 10
    readings = [
        Reading("host_cpu", tags, {"usage": min(max(usage, 0), 1), "steal": steal, "backlog_drops": drops}),
        Reading("host_pressure", (*tags, ("resource", "cpu")), {"some": min(some, 1.0)}),
        Reading(
            "host_net",
            (*tags, ("interface", "eth0")),
            {
                "received": 1e6 * (0.2 + load) * random.lognormal(0, 0.3),
                "drops_in": errors,
                "crc_errors": crc,
                "carrier_changes": changes,
            },
        ),
    ]
    if has_wifi(agent):
        signal, retries = -58 + random.normal(0, 3) - 12 * (random.random() < 0.05), 0.1 + random.exponential(0.05)
        if fault := own.get(Place.WIFI):
            signal -= 14 * fault.strength * fault.visible * (fault.shape < 0.7)
            retries += 0.5 * fault.strength * fault.visible * (fault.shape > 0.3) * random.uniform(0.4, 1)
        readings.append(
            Reading("host_wifi", (*tags, ("interface", "wlan0")), {"signal": signal, "retry_share": retries})
        )
    return [reading for reading in readings if random.random() > 0.1]


def _result(
    random: np.random.Generator, agent: str, number: int, window: int, active: list[Fault], distance: float, day: float
) -> Reading:
    target = f"target{number}"
    delay, loss = 0.1 * day + random.normal(0, 0.06), 0.002
    if random.random() < 0.01:
        delay += random.uniform(0.2, 0.9)
    for fault in active:
        # A weak fault harms some results more than others.
        if harms(fault, agent, target, window):
            strength = fault.strength * random.uniform(0.4, 1.2)
            delay += 0.6 * strength * fault.shape
            loss += 0.12 * strength * (1 - fault.shape)
    rtt = math.exp(distance + delay)
    tags = (("agent", agent), ("site", site_of(agent)), ("target", target), ("test", f"ping {target}"))
    lost = random.binomial(60, min(loss, 0.95)) / 60
    return Reading("icmp", tags, {"up": 1.0, "rtt_mean": rtt, "jitter": rtt * random.uniform(0.02, 0.08), "loss": lost})
