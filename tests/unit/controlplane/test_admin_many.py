"""`streamswarm admin` with hundreds of agents and tests: many at once, and from one control plane to another."""

import json
from pathlib import Path

import pytest

from tests.unit.controlplane.conftest import Client, enrol_agent
from tests.unit.controlplane.shell import Shell

pytestmark = pytest.mark.parametrize("templates", ["sqlite"], indirect=True, scope="session")


def labels_of(admin: Client) -> dict[str, dict[str, str]]:
    return {agent["name"]: agent["labels"] for agent in admin.http.get("/agents").json()["items"]}


def test_agents_are_labelled_by_the_dozen_and_keep_their_other_labels(shell: Shell, admin: Client) -> None:
    ids = [enrol_agent(admin, name)[0] for name in ("berlin-1", "berlin-2", "paris-1")]
    admin.http.patch(f"/agents/{ids[0]}", json={"labels": {"rack": "a-12", "line": "dsl"}}).raise_for_status()
    shell.ok("agents", "label", "role=edge", "rack-", "filter=a=b", "-a", "berlin-1", "-a", ids[1])
    put = {"role": "edge", "filter": "a=b"}
    assert labels_of(admin) == {"berlin-1": {"line": "dsl", **put}, "berlin-2": put, "paris-1": {}}
    done = json.loads(shell.ok("agents", "label", "floor=5", "-w", "site=berlin", "-w", "label=line", "--json"))
    assert [(one["agent"], one["ok"]) for one in done] == [("berlin-1", True)]
    assert labels_of(admin)["berlin-1"]["floor"] == "5"
    assert "say which agents" in shell.refused("agents", "label", "role=edge")
    assert "NAME=VALUE" in shell.refused("agents", "label", "role", "-a", "berlin-1")


def test_one_thing_is_done_to_many_agents_and_what_one_refuses_is_told(shell: Shell, admin: Client) -> None:
    for name in ("berlin-1", "berlin-2"):
        enrol_agent(admin, name)
    shell.ok("agents", "bulk", "drain", "-w", "site=berlin")
    assert [agent["draining"] for agent in admin.http.get("/agents").json()["items"]] == [True, True]
    asked = shell.run("agents", "bulk", "revoke", "-w", "site=berlin", stdin="n\n")
    assert (asked.returncode, "the 2 agents berlin-1, berlin-2" in asked.stderr) == (1, True)
    shell.ok("agents", "bulk", "revoke", "-a", "berlin-1", "--yes")
    states = {agent["name"]: agent["state"] for agent in admin.http.get("/agents").json()["items"]}
    assert (states["berlin-1"], states["berlin-2"]) == ("revoked", "never seen")
    mixed = shell.run("agents", "bulk", "restart", "-w", "site=berlin", "--yes", "--json")
    assert mixed.returncode == 1
    refused = {one["agent"]: (one["ok"], one["detail"]) for one in json.loads(mixed.stdout)}["berlin-1"]
    assert (refused[0], "shut out" in refused[1] or "revoked" in refused[1]) == (False, True)


def test_a_token_for_many_agents_is_made_with_labels(shell: Shell) -> None:
    made = json.loads(
        shell.ok(
            "enrolment-tokens", "create", "--site", "berlin", "--uses", "400", "-l", "role=edge", "-l", "a=b", "--json"
        )
    )
    assert (made["uses"], made["labels"]) == (400, {"role": "edge", "a": "b"})
    assert "role=edge" in shell.ok("enrolment-tokens", "list")


def test_a_test_is_given_to_several_agents_and_taken_from_them(shell: Shell, admin: Client) -> None:
    for name in ("berlin-1", "berlin-2", "paris-1"):
        enrol_agent(admin, name)
    shell.ok("tests", "create", "icmp", "127.0.0.1", "--key", "loop")
    shell.ok("tests", "assign", "loop", "berlin-1", "berlin-2", "paris-1")
    shell.ok("tests", "unassign", "loop", "berlin-1", "paris-1")
    assert "loop" in shell.ok("results")
    assert len(admin.http.get("/assignments").json()["items"]) == 1
    assert "doesn't run" in shell.refused("tests", "unassign", "loop", "berlin-2", "paris-1")


def test_what_was_exported_is_imported_again_without_what_is_there(shell: Shell, admin: Client, tmp_path: Path) -> None:
    for name in ("berlin-1", "berlin-2"):
        enrol_agent(admin, name)
    schedule = ("-s", "schedule.kind=cron", "-s", "schedule.cron=30 3 * * *", "-s", "schedule.zone=Europe/Berlin")
    shell.ok("tests", "create", "icmp", "192.0.2.1", "--key", "one", "-o", "count=9", "-a", "berlin-1", *schedule)
    limits = '[{"field": "rtt_mean", "bad": 0.2}]'
    two = ("tests", "create", "icmp", "192.0.2.2", "--key", "two", "--selector", "site=berlin")
    shell.ok(*two, "-s", f"thresholds={limits}")
    file = tmp_path / "tests.json"
    file.write_text(shell.ok("tests", "export"))
    before = {test["key"]: test for test in admin.http.get("/tests").json()["items"]}

    again = shell.refused("tests", "create", "-f", str(file))
    assert "test one, number 1 of 2: " in again
    assert "0 before it are made" in again
    shell.ok("tests", "delete", "one", "--yes")
    skipped = shell.run("tests", "create", "-f", str(file), "--skip-existing", "--json")
    assert (skipped.returncode, skipped.stderr) == (0, "test two: is there already\n")
    after = {test["key"]: test for test in admin.http.get("/tests").json()["items"]}
    made_anew = {"id", "created_at", "updated_at"}
    for key in ("one", "two"):
        for name in after[key].keys() - made_anew:
            assert after[key][name] == before[key][name], (key, name)
    assert "berlin-1" in shell.ok("tests", "progress", "one")


def test_secrets_are_not_exported_and_no_asterisks_are_imported_in_their_place(shell: Shell, tmp_path: Path) -> None:
    target = "http://127.0.0.1/"
    shell.ok("tests", "create", "http", target, "--key", "web", "-o", "username=kim", "-o", "password=s3cret")
    exported = shell.run("tests", "export")
    assert "those of web" in exported.stderr
    assert "s3cret" not in exported.stdout
    file = tmp_path / "tests.json"
    file.write_text(exported.stdout.replace('"web"', '"web-2"'))
    assert "stands for a secret" in shell.refused("tests", "create", "-f", str(file))


CSV = """\ufeffName;Latitude;Longitude;Time_Zone;Address\r
berlin;52,52;13,405;Europe/Berlin;Alexanderplatz 1\r
cape town;-33.92;18.42; Africa/Johannesburg;\r
lisbon;;;;\r
"""
PLACE = ("latitude", "longitude", "time_zone", "address")


def sites_of(admin: Client) -> dict[str, tuple[float | str | None, ...]]:
    found = admin.http.get("/sites").json()["items"]
    return {site["name"]: tuple(site[name] for name in PLACE) for site in found}


def test_sites_come_from_a_spreadsheet_and_again_after_it_was_changed(shell: Shell, admin: Client) -> None:
    enrol_agent(admin, "berlin-1")
    assert "berlin" in shell.ok("sites", "unlisted")
    file = shell.home / "sites.csv"
    file.write_text(CSV, encoding="utf-8")
    assert {one["done"] for one in json.loads(shell.ok("sites", "import", str(file), "--json"))} == {"added"}
    known = {
        "berlin": (52.52, 13.405, "Europe/Berlin", "Alexanderplatz 1"),
        "cape town": (-33.92, 18.42, "Africa/Johannesburg", ""),
        "lisbon": (None, None, None, ""),
    }
    assert sites_of(admin) == known
    assert shell.ok("sites", "unlisted") == ""
    entries = len(admin.http.get("/audit").json()["items"])
    file.write_text("name,latitude,longitude\nlisbon,38.72,-9.14\nberlin,52.52,13.405\n")
    done = json.loads(shell.ok("sites", "import", str(file), "--json"))
    assert [(one["site"], one["done"]) for one in done] == [("lisbon", "changed"), ("berlin", "unchanged")]
    assert sites_of(admin) == {**known, "lisbon": (38.72, -9.14, None, "")}
    assert len(admin.http.get("/audit").json()["items"]) == entries + 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("berlin,52.52,13.405\n", "the first line has to name the columns, each once: name,latitude"),
        (
            "name,latitude,longitude\nberlin,52° 31' N,13.405\n",
            'line 2: latitude: "52° 31\' N" is no number of degrees',
        ),
        ("name,latitude,longitude\nberlin,52.52,13.405,1\n", "line 2: has more columns than the first line"),
        (
            "name,lat\nberlin,52.52\n",
            "line 2: lat: isn't known here; takes name, latitude, longitude, time_zone, address",
        ),
        ("name\nberlin\nberlin\n", "line 3: berlin is in the file twice"),
        ("name,address\n,somewhere\n", "line 2: has no name"),
    ],
)
def test_a_spreadsheet_that_is_no_list_of_sites_is_refused_before_anything_is_done(
    shell: Shell, admin: Client, text: str, said: str
) -> None:
    (shell.home / "sites.csv").write_text(text)
    assert said in shell.refused("sites", "import", "sites.csv")
    assert sites_of(admin) == {}


def test_a_site_that_is_refused_is_told_with_its_line_and_what_is_done(shell: Shell, admin: Client) -> None:
    (shell.home / "sites.csv").write_text("name,latitude,longitude\nbern,46.95,7.45\nrome,141.9,12.5\nparis,48.9,2.4\n")
    refusal = shell.refused("sites", "import", "sites.csv")
    assert "sites.csv, line 3, rome: latitude: Input should be less than or equal to 90" in refusal
    assert "the 1 before it are done" in refusal
    assert list(sites_of(admin)) == ["bern"]


def test_a_site_is_added_changed_and_removed_by_name(shell: Shell, admin: Client) -> None:
    made = json.loads(shell.ok("sites", "create", "perth", "--latitude=-31.95", "--longitude", "115.86", "--json"))
    assert tuple(made[name] for name in PLACE) == (-31.95, 115.86, None, "")
    shell.ok("sites", "update", "perth", "-s", "address=Hay Street 1", "-s", "time_zone=Australia/Perth")
    assert sites_of(admin)["perth"] == (-31.95, 115.86, "Australia/Perth", "Hay Street 1")
    assert "did you mean Australia/Perth?" in shell.refused("sites", "create", "fremantle", "--time-zone", "Perth")
    shell.ok("sites", "update", "perth", "-s", "latitude=null", "-s", "longitude=null")
    assert sites_of(admin)["perth"] == (None, None, "Australia/Perth", "Hay Street 1")
    assert "longitude: takes latitude and longitude together" in shell.refused(
        "sites", "update", "perth", "-s", "latitude=1"
    )
    assert "perth" in shell.ok("sites", "list")
    shell.ok("sites", "delete", "perth", "--yes")
    assert sites_of(admin) == {}
