"""What the ML service flags, and how it reads while it lasts and once it is over."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from streamswarm_controlplane.notifications.events import Event, Severity
from streamswarm_controlplane.notifications.findings import Finding, Look, Subject, Verdict
from streamswarm_core.catalogue import CATALOGUE, Field
from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.catalogue.path import TRACEROUTE
from streamswarm_core.clock import NANOSECONDS, from_ns, to_ns
from streamswarm_core.reader import Reader, Select, Series
from streamswarm_core.wording import format_value

NEW_NORMAL: Final = "new normal: it stayed as it is"
_ABOUT_THE_SAME: Final = 0.1
_SECONDS: Final = 900
_ABOUT_SERIES: Final = frozenset({"agent", "site", "test", "target", "detector", "measurement", "field"})


def look_at_anomalies(look: Look, reader: Reader, at: datetime) -> Iterable[Finding]:
    """Series that a detector flags; while several detectors watch a series, one that flags it is enough."""
    worst: dict[str, Finding] = {}
    for series in _newest(reader, ["flag", "score", "threshold", "expected", "value", "view"], at):
        subject = look.subjects.get((series.tags.get("agent", ""), series.tags.get("test", "")))
        if subject is None:
            continue
        found = _anomaly(subject, series.tags, next(series.records()))
        known = worst.get(found.fingerprint)
        if known is None or found.verdict is Verdict.BAD:
            worst[found.fingerprint] = found
    if any(event == Event.ANOMALY for event, _, _ in look.opened):
        for fingerprint in _normal_now(look, reader, at) & worst.keys():
            worst[fingerprint] = replace(worst[fingerprint], ending=NEW_NORMAL)
    if any(one.verdict is Verdict.BAD for one in worst.values()):
        ways = _new_ways(reader, at)
        for fingerprint, one in worst.items():
            if way := ways.get((one.labels.get("agent", ""), one.labels.get("target", ""))):
                worst[fingerprint] = replace(one, detail=f"{one.detail}; {way}")
    return worst.values()


def _new_ways(reader: Reader, at: datetime) -> dict[tuple[str, str], str]:
    """In words, where the way from an agent to a target has become another one of late: often the cause of the rest."""
    statement = Select(
        TRACEROUTE.name,
        ["changed_hop", "changed_from", "changed_to"],
        start_ns=to_ns(at) - _SECONDS * NANOSECONDS,
        stop_ns=to_ns(at) + 1,
        group_by=("agent", "target"),
        descending=True,
        limit=1,
    )
    found = {}
    for series in reader.select(statement):
        for record in series.records():
            hops = f": {record['changed_from']} → {record['changed_to']}" if record["changed_to"] else ""
            told = f"the way there changed at {from_ns(int(record['time'] or 0)):%H:%M:%S} UTC"
            where = f" at hop {record['changed_hop']:.0f}{hops}" if record["changed_hop"] else ""
            found[series.tags.get("agent", ""), series.tags.get("target", "")] = told + where
    return found


def _normal_now(look: Look, reader: Reader, at: datetime) -> set[str]:
    """Series whose last anomaly ended because they stayed where they went."""
    found = set()
    for series in _newest(reader, ["kind"], at):
        subject = look.subjects.get((series.tags.get("agent", ""), series.tags.get("test", "")))
        record = next(series.records())
        if subject is not None and record["kind"] == "new normal":
            found.add(_anomaly(subject, series.tags, record).fingerprint)
    return found


def _newest(reader: Reader, fields: list[str], at: datetime) -> Iterable[Series]:
    statement = Select(
        ANOMALY.name,
        fields,
        start_ns=to_ns(at) - _SECONDS * NANOSECONDS,
        stop_ns=to_ns(at) + 1,
        group_by=("*",),
        descending=True,
        limit=1,
    )
    return (series for series in reader.select(statement) if series.rows)


def farthest(known: float | None, finding: Finding) -> float | None:
    """Of the values that an anomaly has had so far and the newest, the one that is off most, for the worse."""
    if known is None or finding.value is None:
        return finding.value
    worse = finding.declared.worse if finding.declared else None
    usual = finding.expected or 0.0
    return max(
        known,
        finding.value,
        key=lambda value: {"up": value, "down": -value}.get(worse or "", abs(value - usual)),
    )


def while_it_lasts(finding: Finding, worst: float | None) -> str:
    """What is known of a series in an anomaly, `worst` being its farthest value."""
    if worst is None or finding.value is None or math.isclose(worst, finding.value, rel_tol=_ABOUT_THE_SAME):
        return finding.detail
    return f"{finding.detail}; at worst {_in_words(worst, finding.declared)}"


def once_over(finding: Finding, worst: float) -> str:
    """What is to be known of an anomaly that is over, whose farthest value was `worst`.

    It is over when a value is as expected, which it also is where the detector has got used to it.
    """
    told = [("now", finding.value), ("expected", finding.expected)]
    rest = ", ".join(f"{word} {_in_words(value, finding.declared)}" for word, value in told if value is not None)
    return f"at worst {_in_words(worst, finding.declared)}; {rest}"


def _in_words(value: float, field: Field | None) -> str:
    return format_value(value, field.unit) if field else f"{value:.6g}"


def _anomaly(subject: Subject, tags: Mapping[str, str], record: Mapping[str, Any]) -> Finding:
    measurement, field = tags.get("measurement", ""), tags.get("field", "")
    known = CATALOGUE.get(measurement)
    declared = known[field] if known is not None and field in known else None
    further = {key: value for key, value in tags.items() if value and key not in _ABOUT_SERIES}
    value, expected = record.get("value"), record.get("expected")
    detail = f"score {record.get('score') or 0:.2f}"
    if value is not None and expected is not None:
        measured, usual = (_in_words(one, declared) for one in (value, expected))
        detail = f"now {measured}, expected {usual}; {detail}"
    elif record.get("view"):
        detail = f"the farthest from usual: {record['view']}; {detail}"
    which = ", ".join(f"{key} {tag}" for key, tag in further.items())
    together = tags.get("detector") == "multivariate"
    what = f"{measurement}, all fields together," if together else f"{measurement}.{field}"
    better = declared is not None and _is_better(declared, value, expected)
    return Finding(
        Event.ANOMALY,
        {**subject.labels, "measurement": measurement, "field": field, **further},
        Verdict.BAD if record.get("flag") else Verdict.GOOD,
        Severity.INFO if better else Severity.WARNING,
        summary=f"{what}{which and f' ({which})'} of {subject.name} on {subject.agent} is unusual",
        detail=detail,
        value=None if value is None else float(value),
        unit=declared.unit.name if declared is not None else "",
        expected=None if expected is None else float(expected),
        declared=declared,
        more=subject.more,
    )


def _is_better(field: Field, value: float | None, expected: float | None) -> bool:
    """Whether a value is off to the side that is no fault; that is nothing to wake somebody for."""
    if value is None or expected is None or field.worse is None:
        return False
    return value < expected if field.worse == "up" else value > expected
