"""`streamswarm doctor`: which services it looks at, with whose settings, and how it tells what it finds."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamswarm_cli.doctor import looking, places
from streamswarm_cli.doctor.units import Unit, UnreadableError, unit_of
from streamswarm_cli.unit_command import UNITS, text_of
from tests.commands import Done, run_command
from tests.doctoring import Told, answering, health_of
from tests.support import find_free_port


@pytest.fixture(autouse=True)
def _no_shell_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("STREAMSWARM_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where systemd's units are."""
    folder = tmp_path / "units"
    folder.mkdir()
    monkeypatch.setattr(places, "unit_of", lambda service: unit_of(service, [folder]))
    return folder


def doctor(folder: Path, *arguments: str, **environment: str) -> Done:
    return run_command("doctor", *arguments, folder=folder, **environment)


def findings(done: Done) -> list[dict[str, str]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(done: Done, service: str, subject: str) -> list[tuple[str, str]]:
    return [
        (one["state"], one["found"]) for one in findings(done) if (one["service"], one["subject"]) == (service, subject)
    ]


def services(done: Done) -> set[str]:
    return {one["service"] for one in findings(done)} - {"host"}


@pytest.fixture
def folder(tmp_path: Path, units: Path) -> Path:
    """Where the command is typed, on a host with nothing of ours."""
    assert not list(units.iterdir())
    here = tmp_path / "here"
    here.mkdir()
    return here


def test_where_nothing_is_set_up_that_is_said_with_what_an_agent_would_need(folder: Path) -> None:
    done = doctor(folder, "--json")
    assert services(done) == {"agent"}
    ((state, found),) = told(done, "host", "services")
    assert state == "note"
    assert "no service is set up here" in found


@pytest.mark.parametrize("how", ["folder", "variable", "dotenv", "table"])
def test_a_service_is_looked_at_if_anything_says_that_it_is_this_hosts(folder: Path, how: str) -> None:
    environment = {}
    port = str(find_free_port())
    if how == "folder":
        (folder / "data/collector").mkdir(parents=True)
    elif how == "variable":
        environment["STREAMSWARM_COLLECTOR_PORT"] = port
    elif how == "dotenv":
        (folder / ".env").write_text(f"STREAMSWARM_COLLECTOR_PORT={port}\n")
    else:
        (folder / "streamswarm.toml").write_text(f"[collector]\nport = {port}\n")
    assert services(doctor(folder, "--json", **environment)) == {"collector"}


def test_a_unit_says_that_a_service_is_this_hosts_and_what_it_is_started_with(folder: Path, units: Path) -> None:
    port = find_free_port()
    (folder / "agent.env").write_text(f"STREAMSWARM_AGENT_PORT={port}\nSTREAMSWARM_AGENT_NAME='edge-1'\n")
    write_unit(units, "agent", folder, f"EnvironmentFile=-{folder}/agent.env\nEnvironmentFile=-/none\n")
    done = doctor(folder, "--json")
    assert services(done) == {"agent"}
    assert str(port) in told(done, "agent", "process")[0][1]
    assert str(folder / "state") in told(done, "agent", "data folder")[0][1]
    assert "STREAMSWARM_AGENT_PORT" not in os.environ


def write_unit(units: Path, service: str, folder: Path, more: str = "") -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    (units / f"streamswarm-{service}.service").write_text(
        f"[Service]\nUser={me}\nWorkingDirectory={folder}\nEnvironment=STREAMSWARM_DATA={folder}/state\n{more}"
    )


def test_settings_of_the_shell_go_before_those_of_the_unit(folder: Path, units: Path) -> None:
    write_unit(units, "agent", folder)
    done = doctor(folder, "--json", STREAMSWARM_DATA=str(folder / "mine"))
    assert not services(done) - {"agent"}
    assert str(folder / "state") not in done.stdout


@pytest.mark.parametrize("service", UNITS)
def test_the_units_that_we_print_can_be_read(units: Path, service: str) -> None:
    (units / f"streamswarm-{service}.service").write_text(text_of(service, Path("/opt/streamswarm/bin/streamswarm")))
    unit = unit_of(service, [units])
    assert unit is not None
    assert unit == Unit(
        units / f"streamswarm-{service}.service",
        "streamswarm",
        Path("/var/lib/streamswarm"),
        {"STREAMSWARM_DATA": "/var/lib/streamswarm"},
        (),
        ("CAP_NET_RAW",) if service == "agent" else (),
        "65536",
    )


def test_a_drop_in_changes_what_the_unit_says(units: Path) -> None:
    write_unit(units, "agent", Path("/"))
    (units / "streamswarm-agent.service.d").mkdir()
    (units / "streamswarm-agent.service.d/10.conf").write_text(
        '[Service]\nUser=other\nEnvironment="STREAMSWARM_AGENT_SITE=two words" \\\n  STREAMSWARM_AGENT_PORT=9\n'
    )
    unit = unit_of("agent", [units])
    assert unit is not None
    assert unit.user == "other"
    assert unit.environment["STREAMSWARM_AGENT_SITE"] == "two words"
    assert unit.environment["STREAMSWARM_AGENT_PORT"] == "9"


def test_a_file_that_systemd_would_miss_is_told(units: Path, folder: Path) -> None:
    write_unit(units, "agent", folder, f"EnvironmentFile={folder}/none.env\n")
    with pytest.raises(UnreadableError, match="No such file"):
        unit_of("agent", [units])
    done = doctor(folder, "--json")
    assert done.returncode == 1
    assert "none.env: No such file" in told(done, "agent", "settings")[0][1]


def test_an_unknown_service_is_refused_with_those_there_are(folder: Path) -> None:
    done = doctor(folder, "grafana")
    assert done.returncode == 2
    assert "no service 'grafana'; one of controlplane, collector, ml, agent" in done.stderr


@pytest.mark.parametrize(
    ("toml", "words", "state"),
    [
        ("[collector]\nprot = 1\n", "[collector] prot: no such setting; did you mean port?", "broken"),
        ("[collector]\nport = 'x'\n", "STREAMSWARM_COLLECTOR_PORT (or [collector] port): Input should be", "broken"),
        ("[collector\n", "streamswarm.toml: ", "broken"),
    ],
    ids=["unknown-key", "bad-value", "no-toml"],
)
def test_settings_that_cannot_be_used_are_told_with_their_key_and_file(
    folder: Path, toml: str, words: str, state: str
) -> None:
    (folder / "streamswarm.toml").write_text(toml)
    done = doctor(folder, "--json")
    assert done.returncode == 1
    ((found_state, found),) = told(done, "collector", "settings")
    assert found_state == state
    assert words in found
    assert str(folder / "streamswarm.toml") in next(
        one["remedy"] for one in findings(done) if one["service"] == "collector"
    )


def test_names_that_no_service_reads_are_told(folder: Path) -> None:
    (folder / "streamswarm.toml").write_text("[colector]\nport = 1\n")
    (folder / ".env").write_text("STREAMSWARM_AGENT_PROT=1\nSTREAMSWARM_AGNET_PORT=1\n")
    done = doctor(folder, "--json", STREAMSWARM_COLECTOR_PORT="1", STREAMSWARM_AGENT_PORT=str(find_free_port()))
    strays = " ".join(found for state, found in told(done, "host", "settings") if state == "warning")
    for name in ("'colector'; did you mean collector?", "STREAMSWARM_AGNET_PORT", "STREAMSWARM_COLECTOR_PORT"):
        assert name in strays
    assert "STREAMSWARM_AGENT_PROT: no such setting" in " ".join(found for _, found in told(done, "agent", "settings"))


@pytest.mark.parametrize(
    ("service", "line"),
    [
        ("agent", "PROBE_TOKEN=x"),
        ("controlplane", "DATABASE=postgresql+psycopg://streamswarm:hush@db.example/streamswarm"),
    ],
)
def test_a_file_with_secrets_that_everybody_can_read_is_told(folder: Path, service: str, line: str) -> None:
    (folder / ".env").write_text(f"STREAMSWARM_{service.upper()}_{line}\n")
    (folder / ".env").chmod(0o644)
    assert any("holds secrets" in found for _, found in told(doctor(folder, "--json"), service, "settings"))
    (folder / ".env").chmod(0o600)
    assert not any("holds secrets" in found for _, found in told(doctor(folder, "--json"), service, "settings"))


def test_services_of_a_group_find_each_other_as_up_has_them(folder: Path) -> None:
    (folder / "data/agent").mkdir(parents=True)
    (folder / "data/up.lock").touch()
    with answering(Told(health_of("controlplane"))) as url:
        ports = {"STREAMSWARM_CONTROLPLANE_PORT": url.rpartition(":")[2]}
        done = doctor(folder, "agent", "--json", **ports)
    assert told(done, "agent", "control plane") == [("ok", f"{url} answers, version 0.1.0")]


def test_a_group_with_settings_that_cannot_be_used_is_not_guessed_at(folder: Path) -> None:
    (folder / "data/agent").mkdir(parents=True)
    (folder / "data/up.lock").touch()
    (folder / "streamswarm.toml").write_text("[collector]\nprot = 1\n")
    done = doctor(folder, "agent", "--json")
    assert "starts nothing with these settings of: collector" in told(done, "agent", "group")[0][1]
    assert not told(done, "agent", "control plane")


def test_a_person_reads_a_line_a_check_the_remedy_below_it_and_what_it_comes_to(folder: Path) -> None:
    (folder / "data/collector").mkdir(parents=True)
    port = find_free_port()
    done = doctor(folder, "collector", STREAMSWARM_COLLECTOR_PORT=str(port), STREAMSWARM_COLLECTOR_AUTH="false")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    place = lines.index(f"  BROKEN   process         it doesn't run: nobody listens on 127.0.0.1:{port}")
    assert lines[place + 1].strip().startswith("→ start it: streamswarm collector run")
    assert "broken: collector (process)" in lines


def test_whoever_is_not_the_services_user_is_told_to_ask_as_root(
    folder: Path, units: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (units / "streamswarm-agent.service").write_text(f"[Service]\nUser=nobody\nWorkingDirectory={folder}\n")
    for module in (places, looking):
        monkeypatch.setattr(module, "user_name", lambda *_: "kim")
    ((state, found),) = told(doctor(folder, "agent", "--json"), "agent", "user")
    assert state == "warning"
    assert found.startswith("you are kim: what only nobody may see")


def test_a_folder_of_the_unit_that_is_not_there_is_told(folder: Path, units: Path) -> None:
    write_unit(units, "agent", folder / "none")
    ((state, found),) = told(doctor(folder, "agent", "--json"), "agent", "folder")
    assert (state, found) == ("broken", f"{folder}/none isn't there, in which the service is started")


def test_a_user_of_the_unit_that_this_host_lacks_is_told(folder: Path, units: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    (units / "streamswarm-agent.service").write_text(f"[Service]\nUser=nobody-here\nWorkingDirectory={folder}\n")
    ((state, found),) = told(doctor(folder, "agent", "--json"), "agent", "user")
    assert (state, found) == ("broken", "this host has no user nobody-here, as whom the service is started")


@pytest.mark.needs("setpriv", "util-linux")
def test_who_may_not_enter_the_folder_of_the_service_is_told_to_ask_as_root(strangers_folder: Path) -> None:
    closed = strangers_folder / "closed"
    closed.mkdir(mode=0o700)
    code = (
        "from pathlib import Path\n"
        "from streamswarm_cli.doctor.looking import look\n"
        "from streamswarm_cli.doctor.places import Place\n"
        "from streamswarm_cli.doctor.units import Unit\n"
        "from streamswarm_cli.services import AGENT\n"
        f"print(*look(Place(AGENT, '', Unit(Path('/none'), 'root', Path({str(closed)!r})))), sep='\\n')"
    )
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", code]
    done = subprocess.run(as_nobody, capture_output=True, text=True, check=False, cwd="/", timeout=60)
    if "Permission denied" in done.stderr:
        pytest.skip("this Python can't be read by an ordinary user")
    assert f"nobody may not enter {closed}" in done.stdout, done.stderr


@pytest.fixture
def strangers_folder() -> Iterator[Path]:
    """A folder of another user's, in one that everybody may enter."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    base = Path(tempfile.mkdtemp())
    base.chmod(0o755)
    kept = base / "data"
    for one in (kept, kept / "agent"):
        one.mkdir(mode=0o700)
        os.chown(one, 65534, 65534)
    yield base
    shutil.rmtree(base)


@pytest.mark.needs("setpriv", "util-linux")
@pytest.mark.parametrize("how", ["unit", "owner"])
def test_root_has_the_services_own_user_look(strangers_folder: Path, units: Path, how: str) -> None:
    port = find_free_port()
    (strangers_folder / "data/agent/credential.json").write_text("{}")
    (strangers_folder / "data/agent/credential.json").chmod(0o600)
    environment: dict[str, Any] = {"STREAMSWARM_AGENT_PORT": str(port)}
    if how == "unit":
        (units / "streamswarm-agent.service").write_text(
            f"[Service]\nUser=nobody\nWorkingDirectory={strangers_folder}\nLimitNOFILE=300\n"
            f"AmbientCapabilities=CAP_NET_RAW\n"
            f"Environment=STREAMSWARM_DATA={strangers_folder}/data STREAMSWARM_AGENT_PORT={port}\n"
        )
        environment = {}
    done = doctor(strangers_folder, "agent", "--json", **environment)
    if "can't run" in done.stdout:
        pytest.skip("this Python can't be read by an ordinary user")
    assert "can't be read by the user nobody" in told(done, "agent", "secrets")[0][1]
    assert "the user nobody may not read and write" in told(done, "agent", "files")[0][1]
    if how == "unit":
        assert "300 may be open" in told(done, "agent", "open files")[0][1]
        assert "icmp" in told(done, "agent", "probes")[0][1]
