import pytest

from streamswarm_cli.admin import results


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.003361368006, "seconds", "3.361 ms"),
        (0.25, "ratio 0..1", "25.0 %"),
        (None, "seconds", None),
        (2.5, "parsecs", 2.5),
    ],
)
def test_results_are_shown_in_units_that_people_read(value: float | None, unit: str, shown: object) -> None:
    item = {"value": value, "headline": {"unit": unit}}
    assert results._read(item)["value"] == shown
