import math
import re
from pathlib import Path

import pytest

from streamswarm_core.catalogue import CATALOGUE, Catalogue, reference
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.errors import CatalogueError
from streamswarm_core.probespecs import SPECS
from streamswarm_core.promnames import exported_fields, metric_name

ROOT = Path(__file__).parents[3]


def test_the_reference_page_is_what_the_catalogue_says() -> None:
    page = (ROOT / "docs" / "measurements.md").read_text(encoding="utf-8")
    assert page == reference.render(), "run make generate"


def test_declaring_a_measurement_twice_raises() -> None:
    with pytest.raises(CatalogueError, match="'icmp' is declared twice"):
        Catalogue((ICMP, ICMP))


def test_an_unknown_field_is_refused_with_those_that_exist() -> None:
    with pytest.raises(CatalogueError, match=r"no field 'rtt_avg'; it has up, .*rtt_mean"):
        ICMP.point({"target": "x"}, rtt_avg=0.1)


def test_an_unknown_tag_is_refused() -> None:
    with pytest.raises(CatalogueError, match="no tag 'host'"):
        ICMP.point({"host": "x"}, up=1)


@pytest.mark.parametrize("value", ["0.1", True])
def test_a_value_of_the_wrong_kind_is_refused(value: str | bool) -> None:
    with pytest.raises(CatalogueError, match=r"icmp\.rtt_mean takes a float"):
        ICMP.point({"target": "x"}, rtt_mean=value)


def test_what_was_not_measured_is_absent_and_not_zero() -> None:
    point = ICMP.point({"target": "x"}, up=0, rtt_mean=None, jitter=math.nan, loss=1)
    assert dict(point.fields) == {"up": 0, "loss": 1.0}


def test_a_point_without_any_value_is_refused() -> None:
    with pytest.raises(CatalogueError, match="at least one field"):
        ICMP.point({"target": "x"}, rtt_mean=None)


def test_prometheus_names_are_valid_and_unique_over_the_whole_catalogue() -> None:
    names = [
        metric_name(measurement, field)
        for measurement in CATALOGUE.values()
        for field in exported_fields(measurement)
        if not field.name.startswith("to_")
    ]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


def test_every_field_and_measurement_has_a_sentence_of_help() -> None:
    for measurement in CATALOGUE.values():
        assert measurement.help.endswith("."), measurement.name
        for field in measurement.fields:
            assert field.help.endswith("."), f"{measurement.name}.{field.name}"


def test_every_probe_writes_what_the_catalogue_declares_and_shows_a_field_it_has() -> None:
    for spec in SPECS.values():
        assert all(CATALOGUE[measurement.name] is measurement for measurement in spec.measurements)
        assert spec.headline in spec.measurements[0]


def test_every_option_of_every_probe_says_what_it_does() -> None:
    for spec in SPECS.values():
        for name, field in spec.params.model_fields.items():
            assert field.description, f"{spec.name}.{name}"
