"""Moments and durations as users write them, in UTC nanoseconds as the store counts them."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from fastapi import Query

from streamswarm_controlplane.problems import ApiError
from streamswarm_core.clock import NANOSECONDS, from_ns, now_ns, to_ns

_MOMENT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9})\d*)?\s?(Z|z|[+ -]\d\d:\d\d)", re.ASCII
)
_RELATIVE: Final = re.compile(r"(?:now)?-(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)?", re.ASCII)
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LATEST: Final = 2**63 - 1
"""Stores count nanoseconds in 64 bits: until the year 2262."""

MOMENT_HELP: Final = (
    "RFC 3339 with a time zone, such as `2026-03-01T08:00:00Z` or `2026-03-01T09:00:00+01:00`, or relative to now, "
    "such as `-6h` (ms, s, m, h, d, w), or `now`."
)


def parse_moment(text: str, at_ns: int, field: str) -> int:
    """A moment in nanoseconds since the epoch.

    Args:
        text: as `MOMENT_HELP` says; where a `+` wasn't escaped in a URL a space has come, which is taken for it.
        at_ns: now.
        field: path of the value in the request.

    Raises:
        ApiError: 422.
    """
    given = text.strip()
    if given == "now":
        return at_ns
    if relative := _RELATIVE.fullmatch(given):
        return max(0, at_ns - int(float(relative[1]) * _UNITS[relative[2]] * NANOSECONDS))
    if moment := _MOMENT.fullmatch(given):
        day, clock, fraction, zone = moment.groups()
        try:
            whole = to_ns(datetime.fromisoformat(f"{day}T{clock}{zone.replace(' ', '+').upper()}"))
        except (ValueError, OverflowError):
            pass
        else:
            nanoseconds = whole + int((fraction or "0").ljust(9, "0"))
            if 0 <= nanoseconds <= _LATEST:
                return nanoseconds
    raise ApiError(422, f"{field}: {text!r} is no moment between 1970 and 2262; give {MOMENT_HELP}", field=field)


def parse_duration(text: str, field: str) -> int:
    """A duration in nanoseconds.

    Args:
        text: a number with a unit, such as `30s`, `5m`, `1h`; without one it is seconds.
        field: path of the value in the request.

    Raises:
        ApiError: 422.
    """
    found = _DURATION.fullmatch(text.strip())
    nanoseconds = int(float(found[1]) * _UNITS[found[2] or "s"] * NANOSECONDS) if found else 0
    if not NANOSECONDS <= nanoseconds <= 366 * 86_400 * NANOSECONDS:
        raise ApiError(422, f"{field}: {text!r} is no duration from 1s to 366d, such as 30s, 5m or 1h", field=field)
    return nanoseconds // 1_000_000 * 1_000_000


def rfc3339(nanoseconds: int) -> str:
    """A moment for people and programs, in UTC, with as many digits as it needs.

    >>> rfc3339(1704067200000000000), rfc3339(1704067200120000000), rfc3339(1704067200000000001)
    ('2024-01-01T00:00:00Z', '2024-01-01T00:00:00.12Z', '2024-01-01T00:00:00.000000001Z')
    """
    whole, rest = divmod(nanoseconds, NANOSECONDS)
    text = from_ns(whole * NANOSECONDS).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else f"{text}Z"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From `start_ns`, included, to `stop_ns`, excluded."""

    start_ns: int
    stop_ns: int


Start = Annotated[str, Query(max_length=60, description=f"From, included. {MOMENT_HELP}")]
Stop = Annotated[str, Query(max_length=60, description=f"To, excluded. {MOMENT_HELP}")]


def last_hour(start: Start = "-1h", stop: Stop = "now") -> TimeRange:
    """The range of a request, an hour up to now unless it says more.

    Raises:
        ApiError: 422.
    """
    return _range(start, stop)


def last_day(start: Start = "-24h", stop: Stop = "now") -> TimeRange:
    """The range of a request, a day up to now unless it says more.

    Raises:
        ApiError: 422.
    """
    return _range(start, stop)


def _range(start: str, stop: str) -> TimeRange:
    at = now_ns()
    first, last = parse_moment(start, at, "query.start"), parse_moment(stop, at, "query.stop")
    if first >= last:
        raise ApiError(
            422, f"query.start: {rfc3339(first)} is not before the stop, {rfc3339(last)}", field="query.start"
        )
    return TimeRange(first, last)
