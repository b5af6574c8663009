"""`streamswarm admin apply` and `export`: an installation kept in a file."""

import json
from pathlib import Path
from typing import Final

import pytest

from tests.unit.controlplane.conftest import Client, add_user, enrol_agent
from tests.unit.controlplane.shell import Shell

pytestmark = pytest.mark.parametrize("templates", ["sqlite"], indirect=True, scope="session")

NOC: Final = """\
sites:
  - {name: berlin, latitude: 52.52, longitude: 13.405}
agents:
  - name: berlin-1
    labels: {role: edge}
tests:
  - key: head-office
    name: Head office
    probe: icmp
    target: 192.0.2.1
    params: {count: 3}
    agents: [berlin-1]
    thresholds:
      - {field: rtt_mean, bad: 0.2}
channels:
  - name: NOC
    settings: {kind: webhook, url: https://hooks.example.com/x, headers: {X-Key: hush-hush}}
rules:
  - name: critical
    channels: [NOC]
    severities: [critical]
maintenance:
  - name: Move
    starts_at: 2031-01-05T22:00:00+01:00
    ends_at: 2031-01-06T02:00:00+01:00
    tests: [head-office]
"""
LISTS: Final = ("sites", "agents", "tests", "channels", "rules", "maintenance")


@pytest.fixture
def file(tmp_path: Path, admin: Client) -> Path:
    enrol_agent(admin, "berlin-1")
    path = tmp_path / "noc.yaml"
    path.write_text(NOC)
    return path


def everything(admin: Client) -> dict[str, object]:
    return {name: admin.http.get(f"/{name}").json()["items"] for name in (*LISTS, "assignments", "audit")}


def test_what_a_file_says_is_made_once(shell: Shell, admin: Client, file: Path) -> None:
    made = shell.ok("apply", str(file), "--yes")
    assert "shown once: whsec_" in made
    assert "+ test head-office\n" in made
    assert "~ agent berlin-1\n    labels.role: – → edge\n" in made
    assert [len(admin.http.get(f"/{name}").json()["items"]) for name in LISTS] == [1] * len(LISTS)
    assert len(admin.http.get("/assignments").json()["items"]) == 1
    before = everything(admin)
    again = shell.run("apply", str(file), "--yes")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "6 as they are\n")
    assert everything(admin) == before


def test_a_dry_run_shows_what_differs_and_changes_nothing(shell: Shell, admin: Client, file: Path) -> None:
    before = everything(admin)
    first = shell.run("apply", str(file), "--dry-run")
    assert (first.returncode, first.stderr) == (1, "5 to add, 1 to change, 0 as they are\n")
    assert everything(admin) == before
    shell.ok("apply", str(file), "--yes")
    changed = NOC.replace("count: 3", "count: 5").replace("bad: 0.2", "bad: 0.3").replace("hush-hush", "another")
    file.write_text(changed)
    shown = shell.run("apply", str(file), "--dry-run").stdout.splitlines()
    assert [line for line in shown if not line.startswith("    thresholds")] == [
        "~ test head-office",
        "    params.count: 3 → 5",
        "~ channel NOC",
        "    something that is not shown, such as a secret",
    ]
    shell.ok("apply", str(file), "--yes")
    assert admin.http.get("/tests").json()["items"][0]["params"] == {"count": 5}
    assert shell.run("apply", str(file), "--dry-run").returncode == 0


def test_nothing_is_done_without_a_yes(shell: Shell, admin: Client, file: Path) -> None:
    before = everything(admin)
    assert shell.run("apply", str(file), stdin="n\n").returncode == 1
    assert everything(admin) == before


def test_what_a_file_does_not_name_stays_unless_it_is_pruned(shell: Shell, admin: Client, file: Path) -> None:
    shell.ok("apply", str(file), "--yes")
    shell.ok("tests", "create", "system", "--key", "host")
    shell.ok("sites", "create", "paris")
    only_tests = file.with_name("tests.yaml")
    only_tests.write_text("tests:\n  - {key: head-office, interval: 7}\n")
    shell.ok("apply", str(only_tests), "--yes")
    found = {test["key"]: test for test in admin.http.get("/tests").json()["items"]}
    assert (set(found), found["head-office"]["interval"]) == ({"head-office", "host"}, 7)
    assert found["head-office"]["thresholds"][0]["bad"] == 0.2
    assert shell.run("apply", str(only_tests), "--prune", "--dry-run").stdout == "- test host\n"
    shell.ok("apply", str(only_tests), "--prune", "--yes")
    assert [test["key"] for test in admin.http.get("/tests").json()["items"]] == ["head-office"]
    assert len(admin.http.get("/sites").json()["items"]) == 2, "the file says nothing of sites"


@pytest.mark.parametrize(
    ("wrong", "right", "complaint"),
    [
        ("count: 3", "count: 3000", "noc.yaml, line 11, tests[0].params.count: Input should be less than"),
        ("probe: icmp", "probe: imcp", "noc.yaml, line 9, tests[0].probe: "),
        ("    name: Head", "    nane: x\n    name: Head", "noc.yaml, line 8, tests[0].nane: isn't known here"),
        ("agents: [berlin-1]", "agents: [rome-1]", "noc.yaml, line 7, tests[0]: no agent with the name or id 'rome-1'"),
        (
            "name: berlin-1",
            "name: rome-1",
            "noc.yaml, line 4, agents[0].name: no agent 'rome-1'; it has to enrol first",
        ),
        ("maintenance:", "windows:", "noc.yaml, line 22: windows: isn't known here; it takes sites, agents, tests"),
        ("hush-hush", '"********"', "noc.yaml, line 16, channels[0]: ******** stands for a secret"),
        ("  - name: Move", "  - name: Move\n    cron: '* *'", "noc.yaml, line 24, maintenance[0].cron: "),
        ("[critical]", "[dire]", "noc.yaml, line 21, rules[0].severities.0: "),
    ],
)
def test_a_mistake_is_told_with_its_line_before_anything_is_done(
    shell: Shell, admin: Client, file: Path, wrong: str, right: str, complaint: str
) -> None:
    file.write_text(NOC.replace(wrong, right))
    before = everything(admin)
    assert complaint in shell.refused("apply", str(file), "--yes")
    assert everything(admin) == before


def test_a_thing_that_is_declared_twice_is_refused(shell: Shell, file: Path) -> None:
    file.write_text("sites:\n  - {name: a}\n  - {name: b}\n  - {name: a}\n")
    assert "noc.yaml, line 4, sites[2].name: a is in noc.yaml, line 2, sites[0] already" in shell.refused(
        "apply", str(file), "--yes"
    ).replace(f"{file.parent}/", "")


def test_what_is_exported_is_what_is_there(shell: Shell, admin: Client, file: Path) -> None:
    shell.ok("apply", str(file), "--yes")
    done = shell.run("export")
    assert done.stderr == "******** stands for secrets, which the API doesn't tell: NOC\n"
    assert "hush-hush" not in done.stdout
    assert "whsec" not in done.stdout
    exported = json.loads(done.stdout)
    assert exported["tests"][0]["agents"] == ["berlin-1"]
    assert exported["rules"][0]["channels"] == ["NOC"]
    file.write_text(done.stdout)
    before = everything(admin)
    assert shell.run("apply", str(file), "--prune", "--yes").stderr == "7 as they are\n"
    assert everything(admin) == before


def test_times_of_yaml_are_what_they_look_like(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "window.yaml"
    file.write_text(
        "name: Move\nstarts_at: 2031-01-05T22:00:00+01:00\nends_at: 2031-01-06T02:00:00Z\neverything: true\n"
    )
    made = json.loads(shell.ok("maintenance", "create", "-f", str(file), "--json"))
    assert made[0]["starts_at"] == "2031-01-05T21:00:00Z"


def test_users_and_configuration_are_kept_and_nobody_is_removed(shell: Shell, admin: Client, tmp_path: Path) -> None:
    def roles() -> dict[str, tuple[str, bool]]:
        found = admin.http.get("/users").json()["items"]
        return {one["username"]: (one["role"], one["active"]) for one in found}

    shell.ok("users", "create", "olga")
    file = tmp_path / "people.yaml"
    file.write_text(
        "users:\n"
        "  - {username: kim, role: operator, email: kim@example.org}\n"
        "  - {username: tom, active: false}\n"
        "configuration:\n"
        "  - {key: offline_seconds, value: 300}\n"
    )
    before = everything(admin)
    tried = shell.run("apply", str(file), "--dry-run")
    assert (tried.returncode, tried.stderr) == (1, "2 to add, 1 to change, 0 as they are\n")
    assert "password" not in tried.stdout
    assert "~ key offline_seconds\n    value: 120.0 → 300\n" in tried.stdout
    assert everything(admin) == before
    assert roles().keys() == {"admin", "olga"}
    made = shell.ok("apply", str(file), "--prune", "--yes")
    assert made.count("password, shown once: ") == 2
    assert roles() == {
        "admin": ("admin", True),
        "olga": ("viewer", True),
        "kim": ("operator", True),
        "tom": ("viewer", False),
    }
    assert admin.http.get("/config/offline_seconds").json()["value"] == 300
    assert shell.run("apply", str(file), "--prune", "--yes").stderr == "3 as they are\n"
    exported = json.loads(shell.ok("export"))
    assert exported["configuration"] == [{"key": "offline_seconds", "value": 300}]
    assert {"username": "kim", "role": "operator", "email": "kim@example.org", "active": True} in exported["users"]
    file.write_text("users:\n  - {username: kim, role: viewer}\nconfiguration:\n  - {key: offline, value: 1}\n")
    assert "configuration[0].key: no key 'offline'; see streamswarm admin config list" in shell.refused(
        "apply", str(file), "--yes"
    )
    assert roles()["kim"] == ("operator", True), "nothing is done where something is wrong"


def test_who_is_no_admin_exports_what_they_may_see(shell: Shell, admin: Client) -> None:
    olga = add_user(admin, "olga", "operator")
    token = olga.http.post("/auth/tokens", json={"name": "script", "scope": "read"}).json()["token"]
    done = shell.run("export", STREAMSWARM_TOKEN=token)
    assert done.returncode == 0
    assert "users: left out: " in done.stderr
    assert json.loads(done.stdout).keys() == set(LISTS)
