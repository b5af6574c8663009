import shutil
from pathlib import Path

import pytest

from streamswarm_agent.net.path import geo
from streamswarm_agent.net.path.geo import Extent, Place, PlaceNames, extent, great_circle
from streamswarm_core.errors import ConfigError
from tests.mmdb import write_mmdb

BERLIN, NEW_YORK, SYDNEY = (52.5200, 13.4050), (40.7128, -74.0060), (-33.8688, 151.2093)


def asn_record(number: int, name: str) -> dict[str, object]:
    return {"autonomous_system_number": number, "autonomous_system_organization": name}


def city_record(country: str, city: str, place: tuple[float, float]) -> dict[str, object]:
    return {
        "country": {"iso_code": country},
        "city": {"names": {"en": city}},
        "location": {"latitude": place[0], "longitude": place[1]},
    }


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    networks = {
        "198.51.100.0/24": asn_record(64500, "Example Transit"),
        "2001:db8:1::/48": asn_record(4_200_000_001, "Example Six"),
    }
    places: dict[str, dict[str, object]] = {
        "198.51.100.0/25": city_record("DE", "Berlin", BERLIN),
        "198.51.100.128/25": {"country": {"iso_code": "US"}},
    }
    return write_mmdb(tmp_path / "asn.mmdb", networks), write_mmdb(tmp_path / "city.mmdb", places)


@pytest.mark.parametrize(
    ("here", "there", "kilometres"),
    [
        # By Vincenty on WGS 84; the sphere is off by at most 0.6 %.
        (BERLIN, NEW_YORK, 6_403.0),
        (BERLIN, SYDNEY, 16_091.0),
        (NEW_YORK, SYDNEY, 15_989.0),
    ],
)
def test_distances_of_cities_are_those_of_the_atlas(
    here: tuple[float, float], there: tuple[float, float], kilometres: float
) -> None:
    assert great_circle(here, there) / 1000 == pytest.approx(kilometres, rel=0.006)


def test_a_quarter_and_a_half_of_the_sphere_are_exact() -> None:
    quarter = 6_371_008.8 * 3.141592653589793 / 2
    assert great_circle((0, 0), (0, 90)) == pytest.approx(quarter)
    assert great_circle((0, 0), (90, 0)) == pytest.approx(quarter)
    assert great_circle((0, 0), (0, 180)) == pytest.approx(2 * quarter)
    assert great_circle((0, 179.5), (0, -179.5)) == pytest.approx(quarter / 90)
    assert great_circle(BERLIN, BERLIN) == 0


def test_a_detour_is_less_efficient_than_the_straight_way() -> None:
    straight = extent([(0, 0), (0, 10), (0, 20)])
    assert straight is not None
    assert straight.efficiency == pytest.approx(1)
    detour = extent([(0, 0), (0, 20), (0, 10)])
    assert detour is not None
    assert detour.efficiency == pytest.approx(1 / 3)
    there_and_back = extent([BERLIN, NEW_YORK, BERLIN])
    assert there_and_back is not None
    assert there_and_back.efficiency == 0


def test_an_efficiency_that_is_not_known_is_absent() -> None:
    assert extent([]) is None
    assert extent([BERLIN]) is None
    assert extent([BERLIN, BERLIN]) == Extent(0, 0)
    assert Extent(0, 0).efficiency is None


def test_names_and_places_come_from_the_files(files: tuple[Path, Path]) -> None:
    names = PlaceNames(*files)
    assert names.find("198.51.100.7") == Place(64500, "Example Transit", "DE", "Berlin", *BERLIN)
    assert names.find("198.51.100.200") == Place(64500, "Example Transit", "US")
    assert names.find("2001:db8:1::7") == Place(4_200_000_001, "Example Six")
    assert names.find("fe80::1%eth0") == names.find("10.0.0.1") == Place()
    names.close()


def test_without_files_nothing_is_known() -> None:
    assert PlaceNames().find("198.51.100.7") == Place()


def test_a_file_that_is_replaced_is_read_anew(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geo, "_LOOK_FOR_NEW_FILE_SECONDS", 0.0)
    names = PlaceNames(files[0])
    assert names.find("198.51.100.7").asn == 64500
    fresh = write_mmdb(tmp_path / "fresh.mmdb", {"198.51.100.0/24": asn_record(64501, "Renamed")})
    shutil.move(fresh, files[0])
    assert names.find("198.51.100.7").asn == 64501
    half = tmp_path / "half.mmdb"
    half.write_bytes(b"half")
    shutil.move(half, files[0])
    assert names.find("198.51.100.7").asn == 64501
    names.close()


@pytest.mark.parametrize("content", [None, b"", b"not a database"])
def test_a_file_that_is_none_is_refused_with_the_setting_that_names_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "city.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"agent\.geo_city_file: .*city\.mmdb is not a readable MaxMind database"):
        PlaceNames(city_file=path)
