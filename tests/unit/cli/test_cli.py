import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from rich.console import Console
from typer.core import TyperGroup

from streamswarm_cli.main import app
from streamswarm_cli.services import SERVICES, Service
from streamswarm_cli.starter import default_gateway, first_nameserver, starter_tests
from streamswarm_cli.terminal import to_json
from streamswarm_cli.up_command import _Group
from streamswarm_core import __version__
from streamswarm_core.alone import alone
from streamswarm_core.errors import ConfigError
from tests.commands import run_command
from tests.support import find_free_port, run_server

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
"""


def streamswarm(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("STREAMSWARM_")}
    return subprocess.run(
        [sys.executable, "-m", "streamswarm_cli", *arguments],
        cwd=folder,
        env={**inherited, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("asked", ["version", "--version"])
def test_the_command_says_its_version(tmp_path: Path, asked: str) -> None:
    assert streamswarm(asked, folder=tmp_path).stdout == f"streamswarm {__version__}\n"


def test_help_names_every_command(tmp_path: Path) -> None:
    text = streamswarm("--help", folder=tmp_path).stdout
    for command in ("up", "probe", "doctor", "agent", "collector", "controlplane", "ml", "config", "version"):
        assert command in text


def test_help_is_asked_for_in_either_way(tmp_path: Path) -> None:
    short, long = (streamswarm("probe", asked, folder=tmp_path) for asked in ("-h", "--help"))
    assert (short.returncode, short.stdout) == (0, long.stdout)


def test_what_a_terminal_has_no_letters_for_is_written_in_others(tmp_path: Path) -> None:
    done = streamswarm("config", "show", "agent", folder=tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u2013" in done.stdout


@pytest.mark.parametrize(("encoding", "text"), [("utf-8", '"Köln"'), ("latin-1", '"K\\u00f6ln"')])
def test_json_is_json_whatever_the_terminal(monkeypatch: pytest.MonkeyPatch, encoding: str, text: str) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    assert to_json("Köln") == text


def test_a_width_that_is_not_known_is_no_width_of_zero(tmp_path: Path) -> None:
    assert "STREAMSWARM_AGENT" in streamswarm("config", "show", "agent", folder=tmp_path, COLUMNS="0").stdout


def test_a_full_disk_is_said_in_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamswarm_cli", "config", "show"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (2, "error: standard output: no space left\n")


@pytest.mark.parametrize("service", SERVICES.values())
def test_elsewhere_than_on_linux_a_service_says_so(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match="runs on Linux, not on darwin"):
        service.load_settings()


def test_a_second_group_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with alone(tmp_path, "taken"):
        done = streamswarm("up", "--local-only", folder=tmp_path, STREAMSWARM_DATA=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path}: another `streamswarm up` is running on it\n"


def test_no_line_of_help_is_cut_on_a_small_screen() -> None:
    assert not list(cut_lines(typer.main.get_command(app), 80))


def cut_lines(command: Any, columns: int) -> Iterator[str]:
    """Of a group the lines in its list of commands that don't fit, and of the groups in it."""
    if isinstance(command, TyperGroup):
        room = columns - 6 - max(map(len, command.commands))
        for name, one in command.commands.items():
            line = one.get_short_help_str(room)
            if line.endswith("..."):
                yield f"{name}: {line}"
            yield from cut_lines(one, columns)


def test_a_shell_completes_commands_probes_and_services(tmp_path: Path) -> None:
    def completions(*words: str) -> list[str]:
        typed = {"COMP_WORDS": " ".join(("streamswarm", *words)), "COMP_CWORD": str(len(words))}
        command = [str(Path(sys.executable).with_name("streamswarm"))]
        environment = {**os.environ, **typed, "_STREAMSWARM_COMPLETE": "complete_bash"}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert completions("co") == ["collector", "controlplane", "config"]
    assert completions("probe", "t") == ["tcp", "tcp_window", "tls", "traceroute"]
    assert completions("doctor", "c") == completions("status", "c") == ["controlplane", "collector"]


def test_a_probe_as_json_is_one_point_a_line(tmp_path: Path) -> None:
    done = streamswarm("probe", "icmp", "127.0.0.1", "-o", "count=2", "-o", "spacing=0.01", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    point, distribution = map(json.loads, done.stdout.splitlines())
    assert (point["measurement"], point["fields"]["up"], point["fields"]["sent"]) == ("icmp", 1, 2)
    assert (distribution["measurement"], distribution["fields"]["count"]) == ("icmp_rtt", 2)


def test_a_number_can_be_text_and_one_value_a_list(tmp_path: Path) -> None:
    asked = ("-o", f"port={find_free_port()}", "-o", "server=127.0.0.1", "-o", "wait=1", "--json")
    lists = ("-o", "expect_values=10", "-o", "expect_rcodes=NOERROR", "-o", "answer_matches=7")
    done = run_command("probe", "dns", "x.example", *asked, *lists, folder=tmp_path)
    assert json.loads(done.stdout)["fields"]["error"] == "refused", done.stderr
    url = f"http://127.0.0.1:{find_free_port()}/"
    texts = ("-o", "expect_status=200", "-o", "username=5", "-o", "password=true")
    web = run_command("probe", "http", url, *texts, "--json", folder=tmp_path)
    assert json.loads(web.stdout)["fields"]["error"] == "refused", web.stderr


def test_options_are_listed_with_their_limits_and_the_form_of_the_target(tmp_path: Path) -> None:
    listed = run_command("probe", "http", "--options", folder=tmp_path).stdout
    assert "target: such as https://www.example.com/" in listed
    assert "Seconds for everything together. (above 0, to 60)" in listed
    assert "Request method. (GET, HEAD, POST" in listed


def test_points_of_one_kind_are_the_rows_of_one_table(tmp_path: Path) -> None:
    done = run_command("probe", "traceroute", "127.0.0.1", "-o", "multipath=true", "-o", "count=1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.index("traceroute_flow") :].splitlines()
    assert table[0] == "traceroute_flow  target=127.0.0.1  method=icmp  family=ipv4"
    rows = [line.split()[:3] for line in table if line.strip().startswith("00")]
    assert rows == [[f"00{number}", "127.0.0.1", "1"] for number in range(6)]


def test_points_of_many_fields_are_the_columns_of_one_table(tmp_path: Path) -> None:
    options = ("-o", "count=6", "-o", "spacing=0.01", "-o", "budget=0", "-o", "classes=EF,AF41", "-o", "wait=0.2")
    done = run_command("probe", "qos", "127.0.0.1", *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout[done.stdout.index("qos_class") :].splitlines()]
    assert ["dscp", "BE", "EF", "AF41"] in lines
    assert ["marking_dscp", "0", "46", "34"] in lines


def test_a_probe_of_something_that_is_down_exits_with_one(tmp_path: Path) -> None:
    done = run_command("probe", "tcp", f"127.0.0.1:{find_free_port()}", folder=tmp_path)
    assert done.returncode == 1
    assert "refused" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("probe", "telepathy", "x"), "no probe 'telepathy'; one of icmp, dns"),
        (("probe", "icmp"), "icmp needs a target, such as 192.0.2.1"),
        (("probe", "icmp", "x", "-o", "count=0"), "--option count: Input should be greater than or equal to 1"),
        (("probe", "icmp", "x", "-o", "colour"), "takes KEY=VALUE"),
        (("probe", "icmp", "x", "-o", "cuont=1"), "--option cuont: icmp has no such option; did you mean count?"),
        (("probe", "icmp", "x", "-o", "=1"), "takes KEY=VALUE"),
        (("probe", "dns", "x", "-o", "path=q"), "doesn't fit; takes: Path for DNS over HTTPS."),
        (("probe", "dns", "x", "-o", "record_type=foo"), "--option record_type: 'foo' is no record type; takes a name"),
        (("probe", "http", "x", "-o", "headers=x"), 'takes a JSON object such as \'{"KEY": "VALUE"}\''),
        (("probe", "http", "x", "-o", "expect_status={}"), "takes one value, or a JSON list"),
        (("probe", "http", "x", "-o", 'body_matches=["("]'), "--option body_matches.0: is no regular expression"),
        (("probe", "voip", "x", "-o", "mode=call"), "error: mode call needs dial, the number or user to call"),
        (("probe", "system", "x"), "system takes no target: it measures this host"),
        (("agent", "run"), "this agent is not enrolled"),
        (("collector", "run"), "STREAMSWARM_COLLECTOR_PORT"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    environment = {"STREAMSWARM_COLLECTOR_PORT": "seventy"} if arguments[0] == "collector" else {}
    environment["STREAMSWARM_AGENT_PORT"] = str(find_free_port())
    # A process of its own only where a service would begin: `run` sets up what is the process's, such as its log.
    run = run_command if arguments[0] == "probe" else streamswarm
    done = run(*arguments, folder=tmp_path, **environment)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_configuration_in_force_is_shown_without_secrets(tmp_path: Path) -> None:
    done = run_command(
        "config",
        "show",
        "agent",
        folder=tmp_path,
        STREAMSWARM_AGENT_PROBE_TOKEN="planted-secret",
        STREAMSWARM_AGENT_SITE="berlin",
    )
    assert "STREAMSWARM_AGENT_SITE" in done.stdout
    assert "berlin" in done.stdout
    assert "planted-secret" not in done.stdout
    assert "********" in done.stdout


def test_a_port_in_use_is_one_line_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = streamswarm("up", folder=tmp_path, STREAMSWARM_CONTROLPLANE_PORT=str(port))
    assert done.returncode == 2
    assert f"can't listen on 127.0.0.1 port {port}" in done.stderr
    assert "stop what listens there, or choose another port with" in done.stderr
    assert "STREAMSWARM_CONTROLPLANE_PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unusable_data_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = streamswarm("up", "--data", "file", folder=tmp_path)
    assert done.returncode == 2
    assert "STREAMSWARM_DATA" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_default_gateway_and_the_resolver_are_read_from_the_system(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(ROUTES)
    (tmp_path / "resolv.conf").write_text("# note\nsearch example\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n")
    assert default_gateway(tmp_path / "route") == "192.0.2.1"
    assert first_nameserver(tmp_path / "resolv.conf") == "192.0.2.53"
    tests = {
        test.key: test.target
        for test in starter_tests(
            "http://127.0.0.1:8800",
            local_only=False,
            interval=5,
            routes=tmp_path / "route",
            resolver=tmp_path / "resolv.conf",
        )
    }
    assert tests["gateway-ping"] == "192.0.2.1"
    assert "resolver-dns" in tests


def test_local_only_sends_nothing_off_this_machine() -> None:
    tests = {test.key: test for test in starter_tests("http://127.0.0.1:8800", local_only=True, interval=5)}
    assert list(tests) == ["loopback-ping", "controlplane-http", "controlplane-tcp", "host"]
    assert tests.pop("host").probe == "system"
    assert all("127.0.0.1" in test.target for test in tests.values())


def test_a_host_without_a_gateway_pings_itself(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    keys = [
        test.key
        for test in starter_tests(
            "http://127.0.0.1:8800", local_only=False, interval=5, routes=missing, resolver=missing
        )
    ]
    assert keys == ["loopback-ping", "controlplane-http", "controlplane-tcp", "host"]


def test_up_leads_services_to_its_collector_unless_they_read_promql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMSWARM_ML_STORE_KIND", "promql")
    settings = {service.name: service.load_settings() for service in SERVICES.values()}
    environment = _Group(Console(), settings, interval=1.0, local_only=True)._environment()
    assert environment["STREAMSWARM_CONTROLPLANE_STORE_URL"] == "http://127.0.0.1:8801"
    assert environment["STREAMSWARM_ML_WRITE_URL"] == "http://127.0.0.1:8801"
    assert "STREAMSWARM_ML_STORE_URL" not in environment


async def test_ctrl_c_waits_for_no_first_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/secrets").mkdir(parents=True)
    (tmp_path / "data/secrets/ml.token").write_text("sst_x")
    monkeypatch.setenv("STREAMSWARM_COLLECTOR_PORT", str(find_free_port()))
    settings = {service.name: service.load_settings() for service in SERVICES.values()}
    console = Console(record=True)
    showing = asyncio.create_task(_Group(console, settings, interval=1.0, local_only=True)._show_first_points())
    await asyncio.wait({showing}, timeout=0.1)
    showing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await showing
    assert console.export_text() == ""


def test_a_first_start_that_fails_tells_the_password_all_the_same(tmp_path: Path) -> None:
    ports = {f"STREAMSWARM_{service.upper()}_PORT": str(find_free_port()) for service in SERVICES}
    done = streamswarm("up", "--local-only", folder=tmp_path, **ports, STREAMSWARM_CONTROLPLANE_WEBHOOK_ALLOW="nowhere")
    assert done.returncode != 0
    assert "control plane did not start" in done.stderr
    assert "Log in as admin with the password" in done.stdout


@pytest.mark.parametrize("service", ["collector", "ml", "controlplane"])
def test_what_a_service_writes_is_for_its_own_user(service: str, tmp_path: Path) -> None:
    port, reflector = find_free_port(), find_free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STREAMSWARM_")} | {
        "STREAMSWARM_DATA": str(tmp_path / "data"),
        f"STREAMSWARM_{service.upper()}_PORT": str(port),
    }
    if service == "collector":
        environment |= {"STREAMSWARM_COLLECTOR_REFLECTOR_PORT": str(reflector), "STREAMSWARM_COLLECTOR_AUTH": "false"}
    command, url = [sys.executable, "-m", "streamswarm_cli", service, "run"], f"http://127.0.0.1:{port}"
    with run_server(command, f"{url}/health", tmp_path / "log", cwd=tmp_path, env=environment, umask=0o022):
        if service == "collector":
            httpx.post(f"{url}/write?db=streamswarm", content="m v=1").raise_for_status()
    written = list((tmp_path / "data").rglob("*"))
    assert len(written) > 2
    assert [path for path in written if path.stat().st_mode & 0o077] == []


def test_what_a_server_says_is_no_markup_and_no_escape_sequence(tmp_path: Path) -> None:
    hostile = b"554 \x1b[2J\x1b]0;owned\x07 [/] [bold]go[/bold] \xc2\x9b31m away\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(hostile)
                connection.recv(100)

        thread = threading.Thread(target=answer)
        thread.start()
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        done = streamswarm("probe", "tls", target, "-o", "starttls=smtp", folder=tmp_path)
        thread.join(20)
    assert "go" in done.stdout, done.stderr
    assert "[/]" in done.stdout
    assert not set(done.stdout) & set("\x1b\x07\x9b")
    assert "\\x1b[2J" in done.stdout


def test_a_control_plane_whose_database_is_away_ends_so_that_systemd_starts_it_again(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://streamswarm:secret@127.0.0.1:{find_free_port()}/streamswarm"
    done = streamswarm("controlplane", "run", folder=tmp_path, STREAMSWARM_CONTROLPLANE_DATABASE_URL=url)
    assert done.returncode == 75
    assert "Connection refused" in done.stderr
    assert "secret" not in done.stderr
    assert "RestartPreventExitStatus=2\n" in streamswarm("unit", "controlplane", folder=tmp_path).stdout
