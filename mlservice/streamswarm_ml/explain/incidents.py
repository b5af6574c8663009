"""Reads the anomalies of late from the store and groups them."""

from collections.abc import Iterator, Mapping
from typing import Final

from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.reader import Aggregate, Condition, Reader, Select, Series
from streamswarm_ml.explain.grouping import Anomaly, Incident, group

_EVERY_NS: Final = 60 * NANOSECONDS
_MOST_SERIES: Final = 500
_OURS: Final = ("measurement", "field", "detector")


def find_incidents(reader: Reader, now_ns: int, hours: int) -> list[Incident]:
    """Incidents of the last hours, newest first; of the 500 flagged series with the highest scores.

    Raises:
        Unavailable, Refused: as of the reader.
    """
    if ANOMALY.name not in reader.measurements():
        return []
    start_ns = now_ns - hours * 3600 * NANOSECONDS
    flagged = _flagged(reader, start_ns, now_ns)
    return group(one for tags in flagged for one in _anomalies_of(reader, tags, start_ns, now_ns))


def _flagged(reader: Reader, start_ns: int, stop_ns: int) -> list[Mapping[str, str]]:
    """The tags of the series that were in an anomaly: few of many, so that minutes are read of these alone."""
    columns = [Aggregate("max", "flag"), Aggregate("max", "score")]
    statement = Select(ANOMALY.name, columns, start_ns=start_ns, stop_ns=stop_ns, group_by=("*",))
    ranked = [
        (_number(row["score"]) or 0.0, {key: value for key, value in series.tags.items() if value})
        for series in reader.select(statement)
        for row in series.records()
        if row["flag"]
    ]
    ranked.sort(key=lambda item: -item[0])
    return [tags for _, tags in ranked[:_MOST_SERIES]]


def _anomalies_of(reader: Reader, tags: Mapping[str, str], start_ns: int, stop_ns: int) -> Iterator[Anomaly]:
    statement = Select(
        ANOMALY.name,
        [
            Aggregate("max", "flag"),
            Aggregate("max", "score"),
            Aggregate("mean", "value"),
            Aggregate("mean", "expected"),
        ],
        start_ns=start_ns,
        stop_ns=stop_ns,
        where=[Condition(key, value) for key, value in tags.items()],
        every_ns=_EVERY_NS,
        group_by=("*",),
    )
    for series in reader.select(statement):
        if {key: value for key, value in series.tags.items() if value} == tags:
            yield from _anomalies(series)


def _anomalies(series: Series) -> Iterator[Anomaly]:
    """From a flagged minute to one that isn't: what lies between is as long as the test's interval, perhaps hours."""
    tags = {key: value for key, value in series.tags.items() if value and key not in _OURS}
    found: Anomaly | None = None
    for row in series.records():
        if row["flag"] is None:
            continue
        if not row["flag"]:
            if found is not None:
                yield found
            found = None
            continue
        time_ns, score = int(row["time"] or 0), _number(row["score"]) or 0.0
        best = found is None or score >= found.score
        found = Anomaly(
            series.tags.get("measurement", ""),
            series.tags.get("field", ""),
            tags,
            found.start_ns if found else time_ns,
            time_ns,
            max(score, found.score if found else 0.0),
            _number(row["value"]) if best or found is None else found.value,
            _number(row["expected"]) if best or found is None else found.expected,
        )
    if found is not None:
        yield found


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
