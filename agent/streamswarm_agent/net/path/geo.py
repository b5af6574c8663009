"""Who runs an address and where it is, from local files in MaxMind's format; nothing is asked of anybody."""

import ipaddress
import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import maxminddb

from streamswarm_core.errors import ConfigError

_EARTH_RADIUS: Final = 6_371_008.8
_LOOK_FOR_NEW_FILE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """What the files say about an address; None where they don't.

    Attributes:
        asn: number of the autonomous system.
        as_name: who runs it.
        country: ISO 3166 code.
        city: in English.
        latitude: degrees, north positive.
        longitude: degrees, east positive.
    """

    asn: int | None = None
    as_name: str | None = None
    country: str | None = None
    city: str | None = None
    latitude: float | None = None
    longitude: float | None = None

    @property
    def coordinates(self) -> tuple[float, float] | None:
        """Latitude and longitude, degrees."""
        return (self.latitude, self.longitude) if self.latitude is not None and self.longitude is not None else None


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a path goes; metres.

    Attributes:
        distance: along the hops whose place is known.
        direct: from the first of them to the last.
    """

    distance: float
    direct: float

    @property
    def efficiency(self) -> float | None:
        """`direct` over `distance`, 0..1; None where the path doesn't leave its place."""
        return min(1.0, self.direct / self.distance) if self.distance else None


class PlaceNames:
    """The files, opened once for the agent, and again when they are replaced; and where the agent itself is.

    Attributes:
        here: latitude and longitude of the agent's site, degrees, as the control plane says; None where nobody does.

    Args:
        asn_file: GeoLite2-ASN or another file with `autonomous_system_number`.
        city_file: GeoLite2-City or another file with `location`, `city` and `country`.

    Raises:
        ConfigError: one of them can't be read.
    """

    def __init__(self, asn_file: Path | None = None, city_file: Path | None = None) -> None:
        self.here: tuple[float, float] | None = None
        self._asn = _File(asn_file, "geo_asn_file") if asn_file else None
        self._city = _File(city_file, "geo_city_file") if city_file else None

    def __bool__(self) -> bool:
        return bool(self._asn or self._city)

    def find(self, address: str) -> Place:
        """What is known about an address."""
        system = self._asn.find(address) if self._asn else {}
        location = self._city.find(address) if self._city else {}
        where = location.get("location", {})
        return Place(
            asn=system.get("autonomous_system_number"),
            as_name=system.get("autonomous_system_organization"),
            country=location.get("country", {}).get("iso_code"),
            city=location.get("city", {}).get("names", {}).get("en"),
            latitude=where.get("latitude"),
            longitude=where.get("longitude"),
        )

    def close(self) -> None:
        """Close the files."""
        for file in (self._asn, self._city):
            if file is not None:
                file.reader.close()


class _File:
    def __init__(self, path: Path, setting: str) -> None:
        self._path = path
        self._looked = time.monotonic()
        try:
            self.reader = maxminddb.open_database(path)
            self._changed = path.stat().st_mtime_ns
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            raise ConfigError(f"agent.{setting}: {path} is not a readable MaxMind database: {error}") from None

    def find(self, address: str) -> Mapping[str, Any]:
        self._reopen_if_new()
        try:
            found = self.reader.get(ipaddress.ip_address(address.partition("%")[0]))
        except (ValueError, maxminddb.InvalidDatabaseError):
            return {}  # an IPv6 address in a file for IPv4, or a damaged entry
        return found if isinstance(found, dict) else {}

    def _reopen_if_new(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_FOR_NEW_FILE_SECONDS:
            return
        self._looked = now
        try:
            changed = self._path.stat().st_mtime_ns
            if changed != self._changed:
                fresh = maxminddb.open_database(self._path)
                self.reader.close()
                self.reader, self._changed = fresh, changed
        except (OSError, maxminddb.InvalidDatabaseError):
            return  # half written: the old one is still open, and a minute later is soon enough


def great_circle(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Distance over the sphere in metres, by the haversine formula.

    a = sin²(Δφ/2) + cos φ1 · cos φ2 · sin²(Δλ/2); d = 2R · asin √a, with R = 6,371,008.8 m, the Earth's mean radius
    (IUGG). Sinnott, "Virtues of the haversine", Sky and Telescope 68 (1984).

    Args:
        here: latitude and longitude, degrees.
        there: the same.
    """
    (latitude, longitude), (other_latitude, other_longitude) = map(_radians, (here, there))
    a = (
        math.sin((other_latitude - latitude) / 2) ** 2
        + math.cos(latitude) * math.cos(other_latitude) * math.sin((other_longitude - longitude) / 2) ** 2
    )
    return 2 * _EARTH_RADIUS * math.asin(math.sqrt(min(1.0, a)))


def _radians(point: tuple[float, float]) -> tuple[float, float]:
    return math.radians(point[0]), math.radians(point[1])


def extent(points: Sequence[tuple[float, float]]) -> Extent | None:
    """How far a path goes over these points, degrees; None for fewer than two."""
    if len(points) < 2:
        return None
    distance = sum(great_circle(here, there) for here, there in itertools.pairwise(points))
    return Extent(distance, great_circle(points[0], points[-1]))
