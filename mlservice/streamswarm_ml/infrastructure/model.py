"""Whether the agent's own host or link explains a bad result, or something beyond them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_core.catalogue.predictions import CAUSE
from streamswarm_core.point import Point
from streamswarm_ml.explain.contributions import leading_text
from streamswarm_ml.infrastructure.agents import AgentPast, Agents, Result
from streamswarm_ml.infrastructure.correlation import lagged_partial
from streamswarm_ml.infrastructure.places import OWN, PLACE_OF, PLACES, Place
from streamswarm_ml.labelled import LabelledClassifier
from streamswarm_ml.prequential import Tally
from streamswarm_ml.signals import Features
from streamswarm_ml.windows import WINDOW_NS, Reading, Window

_LATE: Final = 3
_STRONG: Final = 5.0
_MOST: Final = 0.6
_REMEMBERED: Final = 288

Entity = tuple[Place, str]
"""What is at fault: a place, and whose: an agent's, a site's or a target's name."""


class UnknownResultError(LookupError):
    """A label for a result that wasn't bad, or isn't remembered any more."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is thought of one bad result.

    Attributes:
        reading: the result.
        features: what it was judged by.
        rule: what the plain rule says.
        chances: of each place.
        evidence: in words, with values.
    """

    reading: Reading
    features: Features
    rule: Place
    chances: list[float]
    evidence: str

    @property
    def place(self) -> Place:
        """The likeliest."""
        return PLACES[self.chances.index(max(self.chances))]

    def entity(self, place: Place) -> Entity:
        """Whose place it would be."""
        key = {Place.UPLINK: "site", Place.REMOTE: "target"}.get(place, "agent")
        return place, self.reading.tag(key)


@dataclass(slots=True)
class InfrastructureModel:
    """One classifier for all agents, on evidence that compares across them.

    Attributes:
        classifier: begins as the plain rule, learns what operators say.
        tally: log loss on the labels beside the rule's.
    """

    classifier: LabelledClassifier = field(default_factory=lambda: LabelledClassifier(PLACES))
    tally: Tally = field(default_factory=lambda: Tally("log loss", ("plain rule",)))
    _agents: Agents = field(default_factory=Agents)
    _findings: dict[int, list[Finding]] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Labels learned."""
        return self.classifier.samples

    def observe(self, window: Window) -> list[Point]:
        """Look for the cause of every bad result of the window."""
        return [self._point(finding, window) for finding in self.step(window)]

    def step(self, window: Window) -> list[Finding]:
        """The same as findings; they are remembered for a day, for labels."""
        self._agents.update(window)
        findings = [
            self._find(past, result) for past in self._agents.pasts.values() for result in past.now if result.bad
        ]
        self._findings[window.index] = findings
        for old in [index for index in self._findings if index <= window.index - _REMEMBERED]:
            del self._findings[old]
        return findings

    def suspects(self, since: int) -> list[tuple[Entity, float]]:
        """What is most likely at fault for the bad results since a window, of the last day; see `localise`."""
        remembered = self._findings.copy()
        return localise(finding for index, found in remembered.items() if index >= since for finding in found)

    def label(self, measurement: str, tags: Mapping[str, str], time_ns: int, place: Place) -> None:
        """Learn where an operator says that a bad result came from.

        Raises:
            UnknownResultError: no bad result of this series at that time is remembered.
        """
        key = (measurement, tuple(sorted(tags.items())))
        for finding in self._findings.get(time_ns // WINDOW_NS, ()):
            if (finding.reading.measurement, finding.reading.tags) == key:
                self.learn(finding, place, time_ns=time_ns)
                return
        raise UnknownResultError("no bad result of this series at that time is remembered; labels reach back one day")

    def learn(self, finding: Finding, place: Place, *, time_ns: int) -> None:
        """Score a finding against a label, then learn the label."""
        mine, rule = self.classifier.losses(finding.features, finding.rule, place)
        self.tally.add(mine, (rule,), time_ns=time_ns)
        self.classifier.learn(finding.features, finding.rule, place)

    def forget(self, before: int) -> None:
        """Drop what is kept of series that have had no point since a window."""
        self._agents.forget(before)

    def report(self) -> Mapping[str, Any]:
        """Figures, JSON-ready."""
        return {"labels": self.samples, "learned_weight": self.classifier.weight, **self.tally.report()}

    def _find(self, past: AgentPast, result: Result) -> Finding:
        features = {**self._own(past), **self._others(past, result)}
        rule = plain_rule(features)
        chances = _possible(past, self.classifier.chances(features, rule))
        return Finding(result.reading, features, rule, chances, _evidence(past, features))

    @staticmethod
    def _own(past: AgentPast) -> Features:
        features: Features = {}
        for place in OWN:
            series = past.places[place]
            late = [*series][-_LATE:]
            features[f"{place}"] = sum(late) / len(late)
            features[f"{place}, peak"] = max(late)
            features[f"{place}, correlation"] = lagged_partial([*series], [*past.results], [*past.traffic])
            features[f"{place}, strong and correlated"] = (
                min(features[f"{place}, peak"], _STRONG) * features[f"{place}, correlation"]
            )
        return features

    def _others(self, past: AgentPast, result: Result) -> Features:
        target, agent = result.reading.tag("target"), result.reading.tag("agent")
        own = [one.bad for one in past.now if one.reading.tag("target") != target]
        same_site, same_target, elsewhere = [], [], []
        for name, other in self._agents.pasts.items():
            if name == agent:
                continue
            for one in other.now:
                here = bool(past.site) and other.site == past.site
                same = one.reading.tag("target") == target
                if here and not same:
                    same_site.append(one.bad)
                if same and not here:
                    same_target.append(one.bad)
                if not here and not same:
                    elsewhere.append(one.bad)
        return {
            "own other targets bad": _share(own),
            "site's other targets bad": _share(same_site),
            "others see the target bad": _share(same_target) - _share(elsewhere),
            "only this target": float(_share(own) == 0),
            "all of the site": float(_share(own) > _MOST and _share(same_site) > _MOST),
            "only this agent": float(_share(own) > _MOST and _share(same_site) < 1 - _MOST),
        }

    def _point(self, finding: Finding, window: Window) -> Point:
        chance = dict(zip(PLACES, finding.chances, strict=True))
        because = self.classifier.contributions(finding.features, finding.place) if self.samples else {}
        return CAUSE.point(
            {**dict(finding.reading.tags), "measurement": finding.reading.measurement},
            time_ns=window.start_ns,
            place=finding.place.value,
            confidence=chance[finding.place],
            own=sum(chance[place] for place in OWN),
            evidence=finding.evidence,
            learned=self.samples,
            skill=self.tally.skill,
            because=leading_text(because),
        )


def plain_rule(features: Features) -> Place:
    """Without any label: what most others see is remote, what the whole site sees the uplink, else the worst metric."""
    if features["others see the target bad"] > 0.5:
        return Place.REMOTE
    if features["all of the site"]:
        return Place.UPLINK
    worst = max(OWN, key=lambda place: features[f"{place}, peak"])
    return worst if features[f"{worst}, peak"] >= _STRONG else Place.REMOTE


def localise(findings: Iterable[Finding]) -> list[tuple[Entity, float]]:
    """What is most likely at fault for all of these together, with its share of the votes, likeliest first.

    Each finding votes for each place by its chance; what many agents blame gets many votes.
    """
    votes: dict[Entity, float] = {}
    for finding in findings:
        for place, chance in zip(PLACES, finding.chances, strict=True):
            entity = finding.entity(place)
            votes[entity] = votes.get(entity, 0.0) + chance
    total = sum(votes.values())
    return sorted(((entity, vote / total) for entity, vote in votes.items()), key=lambda item: -item[1])


def _possible(past: AgentPast, chances: list[float]) -> list[float]:
    """Rule out a kind of link that the host, as it says, doesn't have; a host that says nothing may have any."""
    known = {PLACE_OF[measurement, name] for measurement, name, _ in past.usual}
    ruled_out = known and Place.WIFI not in known
    left = [0.0 if ruled_out and place is Place.WIFI else chance for place, chance in zip(PLACES, chances, strict=True)]
    return [chance / sum(left) for chance in left]


def _share(found: list[bool]) -> float:
    return sum(found) / len(found) if found else 0.0


def _evidence(past: AgentPast, features: Features) -> str:
    parts = []
    for place in OWN:
        distance, name, value = past.worst(place)
        if distance >= 3:
            correlation = features[f"{place}, correlation"]
            parts.append(f"{name} is {value:.3g}, {distance:.1f} usual deviations worse, correlation {correlation:.2f}")
    site = features["site's other targets bad"]
    parts += [
        f"{features['own other targets bad']:.0%} of this agent's other targets are bad",
        f"{site:.0%} of the site's other agents' results are bad",
        f"{max(features['others see the target bad'], 0):.0%} more of other sites see this target bad than others",
    ]
    return "; ".join(parts).replace("%", " %")
