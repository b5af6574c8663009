"""The watched series: which there are, their detectors, how far each was judged; and what of it goes to disk."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamswarm_core.catalogue.common import UP
from streamswarm_ml.detectors import Bank, StateDetector, Verdicts, layout
from streamswarm_ml.detectors.zones import Zones, local_ns
from streamswarm_ml.state import Saved

VERSION: Final = 5
_WITHOUT_ZONES: Final = 4
_WITHOUT_RECENT_DEVIATIONS: Final = 3
"""Versions that can still be read: nothing that was learned is lost."""
_BANK: Final = "stream"
_STATE: Final = "state"

_EVER: Final = int(np.iinfo(np.int64).min)

SeriesKey = tuple[str, tuple[tuple[str, str], ...], str]
"""Measurement, sorted tags, field."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Values to judge: of each its series' number, the value, and the time in nanoseconds; rising within a series."""

    series: NDArray[np.int64]
    values: NDArray[np.float64]
    times_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.series)


class Watched:
    """All watched series.

    Args:
        threshold: score from which an anomaly of a measured value opens.
        warmup: values of a series before it is judged.
    """

    def __init__(self, threshold: float, warmup: int) -> None:
        self._bank = Bank(threshold, warmup)
        self._states: list[StateDetector] = []
        self._numbers: dict[SeriesKey, int] = {}
        self._cursors = np.zeros(0, dtype=np.int64)
        self._slots = np.zeros(0, dtype=np.int64)
        self._zones = Zones()
        # Zones by number, and that of each series.
        self._zone_numbers: dict[str, int] = {}
        self._zone_of = np.zeros(0, dtype=np.int16)
        self.read_until: dict[str, int] = {}

    @property
    def keys(self) -> Mapping[SeriesKey, int]:
        """Every series and its number."""
        return self._numbers

    @property
    def zones(self) -> Zones:
        """By which clocks hours are counted."""
        return self._zones

    @property
    def series_by_zone(self) -> Mapping[str, int]:
        """How many series' hours are counted by each clock."""
        counts = np.bincount(self._zone_of[: len(self._numbers)]).tolist()
        names = list(self._zone_numbers)
        return {names[number]: count for number, count in enumerate(counts) if count}

    @property
    def threshold(self) -> float:
        """Score from which an anomaly of a measured value opens."""
        return self._bank.threshold

    def number(self, key: SeriesKey) -> int:
        """A series' number; a new series is watched from now on."""
        known = self._numbers.get(key)
        if known is not None:
            return known
        number = self._numbers[key] = len(self._numbers)
        if number >= len(self._cursors):
            more = max(256, len(self._cursors) // 2)
            self._cursors = np.pad(self._cursors, (0, more), constant_values=_EVER)
            self._slots = np.pad(self._slots, (0, more))
            self._zone_of = np.pad(self._zone_of, (0, more))
        self._zone_of[number] = self._zone_number(key)
        if detector_of(key) == _STATE:
            self._slots[number] = -1 - len(self._states)
            self._states.append(StateDetector())
        else:
            self._slots[number] = self._bank.add(1)[0]
        return number

    def count_hours_by(self, zones: Zones) -> None:
        """Count hours by these clocks from now on; where one is another, what was learned of hours moves with it."""
        if zones == self._zones:
            return
        before, self._zones = self._zone_of[: len(self._numbers)], zones
        self._name_zones()
        after = self._zone_of[: len(self._numbers)]
        turned = np.flatnonzero((before != after) & (self._slots[: len(before)] >= 0))
        slots, names = self._slots[turned], list(self._zone_numbers)
        last = self._bank.last_ns(slots)
        by_ns = local_ns(last, names, after[turned]) - local_ns(last, names, before[turned])
        self._bank.turn_clocks(slots[by_ns != 0], by_ns[by_ns != 0])

    def _name_zones(self) -> None:
        self._zone_of = np.array([self._zone_number(key) for key in self._numbers], dtype=np.int16)
        self._zone_of = np.pad(self._zone_of, (0, len(self._cursors) - len(self._zone_of)))

    def _zone_number(self, key: SeriesKey) -> int:
        return self._zone_numbers.setdefault(self._zones.of(key[1]), len(self._zone_numbers))

    def news(self, batch: Batch) -> Batch:
        """What is newer than everything that its series was judged by, in the order of time within each series."""
        order = np.lexsort((batch.times_ns, batch.series))
        series, times = batch.series[order], batch.times_ns[order]
        new = times > self._cursors[series]
        # One of several values of the same time is enough; the last is the one that a store keeps.
        new[:-1] &= (series[1:] != series[:-1]) | (times[1:] != times[:-1])
        kept = order[new]
        return Batch(batch.series[kept], batch.values[kept], batch.times_ns[kept])

    def judge(self, batch: Batch) -> Verdicts:
        """Judge news and learn them."""
        told = Verdicts.empty(len(batch))
        slots = self._slots[batch.series]
        of_bank = np.flatnonzero(slots >= 0)
        if len(of_bank):
            times = batch.times_ns[of_bank]
            local = local_ns(times, list(self._zone_numbers), self._zone_of[batch.series[of_bank]])
            some = self._bank.judge(slots[of_bank], batch.values[of_bank], times, local)
            for name in Verdicts.__slots__:
                getattr(told, name)[of_bank] = getattr(some, name)
        for at in np.flatnonzero(slots < 0).tolist():
            verdict = self._states[-1 - int(slots[at])].update(float(batch.values[at]), int(batch.times_ns[at]))
            for name in Verdicts.__slots__:
                getattr(told, name)[at] = getattr(verdict, name)
        np.maximum.at(self._cursors, batch.series, batch.times_ns)
        return told

    def open(self, since_ns: int = _EVER) -> list[SeriesKey]:
        """The series that are in an anomaly and have been judged since then, nanoseconds since the epoch."""
        of_bank = self._bank.open
        slots, heard = self._slots, self._cursors >= since_ns
        return [
            key
            for key, number in self._numbers.items()
            if heard[number]
            and (of_bank[slots[number]] if slots[number] >= 0 else self._states[-1 - slots[number]].open)
        ]

    def forget(self, silent_ns: int) -> int:
        """Drop the series whose newest point is so much older than the newest of all; numbers change.

        A clock that is set ahead, or a store that was away for weeks, makes no series silent: the others count.

        Returns:
            how many were dropped.
        """
        newest = self._cursors[: len(self._numbers)]
        kept = np.flatnonzero(newest >= newest.max(initial=_EVER + silent_ns) - silent_ns)
        dropped = len(self._numbers) - len(kept)
        if not dropped:
            return 0
        keys, slots = list(self._numbers), self._slots[kept]
        measured = slots >= 0
        self._numbers = {keys[old]: new for new, old in enumerate(kept.tolist())}
        self._cursors, self._zone_of = self._cursors[kept], self._zone_of[kept]
        self._bank.keep(slots[measured])
        self._states = [self._states[-1 - slot] for slot in slots[~measured].tolist()]
        self._slots = np.where(measured, np.cumsum(measured) - 1, 0 - np.cumsum(~measured))
        return dropped

    def bytes_in_memory(self) -> int:
        """What the detectors take, without the series' names."""
        return sum(array.nbytes for array in self._bank.arrays().values()) + self._cursors.nbytes + self._slots.nbytes

    def save(self) -> Saved:
        """Everything that is to be remembered."""
        count = len(self._numbers)
        header = {
            "version": VERSION,
            "read_until": self.read_until,
            "zones": {"default": self._zones.default, "sites": dict(self._zones.sites)},
            "series": [[measurement, list(tags), field] for measurement, tags, field in self._numbers],
        }
        states = np.array([one.numbers for one in self._states], dtype=np.float64).reshape(-1, 3)
        return Saved(
            header,
            {"cursors": self._cursors[:count], "slots": self._slots[:count], "states": states, **self._bank.arrays()},
        )

    def restore(self, saved: Saved) -> None:
        """Go on where `saved` was made.

        Raises:
            ValueError: it is of another version or layout.
        """
        version, arrays = saved.header.get("version"), saved.arrays
        if version == _WITHOUT_RECENT_DEVIATIONS:
            arrays = {**arrays, "state": layout.of_version_3(arrays["state"])}
        elif version not in {_WITHOUT_ZONES, VERSION}:
            raise ValueError(f"version {version}, not {VERSION}")
        self._bank.restore(arrays)
        self._states = [StateDetector.restored(numbers) for numbers in arrays["states"].tolist()]
        self._cursors, self._slots = arrays["cursors"].copy(), arrays["slots"].copy()
        keys = [
            (measurement, tuple((str(key), str(value)) for key, value in tags), field)
            for measurement, tags, field in saved.header["series"]
        ]
        self._numbers = {key: number for number, key in enumerate(keys)}
        self._zones = Zones(**saved.header["zones"]) if version == VERSION else Zones()
        self._name_zones()
        self.read_until = {str(name): int(until) for name, until in saved.header["read_until"].items()}


def detector_of(key: SeriesKey) -> str:
    """The `detector` tag of a series."""
    return _STATE if key[2] == UP.name else _BANK


def shard_of(measurement: str, tags: Sequence[tuple[str, str]], shards: int) -> int:
    """Which shard watches a series; the same on every machine, and the same for all fields of a series.

    >>> shard_of("icmp", [("agent", "a"), ("target", "gw")], 1)
    0
    """
    digest = hashlib.blake2b(repr((measurement, list(tags))).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shards
