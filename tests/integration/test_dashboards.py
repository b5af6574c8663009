"""Every query of every dashboard, asked of real stores as Grafana would ask it."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from streamswarm_core.clock import NANOSECONDS
from streamswarm_grafana.ask_store import Drawn, Store
from streamswarm_grafana.boards import BOARDS
from streamswarm_grafana.expand import View
from streamswarm_grafana.scenario import FAULTY, SILENCE, SILENT
from tests.integration.dashboard_files import FOLDERS, load, panels, sites_of
from tests.integration.dashboard_stores import Stores, filled_stores

pytestmark = [
    pytest.mark.xdist_group("dashboards"),
    pytest.mark.timeout(300),  # the first one waits until five stores are full
    pytest.mark.needs("influxd", "influxdb"),
    pytest.mark.needs("prometheus", "prometheus"),
    pytest.mark.needs("victoria-metrics", "victoria-metrics"),
]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    # Whole minutes, so that every run finds the points at the same place in their windows.
    stop_ns = int(time.time()) // 60 * 60 * NANOSECONDS
    with filled_stores(tmp_path_factory.mktemp("dashboards"), stop_ns) as filled:
        yield filled


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as shared:
        yield shared


def where(stores: Stores, store: str, target: dict[str, Any]) -> Store:
    """A target about the stack's services goes to the Prometheus that scrapes them."""
    return stores.by_name["prometheus" if target["datasource"]["uid"] == "${stack}" else store]


def draw(stores: Stores, store: str, client: httpx.Client, panel: dict[str, Any], view: View) -> dict[str, list[Drawn]]:
    return {
        target["refId"]: where(stores, store, target).run(client, target, view, panel["interval"])
        for target in panel["targets"]
    }


def whole(stores: Stores, **chosen: list[str]) -> View:
    return View(stores.start_ms, stores.stop_ms, chosen)


def moments(stores: Stores, panel: dict[str, Any]) -> View:
    """The whole scenario; tables, in the last minute of fault and silence: some of them are only about these."""
    return during(stores) if panel["type"] == "table" else whole(stores)


def during(stores: Stores) -> View:
    return View(stores.start_ms, stores.start_ms + (SILENCE[1] - 1) * 60_000)


def faults_of(
    stores: Stores, store: str, client: httpx.Client, key: str, look: Callable[[dict[str, Any]], View]
) -> list[str]:
    faults = []
    for panel in panels(load(store, key)):
        try:
            answers = draw(stores, store, client, panel, look(panel))
        except ValueError as error:
            faults.append(f"{panel['title']}: {error}")
            continue
        empty = [ref for ref, drawn in answers.items() if not any(one.has_data for one in drawn)]
        faults += [f"{panel['title']}: query {ref} has no data" for ref in empty]
    return faults


@pytest.mark.parametrize("store", FOLDERS)
def test_a_panel_without_data_is_named(stores: Stores, client: httpx.Client, store: str) -> None:
    before = View(stores.start_ms - 7_200_000, stores.start_ms - 3_600_000)
    titles = [panel["title"] for panel in panels(load(store, "latency")) for _ in panel["targets"]]
    faults = faults_of(stores, store, client, "latency", lambda _: before)
    assert [fault.partition(": query")[0] for fault in faults] == titles


@pytest.mark.parametrize("key", [board.key for board in BOARDS])
@pytest.mark.parametrize("store", FOLDERS)
def test_every_query_of_a_dashboard_returns_data(stores: Stores, client: httpx.Client, store: str, key: str) -> None:
    faults = faults_of(stores, store, client, key, lambda panel: moments(stores, panel))
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("key", [board.key for board in BOARDS])
@pytest.mark.parametrize("store", FOLDERS)
def test_every_variable_has_values_and_the_first_of_each_is_found(
    stores: Stores, client: httpx.Client, store: str, key: str
) -> None:
    board = load(store, key)
    chosen: dict[str, list[str]] = {}
    for variable in board["templating"]["list"]:
        if variable["type"] != "query":
            continue
        options = stores.by_name[store].options(client, variable["query"], whole(stores, **chosen))
        assert options, f"{variable['name']} has no values when {chosen} is chosen"
        chosen[variable["name"]] = [options[0]]


@pytest.mark.parametrize("store", FOLDERS)
def test_a_choice_of_several_with_special_characters_shows_them_and_nothing_else(
    stores: Stores, client: httpx.Client, store: str
) -> None:
    loss = next(
        panel for panel in panels(load(store, "latency")) if panel["title"] == "Loss" and panel["gridPos"]["w"] == 24
    )
    view = whole(stores, agent=["lon-1", "par-1"], target=["192.0.2.1"])
    drawn = draw(stores, store, client, loss, view)["A"]
    assert {one.name for one in drawn} == {"lon-1 → 192.0.2.1", "par-1 → 192.0.2.1"}


@pytest.mark.parametrize("store", FOLDERS)
def test_the_fault_is_seen_where_and_while_it_lasts(stores: Stores, client: httpx.Client, store: str) -> None:
    loss = next(
        panel for panel in panels(load(store, "latency")) if panel["title"] == "Loss" and panel["gridPos"]["w"] == 24
    )
    drawn = draw(stores, store, client, loss, whole(stores))["A"]
    assert {one.name.split(" ")[0] for one in drawn} > {"par-1"}
    for one in drawn:
        high = [at for at, value in one.rows if value is not None and value > 0.2]
        minutes = {(at - stores.start_ms) // 60_000 for at in high}
        if one.name.startswith("par-1"):
            # A window of Prometheus reaches back.
            assert 28 <= len(minutes) <= 35
            assert min(minutes) >= 59
            assert max(minutes) <= 95
        else:
            assert not minutes


@pytest.mark.parametrize("store", FOLDERS)
def test_failing_tests_are_those_of_the_faulty_agent_only(stores: Stores, client: httpx.Client, store: str) -> None:
    failing = next(panel for panel in panels(load(store, "overview")) if panel["title"] == "Failing tests")
    drawn = draw(stores, store, client, failing, whole(stores))["A"]
    assert {one.labels["agent"] for one in drawn} == {"par-1"}
    assert "par-1 http-1" in {one.name for one in drawn}


@pytest.mark.parametrize("store", FOLDERS)
def test_what_fails_now_is_named_and_nothing_of_who_is_silent(stores: Stores, client: httpx.Client, store: str) -> None:
    failing = next(panel for panel in panels(load(store, "overview")) if panel["title"] == "Failing now")
    drawn = draw(stores, store, client, failing, during(stores))["A"]
    assert {(one.labels["site"], one.labels["agent"]) for one in drawn} == {("paris", FAULTY)}
    assert ("http-1", "https://shop.example/cart?step=1") in {
        (one.labels["test"], one.labels["target"]) for one in drawn
    }
    if store in {"embedded", "influxdb"}:
        assert {one.rows[0][1 + one.columns.index("error")] for one in drawn} == {"timeout"}
    assert draw(stores, store, client, failing, whole(stores)) == {"A": []}


@pytest.mark.parametrize("store", FOLDERS)
def test_who_is_silent_is_named_until_heard_of_again(stores: Stores, client: httpx.Client, store: str) -> None:
    silent = next(panel for panel in panels(load(store, "overview")) if panel["title"] == "Silent agents")
    drawn = draw(stores, store, client, silent, during(stores))["A"]
    assert [(one.labels["site"], one.labels["agent"], one.rows[0][1]) for one in drawn] == [("tokyo", SILENT, 1)]
    assert draw(stores, store, client, silent, whole(stores)) == {"A": []}


@pytest.mark.parametrize("store", ["embedded", "influxdb"])
def test_what_the_newest_trace_did_not_have_stays_empty(stores: Stores, client: httpx.Client, store: str) -> None:
    newest = next(panel for panel in panels(load(store, "paths")) if panel["title"] == "Newest trace")
    place = next(place for place, one in enumerate(newest["targets"][0]["query"].split(", ")) if "failing hop" in one)
    for view, failing in ((View(stores.start_ms, stores.start_ms + 84 * 60_000), 6), (whole(stores), None)):
        rows = {one.labels["agent"]: one.rows[0][1 + place] for one in draw(stores, store, client, newest, view)["A"]}
        assert rows["par-1"] == failing
        assert rows["lon-1"] is None


@pytest.mark.parametrize("store", FOLDERS)
def test_the_map_has_every_site_at_its_place_with_what_is_wrong_there(
    stores: Stores, client: httpx.Client, store: str
) -> None:
    panel = next(one for one in panels(load(store, "overview")) if one["title"] == "Sites")
    during = View(stores.start_ms, stores.start_ms + 84 * 60_000)
    sites = sites_of(panel, draw(stores, store, client, panel, during))
    places = {name: (site["latitude"], site["longitude"]) for name, site in sites.items()}
    assert places == {"london": (51.5, -0.1), "paris": (48.9, 2.4), "tokyo": (35.7, 139.7)}
    assert {name: (site["agents"], site["agents offline"]) for name, site in sites.items()} == {
        "london": (2, 0),
        "paris": (1, 0),
        "tokyo": (1, 1),
    }
    assert sites["tokyo"]["agents offline (share)"] == 1
    # A silent agent's tests say nothing of now; its place and its loss before that stay.
    failing = {name: site.get("tests failing (share)") for name, site in sites.items()}
    assert failing == {"london": 0, "paris": 1, "tokyo": None}
    assert sites["paris"]["worst loss"] > 0.05 > sites["london"]["worst loss"]
    afterwards = sites_of(panel, draw(stores, store, client, panel, whole(stores)))
    assert {site["agents offline"] for site in afterwards.values()} == {0}
    assert {site["tests failing (share)"] for site in afterwards.values()} == {0}


@pytest.mark.parametrize("store", FOLDERS)
def test_the_map_names_the_columns_that_its_queries_answer_with(
    stores: Stores, client: httpx.Client, store: str
) -> None:
    """Grafana calls a value of PromQL after its query; the transformations and overrides have to mean these."""
    panel = next(one for one in panels(load(store, "overview")) if one["title"] == "Sites")
    answers = draw(stores, store, client, panel, whole(stores))
    known = {"site"}
    for target in panel["targets"]:
        (first, *_) = answers[target["refId"]]
        known |= set(first.labels) | ({f"Value #{target['refId']}"} if "expr" in target else set(first.columns))
    steps = {one["id"]: one["options"] for one in panel["transformations"]}
    assert list(steps) == ["filterFieldsByName", "merge", "groupBy", "calculateField", "filterByValue"]
    grouped = steps["groupBy"]["fields"]
    assert set(grouped) == known
    made = {f"{name} ({one['aggregations'][0]})" for name, one in grouped.items() if one["aggregations"]}
    assert {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]} == made
    assert set(steps["calculateField"]["reduce"]["include"]) <= made
    (layer,) = panel["options"]["layers"]
    assert {layer["location"]["latitude"], layer["location"]["longitude"]} <= made
    assert layer["config"]["style"]["color"]["field"] == steps["calculateField"]["alias"]
    assert steps["filterByValue"]["filters"][0]["fieldName"] == layer["location"]["latitude"]
