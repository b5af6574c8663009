"""How many series each writer may have: a sender that puts a counter into a tag must not fill the store for all."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from streamswarm_core.lineprotocol import escape_measurement

ANYONE: Final = ""
"""Owner of stored series that don't say who wrote them; they count towards the total only."""
_DAY_SECONDS: Final = 86_400.0
_SECONDS_BETWEEN_CHECKS: Final = 30.0
_PAUSE_PER_CHECK: Final = 20.0
"""How many times as long as a check took it is to the next one: of a million series one takes seconds."""
_CHARACTERS: Final = 1_000

StoredSeries = Callable[[], Iterable[tuple[str, str, str]]]
"""Gives bucket, canonical key and likely writer of each series in the store."""


class SeriesLimitError(Exception):
    """One series more than its writer, or all writers together, may have."""


class SeriesLimits:
    """Counts series by who wrote them first, in all buckets; one with a key of thousands of characters for several.

    Where there is a store, it says after a start which series there are; the tag `agent` says whose they are until
    somebody else is seen writing them. What was deleted from the store gives room back when it is needed. Without one,
    a series gives room back when nobody has written it for a day.

    Args:
        most_per_writer: series of one writer.
        most: series of all writers.
        stored: lists the store's series; None without a store.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        most_per_writer: int,
        most: int,
        stored: StoredSeries | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_per_writer = most_per_writer
        self._most = most
        self._stored = stored
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, str]] = {}
        self._presumed: dict[str, dict[str, str]] = {}
        self._new: set[tuple[str, str]] = set()
        self._counts: Counter[str] = Counter()
        self._turned = clock()
        self._next_check = self._turned + _SECONDS_BETWEEN_CHECKS
        if stored is not None:
            for bucket, key, writer in stored():
                self._presumed.setdefault(bucket, {})[key] = writer
                self._counts[writer] += _weight(key)

    @property
    def total(self) -> int:
        """Series of all writers."""
        return self._counts.total()

    def by_writer(self) -> Counter[str]:
        """How many series each writer has."""
        with self._lock:
            return +self._counts

    def unknown(self, bucket: str, keys: Sequence[str]) -> list[str]:
        """Those of the canonical keys that have to be admitted before they are kept."""
        known = self._known.get(bucket, {})
        if all(map(known.__contains__, keys)):
            return []
        return [key for key in dict.fromkeys(keys) if key not in known]

    def admit(self, bucket: str, key: str, writer: str) -> None:
        """Let a writer have a series; does nothing for one that is there.

        Raises:
            SeriesLimitError: it is new, and one too many.
        """
        known = self._known.get(bucket)
        if known is not None and key in known:
            return
        with self._lock:
            if self._stored is None and self._clock() - self._turned > _DAY_SECONDS:
                self._forget_unwritten()
            presumed = self._presumed.get(bucket, {}).pop(key, None)
            if presumed is not None:
                self._counts[presumed] -= _weight(key)
            elif self._full(writer):
                self._forget_deleted()
                if self._full(writer):
                    raise SeriesLimitError(self._refusal(writer))
            self._known.setdefault(bucket, {})[key] = writer
            self._counts[writer] += _weight(key)
            if presumed is None and self._stored is not None:
                self._new.add((bucket, key))

    def forget(self, bucket: str, measurement: str | None = None) -> None:
        """Give back the room of what was dropped: a measurement, or a whole bucket."""
        alone = None if measurement is None else escape_measurement(measurement)
        with self._lock:
            for kept in (self._known.get(bucket, {}), self._presumed.get(bucket, {})):
                for key in list(kept):
                    if alone is None or key == alone or key.startswith(f"{alone},"):
                        self._counts[kept.pop(key)] -= _weight(key)

    def _full(self, writer: str) -> bool:
        return self._counts[writer] >= self._most_per_writer or self.total >= self._most

    def _refusal(self, writer: str) -> str:
        if self._counts[writer] >= self._most_per_writer:
            return (
                f"max-series-per-agent limit exceeded: ({self._most_per_writer}): {writer} has {self._counts[writer]} "
                "series; take tags with ever new values off the points, or raise max_series_per_agent of the collector"
            )
        return (
            f"max-series limit exceeded: ({self._most}): there are {self.total} series; drop some, "
            "or raise max_series of the collector"
        )

    def _forget_deleted(self) -> None:
        """Take over what is really in the store, now and then: nobody can write while it is listed."""
        started = self._clock()
        if self._stored is None or started < self._next_check:
            return
        there = {(bucket, key) for bucket, key, _ in self._stored()}
        for table in (self._known, self._presumed):
            for bucket, keys in table.items():
                # A series admitted since the last time may still be on its way to the store.
                gone = [key for key in keys if (bucket, key) not in there and (bucket, key) not in self._new]
                for key in gone:
                    self._counts[keys.pop(key)] -= _weight(key)
        self._new.clear()
        ended = self._clock()
        self._next_check = ended + max(_SECONDS_BETWEEN_CHECKS, _PAUSE_PER_CHECK * (ended - started))

    def _forget_unwritten(self) -> None:
        for keys in self._presumed.values():
            for key, writer in keys.items():
                self._counts[writer] -= _weight(key)
        self._presumed, self._known = self._known, {}
        self._turned = self._clock()


def _weight(key: str) -> int:
    """How many series one counts for: keys stay in memory, and may have 64 kB each.

    >>> _weight("icmp,agent=berlin-1,target=192.0.2.1"), _weight("m" * 60_000)
    (1, 61)
    """
    return 1 + len(key) // _CHARACTERS
