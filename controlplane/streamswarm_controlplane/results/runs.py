from collections.abc import Sequence
from typing import Any, Final

from streamswarm_controlplane.results.answers import FieldInfo, Run, Runs
from streamswarm_controlplane.results.history import conditions
from streamswarm_controlplane.results.times import TimeRange, rfc3339
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.catalogue.common import DURATION, ERROR, ERROR_DETAIL, SEQ, UP
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reader import Reader, Select

_OWN_PLACE: Final = {one.name for one in (SEQ, UP, ERROR, ERROR_DETAIL, DURATION)}


def runs(reader: Reader, test: TestPlan, span: TimeRange, *, limit: int, agents: Sequence[str] = ()) -> Runs:
    """The executions of a test in a range, newest first, each from its point of the probe's first measurement.

    A page ends between two moments: of runs that several agents made in the same nanosecond all are on one page, which
    then holds a few more than `limit`. So the next page, which stops where this one ends, misses none and repeats none.

    Raises:
        Unavailable: the store can't be reached.
        Refused: the store doesn't take the question.
    """
    measurement = SPECS[test.probe].measurements[0]
    statement = Select(
        measurement.name,
        [field.name for field in measurement.fields],
        start_ns=span.start_ns,
        stop_ns=span.stop_ns,
        where=conditions(test, agents),
        group_by=measurement.tags,
        descending=True,
        limit=limit + 1,
    )
    found: list[tuple[int, dict[str, str], dict[str, Any]]] = []
    for series in reader.select(statement):
        if agents and series.tags.get("agent", "") not in agents:
            continue
        found += [(int(record.pop("time") or 0), dict(series.tags), dict(record)) for record in series.records()]
    found.sort(key=lambda one: (-one[0], sorted(one[1].items())))
    page = found[:limit]
    page += [one for one in found[limit:] if one[0] == page[-1][0]]
    more = len(found) > len(page)
    return Runs(
        test=test.key,
        fields=[FieldInfo.of(measurement, field) for field in measurement.fields],
        items=[_run(*one) for one in page],
        next=rfc3339(page[-1][0]) if more else None,
    )


def _run(time: int, tags: dict[str, str], record: dict[str, Any]) -> Run:
    up = record.get(UP.name)
    number = record.get(SEQ.name)
    return Run(
        time=rfc3339(time),
        agent=tags.get("agent", ""),
        site=tags.get("site", ""),
        tags={key: value for key, value in tags.items() if value and key not in {"agent", "site", "test"}},
        run=None if number is None else int(number),
        duration=record.get(DURATION.name),
        up=None if up is None else bool(up),
        error=str(record.get(ERROR.name) or ""),
        error_detail=str(record.get(ERROR_DETAIL.name) or ""),
        values={key: value for key, value in record.items() if value is not None and key not in _OWN_PLACE},
    )
