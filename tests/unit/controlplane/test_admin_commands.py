"""`streamswarm admin` as a user types it, against a real control plane."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping

import pytest

from streamswarm_cli.admin import noun, results
from streamswarm_controlplane.notifications.models import Alert
from streamswarm_core.clock import now
from tests.unit.controlplane.conftest import PASSWORD, Client, add_user, database_of, enrol_agent
from tests.unit.controlplane.routes import ROUTES
from tests.unit.controlplane.shell import Shell

# Commands know nothing of the database.
pytestmark = pytest.mark.parametrize("templates", ["sqlite"], indirect=True, scope="session")


def test_a_login_is_kept_for_its_owner_only_until_the_logout(shell: Shell, admin: Client) -> None:
    file = shell.home / "streamswarm" / "admin.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text()
    me = json.loads(shell.ok("whoami", "--json"))
    assert (me["username"], me["role"], me["url"]) == ("admin", "admin", admin.url)
    assert "csrf_token" not in me
    session = json.loads(file.read_text())["session"]
    shell.ok("logout")
    assert not file.exists()
    assert "not logged in" in shell.refused("whoami")
    admin.http.cookies.clear()
    assert admin.http.get("/auth/me", headers={"Cookie": f"streamswarm_session={session}"}).status_code == 401


def test_a_wrong_password_keeps_nothing(shell: Shell) -> None:
    shell.ok("logout")
    assert "wrong user name or password" in shell.refused("login", "--username", "admin", stdin="wrong\n")
    assert not (shell.home / "streamswarm" / "admin.json").exists()


def test_a_session_is_sent_to_nobody_but_its_control_plane(shell: Shell) -> None:
    refusal = shell.refused("--url", "http://127.0.0.1:1", "whoami")
    assert "you are logged in at" in refusal
    # What it says to do is understood, if not answered there.
    assert "--url http://127.0.0.1:1 login" in refusal
    shell.refused("--url", "http://127.0.0.1:1", "login", stdin="a token")


def test_a_control_plane_that_is_away_is_one_line_and_exit_code_two(shell: Shell) -> None:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("STREAMSWARM_")}
    environment = {"STREAMSWARM_URL": "http://127.0.0.1:1", "STREAMSWARM_TOKEN": "sst_planted-secret"}
    command = [sys.executable, "-m", "streamswarm_cli", "admin", "whoami"]
    done = subprocess.run(
        command, cwd=shell.home, env=inherited | environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "http://127.0.0.1:1" in done.stderr
    assert "planted-secret" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unknown_token_is_refused_as_such(shell: Shell) -> None:
    done = shell.run("users", "list", STREAMSWARM_TOKEN="sst_unknown")
    assert (done.returncode, done.stdout) == (2, "")


def test_tests_without_a_name_are_called_by_target_and_probe(shell: Shell) -> None:
    made = [json.loads(shell.ok("tests", "create", probe, "192.0.2.1", "--json")) for probe in ("icmp", "traceroute")]
    assert [(one["name"], one["key"]) for one in made] == [
        ("192.0.2.1 (icmp)", "192-0-2-1-icmp"),
        ("192.0.2.1 (traceroute)", "192-0-2-1-traceroute"),
    ]
    assert "the test 192-0-2-1-icmp" in shell.refused("tests", "create", "icmp", "192.0.2.1")


def test_tests_are_made_changed_paused_assigned_and_removed_by_name(shell: Shell, admin: Client) -> None:
    enrol_agent(admin, "berlin-1")
    created = json.loads(
        shell.ok("tests", "create", "icmp", "127.0.0.1", "--key", "loop", "-o", "count=3", "-a", "berlin-1", "--json")
    )
    assert (created["key"], created["name"], created["params"]) == ("loop", "loop", {"count": 3})
    table = shell.ok("tests", "list").splitlines()
    assert table[0].split()[:4] == ["key", "name", "probe", "target"]
    assert table[2].split()[:4] == ["loop", "loop", "icmp", "127.0.0.1"]
    assert "count=3" in table[2]
    assert json.loads(shell.ok("tests", "update", "loop", "-s", "interval=5", "--json"))["interval"] == 5
    assert json.loads(shell.ok("tests", "pause", "loop", "--json"))["paused"] is True
    assert json.loads(shell.ok("tests", "resume", "loop", "--json"))["paused"] is False
    shell.ok("tests", "unassign", "loop", "berlin-1")
    assert "doesn't run" in shell.refused("tests", "unassign", "loop", "berlin-1")
    shell.ok("tests", "assign", "loop", "berlin-1")
    assert [item["test"]["key"] for item in json.loads(shell.ok("results", "--json"))["items"]] == ["loop"]
    assert "loop" in shell.ok("results")
    shell.ok("tests", "delete", "loop", "--yes")
    assert json.loads(shell.ok("tests", "list", "--json")) == []
    assert "no test with the key or id 'loop'" in shell.refused("tests", "show", "loop")


def test_nothing_is_removed_without_a_yes(shell: Shell) -> None:
    shell.ok("tests", "create", "icmp", "127.0.0.1", "--key", "loop")
    assert shell.run("tests", "delete", "loop", stdin="n\n").returncode == 1
    assert len(json.loads(shell.ok("tests", "list", "--json"))) == 1


@pytest.mark.parametrize("file", ["tests.yaml", "tests.json", "-"])
def test_tests_of_a_file_are_made(shell: Shell, admin: Client, file: str) -> None:
    enrol_agent(admin, "berlin-1")
    many = [{"name": f"Loop {n}", "probe": "icmp", "target": "127.0.0.1", "agents": ["berlin-1"]} for n in range(3)]
    text = json.dumps(many) if file != "tests.yaml" else "---\n".join(yaml_of(one) for one in many)
    if file != "-":
        (shell.home / file).write_text(text)
    shell.ok("tests", "create", "-f", file, "--interval", "7", stdin=text if file == "-" else "")
    found = json.loads(shell.ok("tests", "list", "--json"))
    assert [(one["key"], one["interval"]) for one in found] == [(f"loop-{n}", 7) for n in range(3)]
    assert len(json.loads(shell.ok("results", "--json"))["items"]) == 3


def yaml_of(test: Mapping[str, object]) -> str:
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in test.items())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tests", "create", "icmp", "127.0.0.1", "-o", "count=500"), "params.count: "),
        (("tests", "create", "telepathy", "x"), "no probe 'telepathy'"),
        (("tests", "create", "icmp", "x", "--interval", "0"), "interval: "),
        (("tests", "create", "icmp", "x", "-a", "nobody"), "no agent with the name or id 'nobody'"),
        (("tests", "create", "icmp", "x", "-s", "colour"), "--set colour: takes KEY=VALUE"),
        (("tests", "create", "-f", "missing.yaml"), "missing.yaml: No such file"),
        (("users", "create", "kim", "--role", "king"), "role: "),
        (("users", "update", "admin", "-s", "role=viewer"), "yourself"),
        (("tokens", "create", "x", "agent"), "scopes: "),
        (("agents", "list", "-w", "state=tired"), "state: "),
        (("request", "LOOK", "/tests"), "no method 'LOOK'"),
        (("request", "GET", "/nowhere"), "nothing is at /api/v1/nowhere"),
    ],
)
def test_a_refusal_is_one_line_that_names_the_field(shell: Shell, arguments: tuple[str, ...], words: str) -> None:
    assert words in shell.refused(*arguments)


def test_users_are_made_with_a_password_that_is_shown_once(shell: Shell) -> None:
    made = shell.ok("users", "create", "kim", "--role", "operator")
    password = re.search(r"^password +(\S+) *$", made, re.MULTILINE)
    assert password
    assert Client(shell.url).log_in("kim", password[1]).status_code == 200
    again = json.loads(shell.ok("users", "reset-password", "kim", "--yes", "--json"))
    assert again["password"] != password[1]
    shell.ok("users", "delete", "kim", "--yes")
    assert [user["username"] for user in json.loads(shell.ok("users", "list", "--json"))] == ["admin"]


def test_lists_are_whole_however_many_pages_they_have(shell: Shell, admin: Client) -> None:
    for _ in range(205):
        admin.http.post("/enrolment-tokens", json={}).raise_for_status()
    assert len(json.loads(shell.ok("enrolment-tokens", "list", "--json"))) == 205
    assert len(shell.ok("enrolment-tokens", "list").strip().splitlines()) == 207


def test_tokens_and_enrolment_tokens_are_made_and_revoked(shell: Shell) -> None:
    token = json.loads(shell.ok("tokens", "create", "grafana", "read", "--days", "30", "--json"))
    assert token["token"].startswith("sst_")
    shell.ok("tokens", "revoke", token["id"], "--yes")
    revoked = {one["name"]: one["revoked_at"] for one in json.loads(shell.ok("tokens", "list", "--json"))}
    assert revoked["grafana"]
    enrolment = json.loads(shell.ok("enrolment-tokens", "create", "--site", "berlin", "--json"))
    assert enrolment["token"] in enrolment["command"]
    shell.ok("enrolment-tokens", "delete", enrolment["id"], "--yes")


def test_a_deleted_agents_name_is_free_again(shell: Shell, admin: Client) -> None:
    enrol_agent(admin, "berlin-1")
    done = shell.run("agents", "delete", "berlin-1", "--yes")
    assert (done.returncode, done.stderr) == (0, "agent berlin-1: deleted; its series stay in the store\n")
    assert "no agent" in shell.refused("agents", "show", "berlin-1")
    enrol_agent(admin, "berlin-1")
    assert (
        "Remove the agent berlin-1, and delete its series?"
        in shell.run("agents", "delete", "berlin-1", "--series", "delete", stdin="n\n").stderr
    )
    shell.ok("agents", "show", "berlin-1")


def test_agents_are_shown_and_shut_out(shell: Shell, admin: Client) -> None:
    enrol_agent(admin, "berlin-1")
    assert json.loads(shell.ok("agents", "show", "berlin-1", "--json"))["site"] == "berlin"
    shell.ok("agents", "revoke", "berlin-1", "--yes")
    assert "revoked" in shell.ok("agents", "list", "-w", "site=berlin")
    log = shell.ok("audit", "-n", "1").splitlines()
    assert log[2].split()[-2:] == ["agent.revoke", "berlin-1"]


def test_a_viewer_is_told_what_they_may_not(shell: Shell, admin: Client) -> None:
    add_user(admin, "vera", "viewer")
    shell.ok("login", "--username", "vera", stdin=f"{PASSWORD}\n")
    assert "this needs the role admin; yours is viewer" in shell.refused("users", "list")


def test_a_personal_token_does_what_its_scope_allows(shell: Shell, admin: Client) -> None:
    made = admin.http.post("/auth/tokens", json={"name": "laptop", "scope": "read"}).json()["token"]
    shell.ok("logout")
    assert json.loads(shell.run("tests", "list", "--json", STREAMSWARM_TOKEN=made).stdout) == []
    refused = shell.run("tests", "create", "icmp", "127.0.0.1", STREAMSWARM_TOKEN=made)
    assert (refused.returncode, "the token's scope is read" in refused.stderr) == (2, True)
    shell.ok("login", stdin=f"{made}\n")
    assert json.loads(shell.ok("whoami", "--json"))["username"] == "admin"


def test_the_configuration_is_set_and_reset(shell: Shell) -> None:
    keys = {one["key"]: one for one in json.loads(shell.ok("config", "list", "--json"))}
    assert keys["session_idle_minutes"]["is_default"]
    assert json.loads(shell.ok("config", "set", "session_idle_minutes", "30", "--json"))["value"] == 30
    assert json.loads(shell.ok("config", "show", "session_idle_minutes", "--json"))["changed_by"] == "admin"
    assert json.loads(shell.ok("config", "reset", "session_idle_minutes", "--json"))["is_default"]
    shell.refused("config", "set", "session_idle_minutes", "soon")


def test_any_request_can_be_sent(shell: Shell) -> None:
    made = json.loads(
        shell.ok("request", "POST", "/tests", "-s", "name=x", "-s", "probe=icmp", "-s", "target=127.0.0.1")
    )
    assert json.loads(shell.ok("request", "get", f"tests/{made['id']}"))["key"] == "x"
    assert shell.ok("request", "DELETE", f"/tests/{made['id']}") == ""


def test_results_show_the_newest_values(shell: Shell, admin: Client) -> None:
    enrol_agent(admin, "berlin-1")
    shell.ok("tests", "create", "icmp", "127.0.0.1", "--key", "loop", "-a", "berlin-1")
    items = admin.http.get("/status").json()["items"]
    assert {path.partition(".")[0] for path in results.COLUMNS.values()} <= set(items[0])


def test_a_test_gets_a_schedule_a_selector_and_thresholds(shell: Shell, admin: Client) -> None:
    agent, _ = enrol_agent(admin, "berlin-1")
    admin.http.patch(f"/agents/{agent}", json={"labels": {"role": "edge"}}).raise_for_status()
    shell.ok("tests", "create", "icmp", "127.0.0.1", "--key", "loop", "--selector", "role=core")
    starts = json.loads(shell.ok("tests", "schedule", "loop", "--cron", "30 3 * * *", "--dry-run", "--json"))["starts"]
    assert len(starts) == 5
    assert json.loads(shell.ok("tests", "show", "loop", "--json"))["schedule"]["kind"] == "interval"
    changed = shell.ok("tests", "schedule", "loop", "--cron", "30 3 * * *", "--zone", "Europe/Berlin", "--json")
    assert json.loads(changed)["schedule"]["zone"] == "Europe/Berlin"
    assert "needs one of" in shell.refused("tests", "schedule", "loop")
    assert "five fields" in shell.refused("tests", "schedule", "loop", "--cron", "whenever")
    assert "berlin-1" in shell.ok("tests", "select", "loop", "role=edge", "--dry-run")
    assert shell.ok("tests", "progress", "loop") == ""
    shell.ok("tests", "select", "loop", "role=edge")
    assert "berlin-1" in shell.ok("tests", "progress", "loop")
    (shell.home / "limits.json").write_text('[{"field": "rtt_mean", "warn": 0.05, "bad": 0.2}]')
    assert "rtt_mean" in shell.ok("tests", "thresholds", "loop", "-f", "limits.json")
    assert json.loads(shell.ok("tests", "thresholds", "loop", "--json"))[0]["bad"] == 0.2
    assert json.loads(shell.ok("tests", "thresholds", "loop", "--clear", "--json")) == []


def test_tests_are_run_stopped_restarted_copied_and_changed_together(shell: Shell, admin: Client) -> None:
    enrol_agent(admin, "berlin-1")
    for key in ("one", "two"):
        shell.ok("tests", "create", "icmp", "127.0.0.1", "--key", key, "-a", "berlin-1")
    assert "berlin-1" in shell.ok("tests", "run", "one")
    runs = json.loads(shell.ok("runs", "list", "--test", "one", "--agent", "berlin-1", "--json"))
    assert [run["status"] for run in runs] == ["scheduled"]
    assert json.loads(shell.ok("runs", "stop", runs[0]["id"], "--json"))["status"] != "scheduled"
    assert json.loads(shell.ok("runs", "show", runs[0]["id"], "--json"))["requested_by"] == "admin"
    assert json.loads(shell.ok("tests", "stop", "one", "--json"))["paused"] is True
    assert json.loads(shell.ok("tests", "restart", "one", "--json"))["paused"] is False
    assert json.loads(shell.ok("tests", "clone", "one", "-s", "name=three", "--json"))["key"] == "three"
    shell.ok("tests", "bulk", "pause", "one", "two")
    paused = {test["key"]: test["paused"] for test in json.loads(shell.ok("tests", "list", "--json"))}
    assert paused == {"one": True, "two": True, "three": True}
    assert "no action 'explode'" in shell.refused("tests", "bulk", "explode", "one")
    shell.ok("tests", "bulk", "delete", "one", "two", "--yes")
    assert [test["key"] for test in json.loads(shell.ok("tests", "list", "--json"))] == ["three"]


def test_channels_and_rules_are_made_and_changed_without_losing_their_secrets(shell: Shell) -> None:
    url = "url=https://hooks.example.com/a"
    made = json.loads(shell.ok("channels", "create", "NOC", "webhook", "-o", url, "-o", "headers.X-Key=k3y", "--json"))
    assert made["signing_secret"].startswith("whsec_")
    changed = json.loads(shell.ok("channels", "update", "NOC", "-o", "url=https://hooks.example.com/b", "--json"))
    assert changed["settings"]["url"] == "https://hooks.example.com/b"
    assert set(changed["settings"]["headers"]) == {"X-Key"}
    assert "url: " in shell.refused("channels", "create", "bad", "webhook", "-o", "url=nowhere")
    assert "no channel" in shell.refused("rules", "create", "all", "-c", "nobody")
    rule = json.loads(shell.ok("rules", "create", "all", "-c", "NOC", "--severity", "critical", "--json"))
    assert (rule["channel_ids"], rule["severities"]) == ([made["id"]], ["critical"])
    assert json.loads(shell.ok("rules", "update", "all", "-s", "wait=60", "--json"))["wait"] == 60
    sent = json.loads(shell.ok("channels", "test", "NOC", "--json"))
    assert sent["id"] in shell.ok("deliveries", "list")
    assert json.loads(shell.ok("deliveries", "show", sent["id"], "--json"))["channel_name"] == "NOC"
    shell.ok("rules", "delete", "all", "--yes")
    shell.ok("channels", "delete", "NOC", "--yes")
    assert json.loads(shell.ok("channels", "list", "--json")) == []


def test_alerts_are_taken_and_silenced(shell: Shell, admin: Client) -> None:
    with database_of(admin).session() as db:
        for key in ("open", "closed"):
            what = {"event": "store_unavailable", "severity": "critical", "summary": f"it is {key}", "labels": {}}
            times = {"opened_at": now(), "seen_at": now(), "closed_at": now() if key == "closed" else None}
            db.add(
                Alert(
                    id={"open": "a", "closed": "c"}[key] * 32,
                    fingerprint=key,
                    open_key=key if key == "open" else None,
                    **what,
                    **times,
                )
            )
    listed = shell.ok("alerts", "list")
    assert "it is open" in listed
    assert "it is closed" not in listed
    assert "it is closed" in shell.ok("alerts", "list", "-w", "state=all")
    taken = json.loads(shell.ok("alerts", "acknowledge", "a" * 32, "--comment", "on it", "--json"))
    assert (taken["acknowledged_by"], taken["comment"]) == ("admin", "on it")
    assert json.loads(shell.ok("alerts", "unacknowledge", "a" * 32, "--json"))["acknowledged_at"] is None
    assert json.loads(shell.ok("alerts", "show", "c" * 32, "--json"))["closed_at"]
    silence = json.loads(
        shell.ok("silences", "create", "agent~berlin*", "site!=x", "--hours", "2", "--comment", "work", "--json")
    )
    assert [one["operator"] for one in silence["matchers"]] == ["~", "!="]
    shell.ok("silences", "end", silence["id"], "--yes")
    assert "takes LABEL=VALUE" in shell.refused("silences", "create", "everything", "--hours", "1")


def test_maintenance_is_planned_changed_and_ended(shell: Shell, admin: Client) -> None:
    agent, _ = enrol_agent(admin, "berlin-1")
    one = ("--from", "2020-01-01T00:00Z", "--until", "2999-01-01T00:00Z", "-a", "berlin-1")
    made = json.loads(shell.ok("maintenance", "create", "Router", *one, "--json"))
    assert (made["active"], made["agent_ids"]) == (True, [agent])
    assert "Router" in shell.ok("maintenance", "active")
    changed = json.loads(shell.ok("maintenance", "update", "Router", "-s", "note=call Kim", "--json"))
    assert (changed["note"], changed["agent_ids"], changed["ends_at"]) == ("call Kim", [agent], made["ends_at"])
    assert json.loads(shell.ok("maintenance", "end", "Router", "--json"))["active"] is False
    again = ("--cron", "0 2 * * *", "--minutes", "60", "--everything")
    assert json.loads(shell.ok("maintenance", "create", "Backup", *again, "--json"))["duration"] == 3600
    assert "not both" in shell.refused("maintenance", "update", "Backup", "-s", "selector=site=x")
    shell.ok("maintenance", "delete", "Backup", "--yes")


@pytest.mark.usefixtures("templates")
def test_every_command_has_a_route() -> None:
    routes = {re.sub(r"{\w+}", "{}", route.path) for route in ROUTES}
    assert routes >= noun.USED
