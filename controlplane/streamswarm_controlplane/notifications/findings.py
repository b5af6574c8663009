"""What an evaluation found, before anybody is told."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from streamswarm_controlplane.notifications.events import Event, Severity
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.catalogue import Field

_DESCRIPTIVE = frozenset({"site", "target", "detector"})
"""Labels that may change while it is still the same thing that is wrong."""


class Verdict(Enum):
    """How something is. Unknown opens nothing and closes nothing: no data is never good."""

    BAD = "bad"
    GOOD = "good"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        event: kind of alert.
        labels: which thing; `agent`, `test` and `site` are those of its points.
        more: further labels that rules and silences may mean, such as the agent's own.
        verdict: how it is.
        severity: of the alert, if it is bad.
        summary: one line for a person.
        detail: more of it.
        value: what was measured, in `unit`.
        unit: base unit.
        declared: the field that it is about.
        expected: what an anomaly's value should have been.
        ending: why it is over, where that is not because all is well again.
    """

    event: Event
    labels: Mapping[str, str]
    verdict: Verdict
    severity: Severity = Severity.WARNING
    summary: str = ""
    detail: str = ""
    value: float | None = None
    unit: str = ""
    declared: Field | None = None
    expected: float | None = None
    ending: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """The same for the same thing, whatever it is called meanwhile."""
        identity = {key: value for key, value in self.labels.items() if value and key not in _DESCRIPTIVE}
        text = json.dumps([self.event, sorted(identity.items())], ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class KnownAgent:
    """An agent that is watched, by what it said of itself last.

    Attributes:
        site: where it is.
        labels: its own.
        queued: points that wait on it.
        clock: what is wrong with its clock, in words; "" if nothing is.
    """

    site: str
    labels: Mapping[str, str]
    queued: int
    clock: str

    @property
    def queue(self) -> str:
        """What its queue says of points that don't arrive."""
        if self.queued:
            return f"its points don't arrive: {self.queued:,} wait on it, its log says why"
        return "its points don't arrive, and none wait on it: its log says what it does"


@dataclass(frozen=True, slots=True)
class Subject:
    """An assignment that is watched.

    Attributes:
        agent: name of the agent.
        site: of the agent.
        test: key of the test.
        name: of the test.
        probe: of the test.
        target: of the test.
        test_plan: the test itself.
        limit: seconds without a point after which there is no data, for a test that is always going.
        since: when it was assigned or changed.
        unreachable: why nothing can be known of it now, such as an agent that is offline; else "".
        more: the agent's own labels.
    """

    agent: str
    site: str
    test: str
    name: str
    probe: str
    target: str
    test_plan: TestPlan
    limit: float
    since: datetime
    unreachable: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Agent and test, as in the tags."""
        return self.agent, self.test

    @property
    def labels(self) -> dict[str, str]:
        """For an alert."""
        labels = {"site": self.site, "agent": self.agent, "test": self.test, "target": self.target}
        return {key: value for key, value in labels.items() if value}


@dataclass(slots=True, kw_only=True)
class Look:
    """Everything that one evaluation saw.

    Attributes:
        findings: what was looked at.
        subjects: the assignments that are watched, by agent and test.
        agents: the agents that are watched, by name.
        unreachable: why nothing can be known of an agent's tests, by its name.
        undelivered: the same for an agent that is online, but of which nothing arrives.
        nothing: the same for all agents; "" if anything arrives.
        opened: event, agent and test of the alerts that were open before.
        since: since when agents could be heard.
        results_since: since when their results could be read, too.
    """

    since: datetime
    results_since: datetime
    findings: list[Finding] = field(default_factory=list)
    subjects: dict[tuple[str, str], Subject] = field(default_factory=dict)
    agents: dict[str, KnownAgent] = field(default_factory=dict)
    unreachable: dict[str, str] = field(default_factory=dict)
    undelivered: dict[str, str] = field(default_factory=dict)
    nothing: str = ""
    opened: set[tuple[str, str, str]] = field(default_factory=set)

    def matters(self, event: Event, subject: Subject, verdict: Verdict) -> bool:
        """Whether a finding changes anything: what is well and was well makes most of them, in large installations."""
        return verdict is Verdict.BAD or (event, *subject.key) in self.opened
