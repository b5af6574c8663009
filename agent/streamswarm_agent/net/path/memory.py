"""Whether a path is the same as before, where hops fall silent and load balancers choose."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_FORGET_AFTER_RUNS: Final = 20


def path_hash(hops: Sequence[str | None]) -> str:
    """A short name for a path.

    >>> path_hash(["192.0.2.1", None, "198.51.100.7"])
    '385ac1381fa86724'
    """
    text = " ".join(address or "*" for address in hops)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Change:
    """The first hop that differs, counted from 1, and who stood and stands there."""

    hop: int
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a run's path is to the one before it.

    Attributes:
        hash: names the path.
        known_before: there was a path to compare with.
        previous_hash: with a change, of the path before.
        change: where it differs.
    """

    hash: str
    known_before: bool
    previous_hash: str | None = None
    change: Change | None = None


@dataclass(slots=True)
class _Known:
    hash: str
    reached: bool
    hops: list[dict[str, int]] = field(default_factory=list)
    """At each hop the addresses that stand there, with the run that saw them last."""


class PathMemory:
    """The path of one assignment, kept from run to run.

    A hop differs when it answered in both runs and no address of one is among those of the other. So a silent hop is no
    change, nor is another branch of a hop that is known to be load-balanced. A path that ends early because the target
    does not answer is no change either: that is an outage.
    """

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._run = 0

    @property
    def hops(self) -> int | None:
        """Hops to the target, if it has answered."""
        return len(self._known.hops) if self._known is not None and self._known.reached else None

    def at(self, hop: int) -> str | None:
        """Who stands at a hop, counted from 1."""
        if self._known is None or not 0 < hop <= len(self._known.hops):
            return None
        return " ".join(sorted(self._known.hops[hop - 1])) or None

    def compare(self, path: Sequence[str | None], seen: Sequence[set[str]], *, reached: bool) -> Comparison:
        """Compare a run's path with the one known, and remember it.

        Args:
            path: the addresses of the constant flow, None for a silent hop.
            seen: all addresses seen at each hop, over all flows; as long as `path` or longer.
            reached: the last of them is the target.
        """
        self._run += 1
        known = self._known
        if known is None:
            self._remember(path, seen, reached=reached)
            return Comparison(path_hash(path), known_before=False)
        change = _first_difference(known, path, reached=reached)
        if change is not None:
            self._remember(path, seen, reached=reached)
            return Comparison(path_hash(path), known_before=True, previous_hash=known.hash, change=change)
        self._refine(known, seen)
        if reached and not known.reached:
            # The way is the same, and now all of it is known.
            known.hash, known.reached = path_hash(path), True
        return Comparison(known.hash, known_before=True)

    def _remember(self, path: Sequence[str | None], seen: Sequence[set[str]], *, reached: bool) -> None:
        hops = [dict.fromkeys(sorted(addresses), self._run) for addresses in seen[: len(path)]]
        self._known = _Known(path_hash(path), reached, hops)

    def _refine(self, known: _Known, seen: Sequence[set[str]]) -> None:
        for place, addresses in enumerate(seen):
            if place == len(known.hops):
                if known.reached:
                    break
                known.hops.append({})
            hop = known.hops[place]
            hop.update(dict.fromkeys(sorted(addresses), self._run))
            for address, run in list(hop.items()):
                if len(hop) > 1 and run <= self._run - _FORGET_AFTER_RUNS:
                    del hop[address]


def _first_difference(known: _Known, path: Sequence[str | None], *, reached: bool) -> Change | None:
    for number, (stood, stands) in enumerate(zip(known.hops, path, strict=False), start=1):
        if stood and stands and stands not in stood:
            return Change(number, " ".join(sorted(stood)), stands)
    if reached and len(path) < len(known.hops):
        # The target now answers where a router was, or where nobody did.
        return Change(len(path), " ".join(sorted(known.hops[len(path) - 1])) or "*", path[-1] or "*")
    # A target that is met later than before, with only silence where it stood, may have been there as well.
    return None
