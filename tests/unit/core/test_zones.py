"""Names of time zones, and what is said of those that are none."""

import sys
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from streamswarm_core.schedule import moments
from streamswarm_core.zones import check_zone, find_zone, near_names, zone_names


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Asia/Kathmandu"])
def test_a_name_that_there_is_passes(name: str) -> None:
    assert check_zone(name) == name


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        (" new york", "America/New_York"),
        ("Tokio", "Asia/Tokyo"),
        ("Asia/Calcuta", "Asia/Calcutta"),
        ("right/Europe/Berlin", "Europe/Berlin"),
    ],
)
def test_whoever_misspells_a_name_is_told_the_one_that_was_meant(name: str, meant: str) -> None:
    assert near_names(name)[0] == meant
    with pytest.raises(ValueError, match=rf"no time zone '{name}'; takes a name .*; did you mean {meant}\?"):
        check_zone(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mars/Olympus",
        "../../etc/passwd",
        "Europe",
        "\x00",
        "localtime",
        "Factory",
        "posixrules",
        "posix/UTC",
        "right/UTC",
    ],
)
def test_what_is_no_zone_or_not_the_same_everywhere_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(ValueError, match="takes a name such as UTC or Europe/Berlin"):
        check_zone(name)


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One without time zone data, neither the system's nor Python's."""

    def forget() -> None:
        zone_names.cache_clear()
        find_zone.cache_clear()
        zoneinfo.ZoneInfo.clear_cache()

    for name in {"tzdata", *(name for name in sys.modules if name.startswith("tzdata."))}:
        monkeypatch.setitem(sys.modules, name, None)
    zoneinfo.reset_tzpath(to=[])
    forget()
    yield
    zoneinfo.reset_tzpath()
    forget()


@pytest.mark.usefixtures("bare_machine")
def test_a_machine_without_time_zone_data_says_so_and_still_knows_utc() -> None:
    for look_up in (check_zone, find_zone):
        with pytest.raises(ValueError, match=r"this machine has no time zone data; install its package tzdata"):
            look_up("Europe/Berlin")
    assert check_zone("UTC") == "UTC"
    assert next(moments("0 3 * * *", "UTC", datetime(2026, 1, 1, tzinfo=UTC))).hour == 3
