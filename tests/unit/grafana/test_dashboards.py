"""The dashboards as files: in Grafana's form, complete, and what their source says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_grafana import influxdb
from streamswarm_grafana.generate import ROOT, stale, write
from streamswarm_grafana.panel import WIDTH
from streamswarm_grafana.thresholds import limited, limits_of
from tests.integration.dashboard_files import panels

FILES: Final = sorted((ROOT / "grafana/dashboards").rglob("*.json"))
BUILT_IN: Final = re.compile(r"__\w+|timeFilter|tag_\w+|col|\d+")
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")
_LINK: Final = re.compile(r"/d/([\w-]+)")


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def load(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return body


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for one in value.values():
                yield from texts(one)
        case list():
            for one in value:
                yield from texts(one)


def test_the_files_are_what_their_source_says() -> None:
    assert stale() == []


def test_a_changed_a_missing_and_a_left_over_file_are_noticed(tmp_path: Path) -> None:
    write(tmp_path)
    assert stale(tmp_path) == []
    folder = tmp_path / "grafana/dashboards/influxql"
    (folder / "overview.json").write_text("{}")
    (folder / "paths.json").unlink()
    (folder / "old.json").write_text("{}")
    assert {Path(path).name for path in stale(tmp_path)} == {"overview.json", "paths.json", "old.json"}


@pytest.mark.parametrize("path", FILES, ids=named)
def test_grafanas_own_model_reads_a_dashboard_and_writes_the_same(path: Path) -> None:
    register_default_plugins()
    influxdb.register()
    board = load(path)
    # The SDK has no place for the keys that each data source adds to an annotation; another test holds those.
    known = {"name", "datasource", "enable", "hide", "iconColor", "filter", "type", "builtIn", "expr"}
    for annotation in board["annotations"]["list"]:
        for key in set(annotation) - known:
            del annotation[key]
    again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    assert again == board


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_annotation_says_how_it_is_asked(path: Path) -> None:
    found = {one["name"]: one for one in load(path)["annotations"]["list"]}
    assert found["Deployments"]["target"]["tags"] == ["deployment"]
    assert found["Maintenance"]["target"]["tags"] == ["maintenance"]
    assert ("Anomalies" in found) is (path.parent.name != "promql")


def test_uids_and_titles_are_unique_within_a_variant() -> None:
    boards = [(path.parent.name, load(path)) for path in FILES]
    uids = [board["uid"] for _, board in boards]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids)  # Grafana's limit
    titles = [(variant, board["title"]) for variant, board in boards]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_panels_overlap_and_none_leaves_the_grid(path: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in load(path)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_panel_says_what_it_shows_in_which_unit_and_from_where(path: Path) -> None:
    board = load(path)
    rows = [panel for panel in board["panels"] if panel["type"] == "row"]
    numbers = [panel["id"] for panel in [*rows, *panels(board)]]
    assert len(set(numbers)) == len(numbers)
    for panel in panels(board):
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_variable_used_is_defined_and_has_a_description(path: Path) -> None:
    board = load(path)
    variables = board["templating"]["list"]
    defined = {one["name"] for one in variables}
    used = {name for text in texts(board) for pair in _VARIABLE.findall(text) for name in pair if name}
    assert {name for name in used - defined if not BUILT_IN.fullmatch(name)} == set()
    assert all(one["description"] for one in variables)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_variables_are_narrowed_by_those_before_them(path: Path) -> None:
    asked = [one for one in load(path)["templating"]["list"] if one["type"] == "query"]
    for place, variable in enumerate(asked):
        text = json.dumps(variable["query"])
        used = {name for pair in _VARIABLE.findall(text) for name in pair if name}
        assert used == {one["name"] for one in asked[:place]}


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_link_leads_to_a_dashboard_of_the_same_variant_and_keeps_the_range(path: Path) -> None:
    board = load(path)
    uids = {load(one)["uid"] for one in FILES if one.parent == path.parent}
    (menu,) = board["links"]
    assert menu["includeVars"]
    assert menu["keepTime"]
    assert set(menu["tags"]) <= set(board["tags"])
    for text in texts(list(panels(board))):
        for uid in _LINK.findall(text):
            assert uid in uids
            assert "${__url_time_range}" in text


@pytest.mark.parametrize("path", FILES, ids=named)
def test_range_and_refresh_are_set(path: Path) -> None:
    board = load(path)
    assert board["time"]["to"] == "now"
    assert board["time"]["from"].startswith("now-")
    assert board["refresh"] in board["timepicker"]["refresh_intervals"]


def test_limits_are_of_fields_that_the_catalogue_has_and_go_in_its_direction() -> None:
    shown = list(limited())
    assert shown
    for measurement, name in shown:
        field = CATALOGUE[measurement][name]
        limits = limits_of(measurement, field)
        assert limits is not None
        assert limits.falling == (limits.bad < limits.warn), f"{measurement}.{name}"


def test_the_package_imports_core_and_no_service() -> None:
    sources = (ROOT / "grafana/streamswarm_grafana").rglob("*.py")
    imported = {name for path in sources for name in re.findall(r"(?:from|import) (streamswarm_\w+)", path.read_text())}
    assert imported == {"streamswarm_core", "streamswarm_grafana"}


def test_every_measurement_of_the_catalogue_is_on_a_dashboard() -> None:
    shown = "\n".join(path.read_text(encoding="utf-8") for path in FILES if path.parent.name == "influxql")
    # Left out on purpose: facts and parts of hardware that say little over time; docs/dashboards.md names them.
    quiet = {"host_facts", "host_fan", "host_voltage", "host_power_supply", "host_ecc"}
    missing = [name for name in CATALOGUE if f'\\"{name}\\"' not in shown and f"|{name}|" not in shown]
    assert set(missing) == quiet


def test_a_panel_without_data_says_what_is_missing() -> None:
    shown = {
        (path.stem, panel["title"], panel["type"]): panel["fieldConfig"]["defaults"]["noValue"]
        for path in FILES
        if path.parent.name == "influxql"
        for panel in panels(load(path))
    }
    assert shown["wifi", "Signal", "timeseries"] == "no points of host_wifi for this choice and range"
    assert shown["devices", "Device up", "state-timeline"] == "no points of gnmi for this choice and range"
    assert shown["platform", "Write-ahead log", "timeseries"] == "no data: does Prometheus scrape this service?"
    assert shown["overview", "Failing tests", "state-timeline"] == "nothing failed"
    assert "enter them on the console's page Sites" in shown["overview", "Sites", "geomap"]
    assert [key[:2] for key in shown if key[2] == "geomap"] == [("overview", "Sites"), ("paths", "Located hops")]
    assert shown["overview", "Failing now", "table"] == "no test fails now"
    assert shown["overview", "Silent agents", "table"] == "every agent of the range is heard of"
    assert shown["tcp", "Slowest", "table"] == "no points of tcp for this choice and range"
    # It is as large as a number would be.
    assert {text for (_, _, kind), text in shown.items() if kind == "stat"} == {"no data"}


_GROUPED: Final = re.compile(r'GROUP BY ((?:"\w+"(?:, )?)+)$')


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name == "influxql"], ids=named)
def test_tags_have_their_place_in_a_table(path: Path) -> None:
    """Grafana's InfluxDB data source gives them in another order at each refresh."""
    for panel in panels(load(path)):
        if panel["type"] != "table":
            continue
        (organized,) = [step["options"] for step in panel["transformations"] if step["id"] == "organize"]
        for target in panel["targets"]:
            grouped = _GROUPED.search(target.get("query", ""))
            tags = re.findall(r"\w+", grouped[1]) if grouped else []
            assert [tag for tag in tags if tag not in organized["indexByName"]] == [], panel["title"]


def test_changes_of_a_path_say_when_they_were() -> None:
    board = load(ROOT / "grafana/dashboards/influxql/paths.json")
    (changes,) = [panel for panel in panels(board) if panel["title"] == "What changed"]
    (organized,) = [step["options"] for step in changes["transformations"] if step["id"] == "organize"]
    assert organized["excludeByName"] == {}


_OF_A_LINK: Final = re.compile(
    r"host_net_(?:received|sent|speed)|host_wifi_(?:transmit|receive)_rate|device_interface_(?:in_rate|out_rate|speed)"
    r"|tcp_window_throughput|tcp_window(?:_sample)?_delivery_rate|bandwidth_(?:download|upload)"
)
_OF_A_DISK: Final = re.compile(r"(?:host_diskio_(?:read|written)|host_memory_swap_(?:in|out))(?=_bytes|\{)")


@pytest.mark.parametrize("variant", ["promql", "victoriametrics"])
def test_links_are_read_in_bits_per_second_and_disks_in_bytes_on_every_board(variant: str) -> None:
    found = {"bps": 0, "Bps": 0}
    for path in FILES:
        if path.parent.name != variant:
            continue
        for panel in panels(load(path)):
            for target in panel.get("targets", []):
                expression = target.get("expr", "")
                link, disk = _OF_A_LINK.search(expression), _OF_A_DISK.search(expression)
                shown = link or disk
                if panel["type"] != "timeseries" or shown is None:
                    continue
                unit = "bps" if link else "Bps"
                found[unit] += 1
                assert panel["fieldConfig"]["defaults"]["unit"] == unit, (named(path), panel["title"])
                measurement, field = next(
                    (one, field)
                    for one in CATALOGUE.values()
                    for field in one.fields
                    if f"{one.name}_{field.name}" == shown[0]
                )
                in_bytes = field.unit.name.startswith("bytes per second") or variant == "promql"
                assert expression.endswith(" * 8") == bool(link and in_bytes), (measurement.name, expression)
    assert min(found.values()) > 1


def test_bits_are_made_of_bytes_in_influxql_too() -> None:
    board = load(ROOT / "grafana/dashboards/influxql/hosts.json")
    asked = [target.get("query", "") for panel in panels(board) for target in panel.get("targets", [])]
    assert any(query.startswith('SELECT mean("received") * 8 AS "received" FROM "host_net"') for query in asked)
    assert any(query.startswith('SELECT mean("read") AS "read" FROM "host_diskio"') for query in asked)


def test_rates_and_facts_are_shown_in_words_that_need_no_key() -> None:
    """Grafana writes "c/s" for cps, which can be anything, and "On" for a certificate that is valid."""
    shown = [text for path in FILES for panel in panels(load(path)) for text in texts(panel["fieldConfig"])]
    assert not {"cps", "bool_on_off"} & set(shown)
    assert {"count:/s", "bool_yes_no"} <= set(shown)
