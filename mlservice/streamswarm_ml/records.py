"""Verdicts as line protocol. Made by hand, not by `Point`: there is one line for each scored value."""

from typing import Final

from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.lineprotocol import encode, format_field
from streamswarm_ml.detectors import STATE_THRESHOLD, TOLD_VIEWS, Baseline, Ending, Verdicts
from streamswarm_ml.watched import Batch, SeriesKey, detector_of

_BASELINES: Final = {
    Baseline.RECENT: "recent values",
    Baseline.HOUR_OF_DAY: "this hour of the day",
    Baseline.HOUR_OF_WEEK: "this hour of the week",
}
_KINDS: Final = {Ending.INCIDENT: "incident", Ending.NEW_NORMAL: "new normal"}


class Records:
    """Makes lines of the measurement `anomaly`; remembers how each series' lines begin."""

    def __init__(self) -> None:
        self._heads: dict[int, str] = {}

    def lines(self, batch: Batch, told: Verdicts, keys: list[SeriesKey], threshold: float) -> list[str]:
        """A line for each value.

        Args:
            batch: what was judged.
            told: the verdicts.
            keys: the series by number.
            threshold: of measured values; states have their own.
        """
        heads = self._heads
        eventful = told.opened | (told.ending != Ending.NONE)
        made = []
        for at, (number, score, flag, expected, value, time_ns, event) in enumerate(
            zip(
                batch.series.tolist(),
                told.score.tolist(),
                told.flag.tolist(),
                told.expected.tolist(),
                batch.values.tolist(),
                batch.times_ns.tolist(),
                eventful.tolist(),
                strict=True,
            )
        ):
            head = heads.get(number) or self._head(number, keys[number], threshold)
            tail = self._event(told, at) if event else ""
            made.append(f"{head}score={score!r},flag={flag:d}i,expected={expected!r},value={value!r}{tail} {time_ns}")
        return made

    def _head(self, number: int, key: SeriesKey, threshold: float) -> str:
        measurement, tags, name = key
        detector = detector_of(key)
        judged = {**dict(tags), "measurement": measurement, "field": name, "detector": detector}
        point = ANOMALY.point(judged, threshold=threshold if detector == "stream" else STATE_THRESHOLD)
        self._heads[number] = head = encode(point) + ","
        return head

    def _event(self, told: Verdicts, at: int) -> str:
        fields: dict[str, str] = {}
        if told.opened[at]:
            fields |= {
                "event": "open",
                "view": TOLD_VIEWS[int(told.view[at])],
                "baseline": _BASELINES[Baseline(int(told.baseline[at]))],
            }
        if told.ending[at] != Ending.NONE:
            fields |= {"event": "close", "kind": _KINDS[Ending(int(told.ending[at]))]}
        return "".join(f",{name}={format_field(text)}" for name, text in fields.items())
