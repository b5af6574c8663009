"""The windows of GROUP BY time(): where they begin, with an offset and in a time zone.

Windows are counted from the epoch, in local time where tz() names a zone; the window in which clocks change is longer
or shorter. As InfluxDB does it (`IteratorOptions.Window` in its sources).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def zone_offset(zone: ZoneInfo, time_ns: int) -> int:
    """Nanoseconds that local time is ahead of UTC at a moment."""
    moment = _EPOCH + timedelta(seconds=time_ns // _SECOND)
    offset = moment.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) * _SECOND if offset else 0


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one length.

    Attributes:
        every: length in nanoseconds.
        offset: shift in nanoseconds.
        zone: whose local time they are counted in; None for UTC.
    """

    every: int
    offset: int = 0
    zone: ZoneInfo | None = None

    def floor(self, time_ns: int) -> int:
        """Begin of the window that holds a moment."""
        moved = time_ns - self.offset
        if self.zone is None:
            return time_ns - moved % self.every
        ahead = zone_offset(self.zone, moved)
        start = time_ns - (moved + ahead) % self.every
        return start + self._shift(self.zone, ahead, start)

    def next(self, start: int) -> int:
        """Begin of the window after the one that begins at `start`."""
        following = start + self.every
        if self.zone is None:
            return following
        # A window that ends or begins as the clocks change is not itself longer or shorter.
        return following + self._shift(self.zone, zone_offset(self.zone, start - 1), following - 1)

    def _shift(self, zone: ZoneInfo, ahead: int, time_ns: int) -> int:
        shift = ahead - zone_offset(zone, time_ns)
        return shift if abs(shift) < self.every else 0

    def count(self, first: int, stop: int) -> int:
        """About how many windows there are from one that begins at `first` to a moment, excluded."""
        return max(0, -(-(stop - first) // self.every))

    def starts(self, first: int, stop: int) -> list[int]:
        """Begins of the windows from one that begins at `first` to a moment, excluded."""
        if self.zone is None:
            return list(range(first, stop, self.every))
        found = []
        while first < stop:
            found.append(first)
            first = self.next(first)
        return found

    def sql(self) -> str:
        """The begin of the window of column `time`, in UTC."""
        moved = f"(time - {self.offset})" if self.offset else "time"
        return f"time - ({moved} % {self.every} + {self.every}) % {self.every}"
