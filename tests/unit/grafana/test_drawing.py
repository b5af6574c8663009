"""How panels look once Grafana draws them: rules found by looking at what its own components make of them."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from streamswarm_grafana.generate import ROOT
from tests.integration.dashboard_files import FOLDERS, load, panels

VARIANTS: Final = sorted(set(FOLDERS.values()))
_STORE: Final = {variant: store for store, variant in FOLDERS.items()}
_KEYS: Final = sorted(path.stem for path in (ROOT / "grafana/dashboards/influxql").glob("*.json"))
_COLUMN: Final = 52.0
"""Pixels of one of the grid's 24 columns on a screen of 1,280."""
_READABLE: Final = 80
"""Pixels of a table's column in which a number and its unit, or the begin of a name, are read."""
_LANE: Final = 15
_LINE: Final = 38
"""Pixels of one of the grid's rows, with the space to the next."""
_NO_ZERO: Final = {"dBm", "suffix: B"}
"""Units of which zero is nothing to compare with."""


def shown(variant: str, *kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Panels of some kinds, with the name that a failing test tells."""
    for key in _KEYS:
        for panel in panels(load(_STORE[variant], key)):
            if panel["type"] in kinds:
                yield f"{variant}/{key}: {panel['title']}", panel


def properties(panel: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """What, of which field, is how."""
    return [
        (one["id"], override["matcher"]["options"], one["value"])
        for override in panel["fieldConfig"].get("overrides", [])
        for one in override["properties"]
    ]


def legends(panel: dict[str, Any]) -> list[str]:
    return [target.get("alias") or target.get("legendFormat") or "" for target in panel["targets"]]


def names_in(panel: dict[str, Any]) -> set[str]:
    """Tags that a series' name has."""
    return set(re.findall(r"(?:\$tag_|\{\{)(\w+)", " ".join(legends(panel))))


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_line_or_state_joins_what_is_on_both_sides_of_a_silence(variant: str) -> None:
    """Prometheus's data source has nulls in silences unless a distance to put them is set; InfluxDB's needs one."""
    for name, panel in shown(variant, "timeseries", "state-timeline"):
        custom = panel["fieldConfig"]["defaults"].get("custom", {})
        told = {**custom, **{key.removeprefix("custom."): value for key, _, value in properties(panel)}}
        sources = {target["datasource"]["type"] for target in panel["targets"]}
        assert len(sources) == 1, name
        wanted, other = ("spanNulls", "insertNulls") if sources == {"prometheus"} else ("insertNulls", "spanNulls")
        assert told.get(wanted, 0) >= 300_000, name
        assert not told.get(other), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_worst_series_is_the_first_of_a_legend(variant: str) -> None:
    """There is room for three or four names of what may be hundreds."""
    orders = set()
    for name, panel in shown(variant, "timeseries"):
        custom, legend = panel["fieldConfig"]["defaults"]["custom"], panel["options"]["legend"]
        if custom.get("stacking", {}).get("mode") == "normal" or any(
            key == "custom.fillBelowTo" for key, _, _ in properties(panel)
        ):
            continue
        order = (legend["sortBy"], legend["sortDesc"])
        assert order in {("Max", True), ("Min", False)}, name
        assert legend["sortBy"].lower() in legend["calcs"], name
        orders.add(order)
    assert len(orders) == 2


def test_signal_and_score_are_worst_where_they_are_lowest() -> None:
    sorts = {name: panel["options"]["legend"].get("sortBy") for name, panel in shown("influxql", "timeseries")}
    assert sorts["influxql/wifi: Signal"] == "Min"
    assert sorts["influxql/wifi: Weakest and strongest signal"] == "Min"
    assert sorts["influxql/voip: MOS"] == "Min"
    assert sorts["influxql/latency: Round trip"] == "Max"


@pytest.mark.parametrize("variant", VARIANTS)
def test_areas_of_several_series_do_not_lie_on_each_other(variant: str) -> None:
    filled = 0
    for name, panel in shown(variant, "timeseries"):
        custom = panel["fieldConfig"]["defaults"]["custom"]
        if custom.get("stacking", {}).get("mode") == "normal" or not custom["fillOpacity"]:
            continue
        filled += 1
        assert len(panel["targets"]) == 1, name
        assert not names_in(panel), name
    assert filled


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_axis_begins_at_zero_where_zero_means_something(variant: str) -> None:
    without = set()
    for name, panel in shown(variant, "timeseries"):
        defaults = panel["fieldConfig"]["defaults"]
        logarithmic = defaults["custom"].get("scaleDistribution", {}).get("type") == "log"
        if not logarithmic and "min" not in defaults and "axisSoftMin" not in defaults["custom"]:
            without.add((name.partition(": ")[2], defaults["unit"]))
    assert {title for title, unit in without if unit not in _NO_ZERO} == {"TTL of replies"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_state_has_its_colour_by_words_or_by_limits(variant: str) -> None:
    """Grafana's default is a scale from the smallest to the largest value, on which the largest of good ones is red."""
    for name, panel in shown(variant, "state-timeline"):
        defaults = panel["fieldConfig"]["defaults"]
        mapped = bool(defaults.get("mappings"))
        assert defaults["color"]["mode"] == ("fixed" if mapped else "thresholds"), name
        assert mapped or len(defaults["thresholds"]["steps"]) > 1, name


def test_what_is_unusual_is_not_green() -> None:
    (flagged,) = [panel for name, panel in shown("influxql", "state-timeline") if name.endswith("Series in an anomaly")]
    (words,) = flagged["fieldConfig"]["defaults"]["mappings"]
    assert {value: word["color"] for value, word in words["options"].items()} == {"0": "green", "1": "red"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_of_lanes_have_room(variant: str) -> None:
    for name, panel in shown(variant, "state-timeline"):
        room = panel["gridPos"]["h"] * _LINE - 135  # title, axis, legend, pages
        assert panel["options"]["perPage"] * _LANE <= room, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_tile_or_bar_is_there_for_each_agent(variant: str) -> None:
    """Eighty tiles have letters of four pixels; 400 agents have thousands."""
    for name, panel in shown(variant, "stat", "bargauge"):
        assert not names_in(panel) & {"agent", "test"}, name
        assert panel["type"] == "bargauge" or not names_in(panel), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_number_without_limits_has_no_colour(variant: str) -> None:
    for name, panel in shown(variant, "stat"):
        limited = len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1
        assert panel["options"]["colorMode"] == ("value" if limited else "none"), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_tables_columns_fit_a_small_screen(variant: str) -> None:
    for name, panel in shown(variant, "table"):
        (organized,) = [step["options"] for step in panel["transformations"] if step["id"] == "organize"]
        columns = len(organized["indexByName"])
        assert panel["fieldConfig"]["defaults"]["custom"]["minWidth"] <= _READABLE, name
        assert panel["gridPos"]["w"] * _COLUMN / max(columns, 1) >= _READABLE, f"{name} has {columns} columns"


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_empty_cell_does_not_say_why_a_table_would_be_empty(variant: str) -> None:
    for name, panel in shown(variant, "table"):
        assert ("noValue", "/.*/", "–") in properties(panel), name
    for name, panel in shown(variant, "geomap"):
        named = {field for _, field, _ in properties(panel)}
        assert {field for key, field, value in properties(panel) if (key, value) == ("noValue", "–")} == named, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_links_of_a_table_are_on_what_its_rows_are_about(variant: str) -> None:
    linked = set()
    for name, panel in shown(variant, "table"):
        assert not panel["fieldConfig"]["defaults"].get("links"), name
        linked |= {field for key, field, _ in properties(panel) if key == "links"}
    assert linked <= {"site", "agent", "test", "target", "measurement", "field"}
    assert {"agent", "target"} <= linked
