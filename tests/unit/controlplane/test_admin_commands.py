"""`streamswarm admin` as a user types it, against a real control plane."""

import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamswarm_cli.admin import noun
from streamswarm_cli.main import app
from streamswarm_controlplane import app as composition
from streamswarm_core.errors import StreamSwarmError
from tests.unit.controlplane.conftest import PASSWORD, Client, add_user, enrol_agent

AWAITED = {"/tests/{}/clone", "/tests/{}/run", "/tests/{}/stop"}
"""What the API is about to have."""


# Commands know nothing of the database.
pytestmark = pytest.mark.parametrize("templates", ["sqlite"], indirect=True, scope="session")


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Shell:
    """Where commands are typed."""

    url: str
    home: Path

    def run(self, *arguments: str, stdin: str = "", **more: str) -> Done:
        environment = {"XDG_CONFIG_HOME": str(self.home), "STREAMSWARM_URL": self.url, "TZ": "UTC", **more}
        done = CliRunner().invoke(app, ["admin", *arguments], input=stdin, env=environment)
        if isinstance(done.exception, StreamSwarmError):
            return Done(2, done.stdout, f"{done.stderr.removeprefix('Personal token: ')}{done.exception}")
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    def ok(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stdout.strip()) == (2, ""), done
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        return done.stderr


@pytest.fixture
def shell(admin: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Somebody who is logged in as an admin."""
    made = Shell(admin.url, tmp_path / "home")
    made.home.mkdir()
    monkeypatch.chdir(made.home)
    made.ok("login", "--username", "admin", stdin=f"{PASSWORD}\n")
    return made


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
    assert "you are logged in at" in shell.refused("--url", "http://127.0.0.1:1", "whoami")


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


def test_tests_are_made_changed_paused_assigned_and_removed_by_name(shell: Shell, admin: Client) -> None:
    enrol_agent(admin, "berlin-1")
    created = json.loads(
        shell.ok("tests", "create", "icmp", "127.0.0.1", "--key", "loop", "-o", "count=3", "-a", "berlin-1", "--json")
    )
    assert (created["key"], created["name"], created["params"]) == ("loop", "127.0.0.1", {"count": 3})
    table = shell.ok("tests", "list").splitlines()
    assert table[0].split()[:4] == ["key", "name", "probe", "target"]
    assert table[2].split()[:4] == ["loop", "127.0.0.1", "icmp", "127.0.0.1"]
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


def yaml_of(test: dict[str, object]) -> str:
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
        (("request", "GET", "/nowhere"), "Not Found"),
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


@pytest.mark.usefixtures("templates")
def test_every_command_has_a_route() -> None:
    routes = {re.sub(r"{\w+}", "{}", route.path) for router in composition._ROUTERS for route in router.routes}  # type: ignore[attr-defined]
    assert routes >= noun.USED - AWAITED
