"""Whether a class keeps what it is promised."""

from dataclasses import dataclass

from streamswarm_core.dscp import dscp_name
from streamswarm_core.probespecs import ClassPolicy


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a class; None is what could not be.

    Attributes:
        loss: ratio.
        rtt: mean round-trip time, seconds.
        jitter: seconds.
        arrived_dscp: DSCP at the last hop that answered.
    """

    loss: float
    rtt: float | None = None
    jitter: float | None = None
    arrived_dscp: int | None = None


@dataclass(frozen=True, slots=True)
class Compliance:
    """The judgement.

    Attributes:
        kept: None if nothing is broken, but something promised could not be measured.
        violations: what is broken, in words.
    """

    kept: bool | None
    violations: tuple[str, ...]


def judge_policy(policy: ClassPolicy, measured: Measured, dscp: int) -> Compliance:
    """Hold a class against its policy.

    >>> judge_policy(ClassPolicy(max_rtt=0.1, max_loss=0.01), Measured(loss=0.05, rtt=0.02), 46).violations
    ('loss 5.0 % exceeds 1.0 %',)
    """
    unknown, violations = False, []
    for name, value, most in (
        ("round-trip time", measured.rtt, policy.max_rtt),
        ("jitter", measured.jitter, policy.max_jitter),
    ):
        if most is not None and value is None:
            unknown = True
        elif most is not None and value is not None and value > most:
            violations.append(f"{name} {value * 1e3:.3f} ms exceeds {most * 1e3:.3f} ms")
    if policy.max_loss is not None and measured.loss > policy.max_loss:
        violations.append(f"loss {measured.loss:.1%} exceeds {policy.max_loss:.1%}".replace("%", " %"))
    if policy.keep_marking and measured.arrived_dscp is None:
        unknown = True
    elif policy.keep_marking and measured.arrived_dscp != dscp:
        arrived = dscp_name(measured.arrived_dscp or 0)
        violations.append(f"{dscp_name(dscp)} arrives as {arrived}")
    kept = False if violations else None if unknown else True
    return Compliance(kept, tuple(violations))
