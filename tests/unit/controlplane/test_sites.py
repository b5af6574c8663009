"""Sites: their places, who is at them, and how agents hear of it."""

from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from streamswarm_controlplane.agents.models import Agent
from streamswarm_core.clock import now
from tests.unit.controlplane.conftest import Client, add_user, database_of, enrol_agent
from tests.unit.controlplane.plans import beat
from tests.unit.controlplane.refusals import is_problem

BERLIN: dict[str, Any] = {"name": "berlin", "latitude": 52.52, "longitude": 13.405, "address": "Alexanderplatz 1"}


def add(client: Client, **site: Any) -> dict[str, Any]:
    answer = client.http.post("/sites", json=site)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def last_entry(admin: Client) -> dict[str, Any]:
    entry: dict[str, Any] = admin.http.get("/audit").json()["items"][0]
    return entry


def place_told(admin: Client, headers: dict[str, str]) -> tuple[float | None, float | None]:
    reply = beat(admin, headers)
    return reply["latitude"], reply["longitude"]


def test_an_agent_hears_of_its_sites_place_with_its_next_heartbeat(admin: Client) -> None:
    agent, headers = enrol_agent(admin)
    assert place_told(admin, headers) == (None, None)
    site = add(admin, **BERLIN)
    add(admin, name="paris", latitude=48.85, longitude=2.35)
    assert place_told(admin, headers) == (52.52, 13.405)
    admin.http.patch(f"/sites/{site['id']}", json={"longitude": 13.5}).raise_for_status()
    assert place_told(admin, headers) == (52.52, 13.5)
    admin.http.patch(f"/agents/{agent}", json={"site": "paris"}).raise_for_status()
    assert place_told(admin, headers) == (48.85, 2.35)
    admin.http.patch(f"/agents/{agent}", json={"site": ""}).raise_for_status()
    assert place_told(admin, headers) == (None, None)


def test_a_site_that_is_removed_leaves_its_agents_their_site_without_a_place(admin: Client) -> None:
    agent, headers = enrol_agent(admin)
    site = add(admin, **BERLIN)
    assert admin.http.delete(f"/sites/{site['id']}").status_code == 204
    assert place_told(admin, headers) == (None, None)
    assert admin.http.get(f"/agents/{agent}").json()["site"] == "berlin"
    entry = last_entry(admin)
    assert (entry["action"], entry["object"], entry["before"]["latitude"]) == ("site.delete", "berlin", 52.52)


def test_a_site_without_a_place_is_kept_and_tells_none(admin: Client) -> None:
    _, headers = enrol_agent(admin)
    site = add(admin, name="berlin", address="somewhere in Berlin")
    assert (site["latitude"], site["longitude"], site["address"]) == (None, None, "somewhere in Berlin")
    assert place_told(admin, headers) == (None, None)


def test_agents_are_counted_where_they_are_and_shut_out_ones_nowhere(admin: Client) -> None:
    ids = [enrol_agent(admin, name)[0] for name in ("berlin-1", "berlin-2", "berlin-3")]
    with database_of(admin).session() as db:
        db.execute(update(Agent).where(Agent.id == ids[0]).values(last_seen_at=now() - timedelta(hours=1)))
        db.execute(update(Agent).where(Agent.id == ids[1]).values(last_seen_at=now()))
    admin.http.post(f"/agents/{ids[2]}/revoke").raise_for_status()
    site = add(admin, **BERLIN)
    assert (site["agents"], site["offline"]) == (2, 1)
    add(admin, name="paris")
    counted = [(one["name"], one["agents"], one["offline"]) for one in admin.http.get("/sites").json()["items"]]
    assert counted == [("berlin", 2, 1), ("paris", 0, 0)]


def test_sites_that_only_agents_name_are_listed_apart_until_they_are_added(admin: Client) -> None:
    agent, _ = enrol_agent(admin)
    nowhere, _ = enrol_agent(admin, "lost-1")
    admin.http.patch(f"/agents/{nowhere}", json={"site": ""}).raise_for_status()
    assert admin.http.get("/sites").json()["items"] == []
    unlisted = admin.http.get("/sites/unlisted").json()["items"]
    assert unlisted == [{"name": "berlin", "agents": 1, "offline": 0}]
    admin.http.patch(f"/agents/{agent}", json={"site": "Berlin"}).raise_for_status()
    add(admin, **BERLIN)
    named = [one["name"] for one in admin.http.get("/sites/unlisted").json()["items"]]
    assert named == ["Berlin"], "a tag's case counts, so this is another site"


def test_sites_are_found_by_name_and_by_whether_they_have_a_place(admin: Client) -> None:
    for site in (BERLIN, {"name": "paris"}, {"name": "bern", "latitude": 46.95, "longitude": 7.45}):
        add(admin, **site)

    def found(**query: Any) -> list[str]:
        return [one["name"] for one in admin.http.get("/sites", params=query).raise_for_status().json()["items"]]

    assert found() == ["berlin", "bern", "paris"]
    assert found(q="ber") == ["berlin", "bern"]
    assert found(placed="false") == ["paris"]
    assert found(q="ber", placed="true", limit=1) == ["berlin"]


@pytest.mark.parametrize(
    "place",
    [
        {"latitude": 90.0001, "longitude": 0},
        {"latitude": -91, "longitude": 0},
        {"latitude": 0, "longitude": 180.5},
        {"latitude": 0, "longitude": -181},
        {"latitude": 52.5},
        {"longitude": 13.4},
        {"latitude": "52.5", "longitude": "13.4"},
        {"latitude": True, "longitude": False},
        {"latitude": None, "longitude": 13.4},
    ],
)
def test_a_place_is_two_numbers_on_the_globe_or_none(admin: Client, place: dict[str, Any]) -> None:
    is_problem(admin.http.post("/sites", json={"name": "x", **place}), 422)
    assert admin.http.get("/sites").json()["items"] == []


def test_poles_date_line_and_null_island_are_places(admin: Client) -> None:
    for number, place in enumerate([(90, 180), (-90, -180), (0, 0)]):
        made = add(admin, name=f"s{number}", latitude=place[0], longitude=place[1])
        assert (made["latitude"], made["longitude"]) == place


@pytest.mark.parametrize("name", ["", "   ", "a/b", "x" * 64, "line\nbreak", "Zürich"])
def test_a_name_is_what_agents_may_have_as_their_site(admin: Client, name: str) -> None:
    is_problem(admin.http.post("/sites", json={"name": name}), 422)


def test_a_change_leaves_what_it_does_not_name_and_null_takes_the_place_away(admin: Client) -> None:
    path = f"/sites/{add(admin, **BERLIN)['id']}"
    changed = admin.http.patch(path, json={"address": "Mitte"}).json()
    assert (changed["latitude"], changed["address"]) == (52.52, "Mitte")
    entry = last_entry(admin)
    assert (entry["before"]["address"], entry["after"]["address"]) == ("Alexanderplatz 1", "Mitte")
    half = is_problem(admin.http.patch(path, json={"longitude": None}), 422)
    assert half["errors"][0]["field"] == "body.longitude"
    gone = admin.http.patch(path, json={"latitude": None, "longitude": None, "address": ""}).json()
    assert (gone["latitude"], gone["longitude"], gone["address"]) == (None, None, "")
    is_problem(admin.http.patch(path, json={"latitude": 1}), 422)


def test_a_site_has_a_time_zone_once_somebody_says_it_and_null_takes_it_away(admin: Client) -> None:
    site = add(admin, **BERLIN)
    path = f"/sites/{site['id']}"
    assert site["time_zone"] is None
    changed = admin.http.patch(path, json={"time_zone": "Europe/Berlin"}).json()
    assert (changed["time_zone"], changed["latitude"]) == ("Europe/Berlin", 52.52)
    entry = last_entry(admin)
    assert (entry["before"]["time_zone"], entry["after"]["time_zone"]) == (None, "Europe/Berlin")
    assert admin.http.patch(path, json={"address": "Mitte"}).json()["time_zone"] == "Europe/Berlin"
    assert admin.http.patch(path, json={"time_zone": None}).json()["time_zone"] is None
    assert add(admin, name="pune", time_zone="Asia/Kolkata")["time_zone"] == "Asia/Kolkata"


def test_a_change_to_the_same_is_none(admin: Client) -> None:
    site = add(admin, **BERLIN)
    before = last_entry(admin)["id"]
    again = admin.http.patch(f"/sites/{site['id']}", json={"latitude": 52.52}).json()
    assert again["updated_at"] == site["updated_at"]
    assert last_entry(admin)["id"] == before


def test_the_name_stays_as_stored_points_have_it(admin: Client) -> None:
    path = f"/sites/{add(admin, **BERLIN)['id']}"
    refused = is_problem(admin.http.patch(path, json={"name": "bern"}), 422)
    assert "body.name: isn't known here; it takes latitude, longitude, time_zone, address" in refused["detail"]


def test_somebody_elses_change_is_not_overwritten_and_a_heartbeat_is_no_change(admin: Client) -> None:
    path = f"/sites/{add(admin, **BERLIN)['id']}"
    read = admin.http.get(path).headers["ETag"]
    assert admin.http.get(path, headers={"If-None-Match": read}).status_code == 304
    enrol_agent(admin)
    assert admin.http.patch(path, json={"address": "Mitte"}, headers={"If-Match": read}).status_code == 200
    is_problem(admin.http.patch(path, json={"address": "x"}, headers={"If-Match": read}), 412)
    is_problem(admin.http.delete(path, headers={"If-Match": read}), 412)


def test_of_two_who_add_a_site_at_the_same_time_one_does(admin: Client) -> None:
    barrier, answers = Barrier(2), []

    def attempt() -> None:
        with httpx.Client(headers=admin.http.headers, cookies=admin.http.cookies, timeout=60) as http:
            barrier.wait()
            answers.append(http.post(f"{admin.url}/api/v1/sites", json=BERLIN).status_code)

    both = [Thread(target=attempt) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(answers) == [201, 409]
    problem = is_problem(admin.http.post("/sites", json=BERLIN), 409)
    assert problem["errors"][0]["field"] == "body.name"


def test_viewers_see_sites_and_change_none(admin: Client) -> None:
    path = f"/sites/{add(admin, **BERLIN)['id']}"
    vera = add_user(admin, "vera", "viewer")
    assert vera.http.get("/sites").json()["items"][0]["name"] == "berlin"
    for refused in (
        vera.http.post("/sites", json={"name": "x"}),
        vera.http.patch(path, json={"address": "x"}),
        vera.http.delete(path),
    ):
        is_problem(refused, 403)
