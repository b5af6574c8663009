"""How panels look once Grafana draws them: rules found by looking at what its own components make of them."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from streamswarm_grafana.generate import ROOT
from tests.integration.dashboard_files import FOLDERS, load, panels

VARIANTS: Final = sorted(set(FOLDERS.values()))
_STORE: Final = {variant: store for store, variant in FOLDERS.items()}
_KEYS: Final = sorted(path.stem for path in (ROOT / "grafana/dashboards/influxql").glob("*.json"))


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
