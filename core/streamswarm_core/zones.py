"""Time zones by their IANA names, and what is said of a name that is none."""

from datetime import UTC, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, Field

UTC_NAME: Final = "UTC"
_LOCAL_TO_A_MACHINE: Final = frozenset({"localtime", "Factory"})
"""Files beside the others that name no zone that is the same everywhere."""
_NEAR: Final = 3


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """All names that there are; none where a machine has no time zone data."""
    return frozenset(available_timezones() - _LOCAL_TO_A_MACHINE)


@lru_cache(maxsize=512)
def find_zone(name: str) -> tzinfo:
    """A time zone.

    Raises:
        ValueError: there is none of this name.
    """
    if name == UTC_NAME:
        return UTC  # which needs no time zone data
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(_no_zone(name)) from None


def check_zone(name: str) -> str:
    """Let a name pass that means the same on every machine.

    Raises:
        ValueError: it isn't one of `zone_names`.

    >>> check_zone("Europe/Berlin")
    'Europe/Berlin'
    """
    if name != UTC_NAME and name not in zone_names():
        raise ValueError(_no_zone(name))
    return name


ZoneName = Annotated[str, Field(max_length=64), AfterValidator(check_zone)]


def near_names(name: str) -> list[str]:
    """Names that somebody may have meant, the likeliest first; a city is enough.

    >>> near_names("europe/berlin"), near_names("new york")
    (['Europe/Berlin'], ['America/New_York'])
    """
    names = sorted(zone_names())
    forms = {known.rpartition("/")[2].casefold(): known for known in names} | {one.casefold(): one for one in names}
    wanted = name.strip().replace(" ", "_").casefold()
    if wanted in forms:
        return [forms[wanted]]
    found = get_close_matches(wanted, forms, n=_NEAR, cutoff=0.75)
    return list(dict.fromkeys(forms[one] for one in found))


def _no_zone(name: str) -> str:
    if not zone_names():
        return (
            f"time zone {name!r} can't be looked up: this machine has no time zone data; "
            "install its package tzdata, or Python's of the same name"
        )
    near = near_names(name)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no time zone {name!r}; takes a name such as UTC or Europe/Berlin{meant}"
