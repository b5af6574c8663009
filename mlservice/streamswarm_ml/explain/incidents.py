"""Reads the anomalies of late from the store and groups them."""

from collections.abc import Iterator
from typing import Final

from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.reader import Aggregate, Reader, Select, Series
from streamswarm_ml.explain.grouping import Anomaly, Incident, group

_EVERY_NS: Final = 60 * NANOSECONDS
_GAP_NS: Final = 5 * _EVERY_NS
_OURS: Final = ("measurement", "field", "detector")


def find_incidents(reader: Reader, now_ns: int, hours: int) -> list[Incident]:
    """Incidents of the last hours, newest first.

    Raises:
        Unavailable, Refused: as of the reader.
    """
    if ANOMALY.name not in reader.measurements():
        return []
    columns = [
        Aggregate("max", "flag"),
        Aggregate("max", "score"),
        Aggregate("mean", "value"),
        Aggregate("mean", "expected"),
    ]
    statement = Select(
        ANOMALY.name,
        columns,
        start_ns=now_ns - hours * 3600 * NANOSECONDS,
        stop_ns=now_ns,
        every_ns=_EVERY_NS,
        group_by=("*",),
    )
    return group(anomaly for series in reader.select(statement) for anomaly in _anomalies(series))


def _anomalies(series: Series) -> Iterator[Anomaly]:
    tags = {key: value for key, value in series.tags.items() if value and key not in _OURS}
    found: Anomaly | None = None
    for row in series.records():
        if not row["flag"]:
            continue
        time_ns, score = int(row["time"] or 0), _number(row["score"]) or 0.0
        if found is not None and time_ns - found.stop_ns > _GAP_NS:
            yield found
            found = None
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
