"""Whether a class of traffic gets what its policy says, with the values that say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Policy:
    """What a class is promised; None for nothing.

    Attributes:
        max_rtt: longest mean round-trip time, seconds.
        max_jitter: largest jitter, seconds.
        max_loss: largest share of requests lost.
    """

    max_rtt: float | None = None
    max_jitter: float | None = None
    max_loss: float | None = None


DEFAULT_POLICIES: Final[Mapping[str, Policy]] = {
    "EF": Policy(max_rtt=0.3, max_jitter=0.03, max_loss=0.01),
    "VA": Policy(max_rtt=0.3, max_jitter=0.03, max_loss=0.01),
    "AF41": Policy(max_rtt=0.3, max_jitter=0.05, max_loss=0.01),
    "AF42": Policy(max_rtt=0.3, max_jitter=0.05, max_loss=0.02),
    "AF43": Policy(max_rtt=0.3, max_jitter=0.05, max_loss=0.05),
}
"""For voice and video, after ITU-T G.114 (150 ms one way) and Y.1541; other classes are promised nothing."""


@dataclass(frozen=True, slots=True)
class Compliance:
    """What one window says of one class.

    Attributes:
        breached: whether it doesn't get what it is promised; None if nothing promised could be measured.
        evidence: what it doesn't keep, in words; empty if it keeps all.
        nearness: for each promise that was measured, value over limit: 1 is the limit.
    """

    breached: bool | None
    evidence: str
    nearness: Mapping[str, float]


def judge(values: Mapping[str, float], policy: Policy) -> Compliance:
    """Hold a window of `qos_class` against the policy.

    The probe's own verdict goes first, where the test has a policy: it knows more, such as the marking.

    >>> judge({"rtt_mean": 0.4, "loss": 0.0}, Policy(max_rtt=0.3, max_loss=0.01)).evidence
    'rtt_mean 0.4 is above 0.3'
    >>> judge({"loss": 0.0}, Policy(max_rtt=0.3)).breached is None
    True
    """
    limits = {"rtt_mean": policy.max_rtt, "jitter": policy.max_jitter, "loss": policy.max_loss}
    nearness, broken = {}, []
    for name, limit in limits.items():
        value = values.get(name)
        if limit is None or value is None:
            continue
        nearness[name] = value / limit if limit > 0 else float(value > 0) * 2
        if value > limit:
            broken.append(f"{name} {value:.3g} is above {limit:.3g}")
    said = values.get("compliant")
    if said is not None:
        if said < 1 and not broken:
            broken.append(f"the probe says so in {1 - said:.0%} of its runs".replace("%", " %"))
        return Compliance(said < 1, ", ".join(broken) if said < 1 else "", nearness)
    return Compliance(bool(broken) if nearness else None, ", ".join(broken), nearness)
