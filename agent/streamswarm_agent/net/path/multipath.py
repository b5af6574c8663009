"""How many flows it takes to find every branch of a load-balanced path: the Multipath Detection Algorithm.

Augustin, Friedman, Teixeira, "Multipath tracing with Paris traceroute", E2EMON 2007; Veitch, Augustin, Teixeira,
Friedman, "Failure control in multipath route tracing", INFOCOM 2009. Behind each router at which flows arrive, enough
of them must have passed to be sure, at the wished confidence, that it has no further next hop.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache

Path = Sequence[str | None]
"""The addresses that one flow met, from the first hop on; None for a silent one."""


@cache
def flows_to_exclude_another(found: int, confidence: float) -> int:
    """Flows after which `found` next hops are all there are.

    With one more next hop, each equally likely, n flows would miss some hop with the probability of the coupon
    collector (inclusion and exclusion); the least n that keeps it within 1 - confidence is the stopping point.

    >>> [flows_to_exclude_another(found, 0.95) for found in range(1, 8)]
    [6, 11, 16, 21, 27, 33, 38]
    """
    hops, flows = found + 1, found + 1
    while _misses_one(hops, flows) > 1 - confidence:
        flows += 1
    return flows


def _misses_one(hops: int, flows: int) -> float:
    terms = ((-1.0) ** (left + 1) * math.comb(hops, left) * (1 - left / hops) ** flows for left in range(1, hops))
    return math.fsum(terms)


def flows_wanted(paths: Sequence[Path], confidence: float) -> int:
    """Flows still to try: the largest shortage behind any router, 0 when all branches are found.

    A hop that answers no flow has no branches that could be found. Flows whose router before the hop is not known,
    though it answers others, count for none of them.
    """
    wanted = 0
    for ttl in range(max(map(len, paths), default=0)):
        arrived = [path for path in paths if len(path) > ttl]
        silent_before = ttl == 0 or not any(path[ttl - 1] for path in arrived)
        behind: dict[str | None, list[str | None]] = {}
        for path in arrived:
            before = None if silent_before else path[ttl - 1]
            if silent_before or before is not None:
                behind.setdefault(before, []).append(path[ttl])
        wanted = max([wanted, *(_shortage(nexts, confidence) for nexts in behind.values())])
    return wanted


def _shortage(nexts: Sequence[str | None], confidence: float) -> int:
    found = set(nexts) - {None}
    return flows_to_exclude_another(len(found), confidence) - len(nexts) if found else 0


def branches(paths: Sequence[Path]) -> list[set[str]]:
    """The addresses seen at each hop, over all flows."""
    width = max(map(len, paths), default=0)
    return [{address for path in paths if len(path) > ttl and (address := path[ttl])} for ttl in range(width)]


def group_by_path(paths: Mapping[int, Path]) -> list[list[int]]:
    """The flows that took the same path, silent hops taken for equal; each flow is in the first group that it fits."""
    groups: list[tuple[list[str | None], list[int]]] = []
    for flow, path in paths.items():
        for known, flows in groups:
            if len(known) == len(path) and all(
                a is None or b is None or a == b for a, b in zip(known, path, strict=True)
            ):
                known[:] = [a or b for a, b in zip(known, path, strict=True)]
                flows.append(flow)
                break
        else:
            groups.append((list(path), [flow]))
    return [flows for _, flows in groups]
