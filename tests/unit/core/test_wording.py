"""Values as people read them: with a unit, without a power of ten, and none that reads as another one."""

import re

import pytest

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.model import (
    BITS_PER_SECOND,
    BYTES,
    CELSIUS,
    COUNT,
    HERTZ,
    METRES,
    NUMBER,
    PER_SECOND,
    RATIO,
    RPM,
    SECONDS,
    STATE,
    WATTS,
    Kind,
    Unit,
)
from streamswarm_core.wording import format_condition, format_limit, format_value

UNITS = sorted(
    {field.unit for one in CATALOGUE.values() for field in one.fields if field.kind is not Kind.STRING},
    key=lambda unit: unit.name,
)
VALUES = (0.0, 1e-7, 0.0004, 0.02, 0.5, 0.9996, 1.0, 3.25, 42.0, 1491.0, 1492.5, 98_765.4, 3e6, 7.5e9)


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.0, RATIO, "0.0 %"),
        (0.0000123, RATIO, "0.0012 %"),
        (0.00049, RATIO, "0.049 %"),
        (0.0005, RATIO, "0.1 %"),
        (0.9996, RATIO, "99.96 %"),
        (0.9999999, RATIO, "99.999 %"),
        (0.0, SECONDS, "0 s"),
        (-0.0005, SECONDS, "-500.0 µs"),
        (86_400.0, SECONDS, "24.0 h"),
        (604_800.0, SECONDS, "7.0 days"),
        (1491.0, BYTES, "1,491 B"),
        (0.4, BITS_PER_SECOND, "0.4 bit/s"),
        (0.25, METRES, "0.25 m"),
        (0.5, HERTZ, "0.5 Hz"),
        (12.0, COUNT, "12"),
        (12.5, COUNT, "12.500"),
        (10_000_000.0, NUMBER, "10000000"),
        (120_000.0, RPM, "120,000 rpm"),
        (123_456.7, WATTS, "123,457 W"),
        (-5.5, CELSIUS, "-5.5 °C"),
        (-1_234.5, PER_SECOND, "-1,234.5/s"),
        (1.0, STATE, "yes"),
    ],
)
def test_a_value_has_the_digits_and_the_unit_that_people_read(value: float, unit: Unit, said: str) -> None:
    assert format_value(value, unit) == said


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_no_value_of_any_unit_reads_as_nothing_or_as_a_power_of_ten(unit: Unit) -> None:
    for value in VALUES:
        if unit.name in {"ratio 0..1", "score 0..1", "0 or 1"} and value > 1:
            continue
        said = format_value(value, unit)
        if value >= 0.0004 and unit != STATE:
            assert re.search("[1-9]", said), (value, said)
        assert not re.search(r"\de[+-]?\d", said) or value < 0.001, (value, said)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
@pytest.mark.parametrize("comparison", [">", ">=", "<", "<="])
def test_every_comparison_of_every_unit_is_a_phrase(unit: Unit, comparison: str) -> None:
    for limit in (0.0, 0.5, 1.0):
        said = format_condition(comparison, limit, unit)
        assert not set("<>=") & set(said)
        words = {"no", "yes", "yes or no"} if unit == STATE else {"above", "at least", "below", "at most"}
        assert any(said == word or said.startswith(f"{word} ") for word in words), said


def test_a_limit_is_said_as_it_was_chosen() -> None:
    chosen = [(0.05, SECONDS), (0.0125, SECONDS), (0.05, RATIO), (0.125, RATIO), (1.0, RATIO), (2e7, BITS_PER_SECOND)]
    said = [format_limit(limit, unit) for limit, unit in chosen]
    assert said == ["50 ms", "12.5 ms", "5 %", "12.5 %", "100 %", "20 Mbit/s"]
    assert [format_limit(limit, BYTES) for limit in (1_500.0, 1_400_000.0)] == ["1,500 B", "1.4 MB"]
