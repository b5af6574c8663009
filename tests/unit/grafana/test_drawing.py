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
def test_no_tile_or_bar_is_there_for_each_agent(variant: str) -> None:
    """Eighty tiles have letters of four pixels; 400 agents have thousands."""
    for name, panel in shown(variant, "stat", "bargauge"):
        assert not names_in(panel) & {"agent", "test"}, name
        assert panel["type"] == "bargauge" or not names_in(panel), name


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
