"""Looks whether tests are beyond their thresholds."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from streamswarm_controlplane.notifications.events import Event, Severity
from streamswarm_controlplane.notifications.findings import Finding, Look, Subject, Verdict
from streamswarm_core import thresholds
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.clock import NANOSECONDS, to_ns
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reader import Condition, Reader, Select
from streamswarm_core.thresholds import Sample, Threshold, UnknownField, judge, resolve

_LOOKS_A_WINDOW: Final = 20
_VERDICTS: Final = {
    thresholds.Verdict.OK: Verdict.GOOD,
    thresholds.Verdict.UNKNOWN: Verdict.UNKNOWN,
    thresholds.Verdict.DEGRADED: Verdict.BAD,
    thresholds.Verdict.BAD: Verdict.BAD,
}


@dataclass(frozen=True, slots=True)
class _Values:
    """What one of the things that a run measures has had of late.

    Attributes:
        which: in words, such as `path /var`; "" where a run has one point.
        samples: its values by `measurement.field`.
    """

    which: str
    samples: Mapping[str, Sequence[Sample]]


class ThresholdWatch:
    """Reads the values of tests that have thresholds, twenty times in the longest window of each test.

    A test with a window of a day would else have its whole day read every few seconds.
    """

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def look(self, look: Look, reader: Reader, at: datetime) -> Iterator[Finding]:
        """What is beyond its limits and what isn't; nothing of tests that are not looked at this time.

        Raises:
            Unavailable: the store can't be reached.
            Refused: the store doesn't take the question.
        """
        by_test: dict[str, list[Subject]] = defaultdict(list)
        for subject in look.subjects.values():
            if subject.test_plan.thresholds:
                by_test[subject.test].append(subject)
        for test, subjects in by_test.items():
            if at.timestamp() < self._next.get(test, 0.0):
                continue
            limits = [Threshold.model_validate(one) for one in subjects[0].test_plan.thresholds]
            values = _read(reader, subjects[0], limits, at)
            for subject in subjects:
                yield from _judge(subject, limits, values.get(subject.agent, []), at)
            self._next[test] = at.timestamp() + max(one.window for one in limits) / _LOOKS_A_WINDOW
        self._next = {test: moment for test, moment in self._next.items() if test in by_test}


def _read(
    reader: Reader, subject: Subject, limits: Sequence[Threshold], at: datetime
) -> Mapping[str, Sequence[_Values]]:
    """The values of all series that the limits are about, by agent."""
    spec = SPECS[subject.probe]
    wanted: dict[str, dict[str, float]] = defaultdict(dict)
    for limit in limits:
        try:
            measurement, field = resolve(spec, limit)
        except UnknownField:
            continue
        # A window of 0 takes the newest value, unless that is too old to say anything.
        seconds = max(limit.window or subject.limit, wanted[measurement.name].get(field.name, 0.0))
        wanted[measurement.name][field.name] = seconds
    found: dict[str, list[_Values]] = defaultdict(list)
    for measurement_name, fields in wanted.items():
        # Tags that the probe's first measurement has too, such as the family, tell how a run went, not of what it is.
        things = [tag for tag in CATALOGUE[measurement_name].tags if tag not in spec.measurements[0].tags]
        statement = Select(
            measurement_name,
            list(fields),
            start_ns=to_ns(at) - int(max(fields.values()) * NANOSECONDS),
            stop_ns=to_ns(at) + 1,
            where=[Condition("test", subject.test)],
            group_by=("agent", *things),
        )
        for series in reader.select(statement):
            samples: dict[str, list[Sample]] = defaultdict(list)
            for record in series.records():
                time = int(record["time"] or 0) / NANOSECONDS
                for name in fields:
                    value = record[name]
                    if isinstance(value, int | float):
                        samples[f"{measurement_name}.{name}"].append(Sample(time, float(value)))
            which = ", ".join(f"{tag} {series.tags[tag]}" for tag in things if series.tags.get(tag))
            found[series.tags.get("agent", "")].append(_Values(which, samples))
    return found


def _judge(subject: Subject, limits: Sequence[Threshold], values: Sequence[_Values], at: datetime) -> Iterator[Finding]:
    """One finding for each field: the worst of its thresholds."""
    worst: dict[str, Finding] = {}
    for limit in limits:
        try:
            found = _of_limit(subject, limit, values, at)
        except UnknownField:  # a probe that lost a field since; the test's own page says so
            continue
        known = worst.get(found.fingerprint)
        if known is None or _badness(found) > _badness(known):
            worst[found.fingerprint] = found
    yield from worst.values()


def _of_limit(subject: Subject, limit: Threshold, values: Sequence[_Values], at: datetime) -> Finding:
    """The worst of a field's series. Each is judged by itself: a disk is full, however many others have room."""
    found = [(one.which, _finding(subject, limit, one.samples, at)) for one in values]
    # What has gone, such as a file system that isn't mounted any more, says nothing.
    known = [(which, finding) for which, finding in found if finding.verdict is not Verdict.UNKNOWN]
    if not known:
        return _finding(subject, limit, {}, at)
    which, worst = max(known, key=lambda one: (_badness(one[1]), _far(limit, one[1])))
    beyond = sum(finding.verdict is Verdict.BAD for _, finding in known)
    if not which or not beyond:
        return worst
    others = f"; {beyond} of {len(known)} are beyond a limit" if beyond > 1 else ""
    return replace(worst, detail=f"{which}: {worst.detail}{others}")


def _finding(subject: Subject, limit: Threshold, samples: Mapping[str, Sequence[Sample]], at: datetime) -> Finding:
    spec = SPECS[subject.probe]
    measurement, field = resolve(spec, limit)
    judgement = judge(spec, [limit], samples, at=at.timestamp())
    finding = Finding(
        Event.THRESHOLD,
        {**subject.labels, "measurement": measurement.name, "field": field.name},
        _VERDICTS[judgement.verdict],
        Severity.CRITICAL if judgement.verdict is thresholds.Verdict.BAD else Severity.WARNING,
        summary=f"{measurement.name}.{field.name} of {subject.name} on {subject.agent} is {judgement.verdict}",
        unit=field.unit.name,
        more=subject.more,
    )
    if not judgement.findings:
        return finding
    (only,) = judgement.findings
    return replace(finding, detail=only.message, value=only.worst)


def _far(limit: Threshold, finding: Finding) -> float:
    value = finding.value or 0.0
    return value if limit.comparison.grows else -value


def _badness(finding: Finding) -> tuple[int, int]:
    order = [Verdict.GOOD, Verdict.UNKNOWN, Verdict.BAD]
    return order.index(finding.verdict), list(Severity).index(finding.severity)
