"""Anomalies that belong together: at the same time, of the same agent, target, test, site or hop."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streamswarm_core.clock import NANOSECONDS, from_ns

_SHARED: Final = ("target", "agent", "test", "hop", "address", "site")
"""Tags that make two anomalies at the same time one incident; the first is the strongest."""
_NEAR_NS: Final = 600 * NANOSECONDS
_LEAST_ALIKE: Final = 0.3
_MOST_ALIKE: Final = 3


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One series while it was in an anomaly.

    Attributes:
        measurement: of the series.
        field: of the series.
        tags: of the series.
        start_ns: first flagged moment, nanoseconds since the epoch.
        stop_ns: last flagged moment.
        score: the highest.
        value: at the highest score.
        expected: the detector's, then: the baseline it is compared with.
    """

    measurement: str
    field: str
    tags: Mapping[str, str]
    start_ns: int
    stop_ns: int
    score: float
    value: float | None = None
    expected: float | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """Anomalies that belong together, strongest first.

    Attributes:
        anomalies: its members.
        shared: the tag that most of them have in common, and its value.
        alike: past incidents that look like this one, with how much, 0..1.
    """

    anomalies: tuple[Anomaly, ...]
    shared: tuple[str, str]
    alike: tuple[tuple["Incident", float], ...] = ()

    @property
    def start_ns(self) -> int:
        """When the first began."""
        return min(one.start_ns for one in self.anomalies)

    @property
    def stop_ns(self) -> int:
        """When the last ended."""
        return max(one.stop_ns for one in self.anomalies)

    @property
    def signature(self) -> frozenset[tuple[str, str]]:
        """What it looks like: the fields that were unusual, and whose they were."""
        parts = {("field", f"{one.measurement}.{one.field}") for one in self.anomalies}
        return frozenset(parts | {(key, one.tags[key]) for one in self.anomalies for key in _SHARED if key in one.tags})

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        total = sum(one.score for one in self.anomalies) or 1.0
        return {
            "start": from_ns(self.start_ns).isoformat(),
            "stop": from_ns(self.stop_ns).isoformat(),
            "shared": {"tag": self.shared[0], "value": self.shared[1]},
            "anomalies": [
                {
                    "measurement": one.measurement,
                    "field": one.field,
                    "tags": dict(one.tags),
                    "start": from_ns(one.start_ns).isoformat(),
                    "stop": from_ns(one.stop_ns).isoformat(),
                    "score": one.score,
                    "share": one.score / total,
                    "value": one.value,
                    "baseline": one.expected,
                }
                for one in self.anomalies
            ],
            "alike": [{"start": from_ns(past.start_ns).isoformat(), "likeness": share} for past, share in self.alike],
        }


def group(anomalies: Iterable[Anomaly]) -> list[Incident]:
    """Put together what overlaps within ten minutes and shares a tag; newest incident first.

    An anomaly joins the incident with which it shares the strongest tag. A site alone joins no anomalies of different
    agents with different targets unless most of the site's are already there: sites are large.
    """
    groups: list[list[Anomaly]] = []
    for anomaly in sorted(anomalies, key=lambda one: one.start_ns):
        near = [found for found in groups if max(one.stop_ns for one in found) + _NEAR_NS >= anomaly.start_ns]
        ranked = [(rank, found) for found in near if (rank := _rank(anomaly, found)) is not None]
        if ranked:
            min(ranked, key=lambda item: item[0])[1].append(anomaly)
        else:
            groups.append([anomaly])
    incidents = [Incident(tuple(sorted(found, key=lambda one: -one.score)), _shared(found)) for found in groups]
    incidents.sort(key=lambda incident: incident.start_ns)
    return [_with_alike(incident, incidents[:index]) for index, incident in enumerate(incidents)][::-1]


def _rank(anomaly: Anomaly, found: Sequence[Anomaly]) -> int | None:
    for rank, key in enumerate(_SHARED):
        value = anomaly.tags.get(key)
        if not value:
            continue
        same = sum(one.tags.get(key) == value for one in found)
        if same > len(found) / 2 or (same and key in _SHARED[:2]):
            return rank
    return None


def _shared(found: Sequence[Anomaly]) -> tuple[str, str]:
    counts = Counter((key, one.tags[key]) for one in found for key in _SHARED if one.tags.get(key))
    if not counts:
        return "", ""
    return max(counts, key=lambda item: (counts[item], -_SHARED.index(item[0])))


def _with_alike(incident: Incident, past: Sequence[Incident]) -> Incident:
    """Jaccard likeness of what they look like."""
    mine = incident.signature
    ranked = [(other, len(mine & other.signature) / len(mine | other.signature)) for other in past]
    alike = sorted((item for item in ranked if item[1] >= _LEAST_ALIKE), key=lambda item: -item[1])[:_MOST_ALIKE]
    return Incident(incident.anomalies, incident.shared, tuple(alike))
