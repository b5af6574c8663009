from collections.abc import Mapping
from typing import Final

_MOST_NAMED: Final = 3
_LEAST_SHARE: Final = 0.05


def leading(contributions: Mapping[str, float]) -> list[tuple[str, float]]:
    """The inputs that moved a result most, with their share of all movement, signed; small ones are left out.

    Args:
        contributions: how much each input moved the result, in one unit.

    >>> leading({"a": -6.0, "b": 3.0, "c": 0.0, "d": 1.0})
    [('a', -0.6), ('b', 0.3), ('d', 0.1)]
    """
    total = sum(abs(value) for value in contributions.values())
    if total == 0:
        return []
    ranked = sorted(contributions.items(), key=lambda item: -abs(item[1]))
    return [(name, value / total) for name, value in ranked[:_MOST_NAMED] if abs(value) / total >= _LEAST_SHARE]


def leading_text(contributions: Mapping[str, float]) -> str | None:
    """The same for a person to read; None if nothing moved the result.

    >>> leading_text({"loss": 3.0, "rtt_mean": -1.0})
    'loss +75 %, rtt_mean -25 %'
    """
    return ", ".join(f"{name} {share:+.0%}".replace("%", " %") for name, share in leading(contributions)) or None
