"""docker-compose.yml and Dockerfile against the code they start, and against their own rules. No engine is needed."""

import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml
from typer.core import TyperGroup

from streamswarm_cli.main import app
from streamswarm_cli.services import SERVICES
from streamswarm_core.settings import FILE_SUFFIX, PREFIX, ServiceSettings, variable_name

ROOT: Final = Path(__file__).parents[3]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DEFINED: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
OURS: Final = sorted(SERVICES)
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text()
PROFILES: Final = {"core", "full", "victoriametrics", "influxdb3"}
PUBLISHED: Final = {"controlplane": 8800, "collector": 8801, "grafana": 3000}
ROOT_ALLOWED: Final = {"victoriametrics-volume"}  # gives a volume away, without a network
VARIABLE: Final = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def interpolated(text: str) -> str:
    """With the defaults, as Compose does without an environment."""
    return VARIABLE.sub(lambda match: match[2] or "", text)


def secret_names(service: dict[str, Any]) -> dict[str, str]:
    """Source by target."""
    found = {}
    for one in service.get("secrets", []):
        source, target = (one, one) if isinstance(one, str) else (one["source"], one["target"])
        found[target] = interpolated(source)
    return found


def settings_of(service: str) -> type[ServiceSettings]:
    one = SERVICES[service]
    model: type[ServiceSettings] = getattr(one.module("settings"), one.settings_class)
    return model


def test_the_stack_is_what_the_architecture_says() -> None:
    assert set(OURS) <= set(DEFINED)
    assert {"postgres", "grafana", "influxdb", "prometheus", "victoriametrics", "influxdb3"} <= set(DEFINED)
    assert {profile for one in DEFINED.values() for profile in one.get("profiles", [])} == PROFILES


@pytest.mark.parametrize("name", DEFINED)
def test_a_container_can_do_no_more_than_it_has_to(name: str) -> None:
    service = DEFINED[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == {"agent": ["NET_RAW"], "victoriametrics-volume": ["CHOWN"]}.get(name, [])
    assert service["security_opt"] == [f"no-new-privileges:{'false' if name == 'agent' else 'true'}"]
    assert not service.get("privileged")
    assert service.get("network_mode", "none") == "none"
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+[MG]", limits["memory"])
    assert limits["pids"] > 0
    # As with systemd and Kubernetes: on a busy host Docker's ten seconds ended a control plane that was closing.
    assert service["stop_grace_period"] == "30s"
    assert service["logging"]["options"]["max-size"]
    if name not in ROOT_ALLOWED | set(OURS):
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])


@pytest.mark.parametrize("name", DEFINED)
def test_images_are_pinned(name: str) -> None:
    repository, _, tag = DEFINED[name]["image"].rpartition(":")
    assert repository
    assert re.match(r"v?\d+\.\d+", tag), f"{name}: {tag!r} is no version"


def test_only_what_people_and_agents_use_is_published_and_on_loopback_unless_told() -> None:
    published = {name: service["ports"] for name, service in DEFINED.items() if "ports" in service}
    assert set(published) == set(PUBLISHED)
    for name, ports in published.items():
        assert [interpolated(port) for port in ports] == [f"127.0.0.1:{PUBLISHED[name]}:{PUBLISHED[name]}"]
        assert "edge" in DEFINED[name]["networks"]


def test_stores_and_database_are_reached_by_nobody_from_outside() -> None:
    networks = COMPOSE["networks"]
    assert {name for name, one in networks.items() if not one.get("internal")} == {"edge", "outside"}
    for name in ("postgres", "influxdb", "influxdb3", "victoriametrics", "ml", "prometheus"):
        assert all(networks[one]["internal"] for one in DEFINED[name]["networks"])
    assert [name for name, one in DEFINED.items() if "database" in one.get("networks", [])] == [
        "postgres",
        "controlplane",
    ]


def test_every_volume_network_and_secret_is_defined_and_used() -> None:
    used_volumes = {
        volume.split(":")[0]
        for service in DEFINED.values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    used_networks = {network for service in DEFINED.values() for network in service.get("networks", [])}
    used_secrets = {source for service in DEFINED.values() for source in secret_names(service).values()}
    assert used_volumes == set(COMPOSE["volumes"])
    assert used_networks == set(COMPOSE["networks"])
    assert used_secrets | {"sinks_influxdb3", "sinks_victoriametrics"} == set(COMPOSE["secrets"])


def test_what_is_mounted_from_the_repository_is_there_and_read_only() -> None:
    for service in DEFINED.values():
        for volume in service.get("volumes", []):
            if volume.startswith("."):
                source, _, mode = volume.split(":")
                assert (ROOT / source).exists(), source
                assert mode == "ro"


@pytest.mark.parametrize("name", DEFINED)
def test_dependencies_wait_until_they_can_be_used(name: str) -> None:
    for other, condition in DEFINED[name].get("depends_on", {}).items():
        assert other in DEFINED
        profiles = set(DEFINED[other].get("profiles", []))
        if profiles and not profiles >= set(DEFINED[name].get("profiles", PROFILES)):
            assert condition["required"] is False, f"{other} isn't there in every profile of {name}"
        if condition["condition"] == "service_healthy":
            assert other in OURS or "healthcheck" in DEFINED[other]


def test_every_service_that_stays_says_how_it_is() -> None:
    without = {name for name, one in DEFINED.items() if "healthcheck" not in one and one["restart"] != "no"}
    # Ours have theirs in the image; InfluxDB 3 asks for a token, which no healthcheck should know.
    assert without == {*OURS, "influxdb3"}
    assert re.search(r"^HEALTHCHECK .*streamswarm status", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_one_that_the_settings_know(name: str) -> None:
    model = settings_of(name)
    known = {variable_name(model, field) for field in model.model_fields}
    for variable, value in DEFINED[name]["environment"].items():
        assert variable.startswith(PREFIX)
        assert variable in known or variable.removesuffix(FILE_SUFFIX) in known, variable
        if str(value).startswith("/run/secrets/"):
            assert Path(value).name in secret_names(DEFINED[name])


@pytest.mark.parametrize("name", OURS)
def test_the_settings_are_accepted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secrets: dict[str, str]
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for target, source in secret_names(DEFINED[name]).items():
        (folder / target).write_text(secrets[source])
    monkeypatch.chdir(tmp_path)
    for variable, value in DEFINED[name]["environment"].items():
        monkeypatch.setenv(variable, interpolated(str(value)).replace("/run/secrets", str(folder)))
    settings: Any = settings_of(name).load()
    assert settings.host == "0.0.0.0"  # noqa: S104 - inside a container
    assert settings.port == settings_of(name).model_fields["port"].default
    if name == "collector":
        assert [str(sink.url) for sink in settings.sinks] == ["http://influxdb:8086/"]
        assert not settings.embedded


def test_addresses_inside_the_stack_are_services_on_their_ports_in_a_common_network() -> None:
    ports = {name: settings_of(name).model_fields["port"].default for name in OURS}
    ports |= {"influxdb": 8086, "influxdb3": 8181, "victoriametrics": 8428, "prometheus": 9090, "postgres": 5432}
    for name, service in DEFINED.items():
        for value in map(str, service.get("environment", {}).values()):
            for host, port in re.findall(r"https?://([a-z0-9]+):(\d+)", interpolated(value)):
                if host == "localhost":
                    continue
                assert int(port) == ports[host], f"{name}: {value}"
                assert set(service["networks"]) & set(DEFINED[host]["networks"]), f"{name} can't reach {host}"


@pytest.mark.parametrize("name", OURS)
def test_an_image_starts_a_command_that_there_is(name: str) -> None:
    build = DEFINED[name]["build"]
    assert build["args"] == {"SERVICE": name}
    assert re.search(rf"^FROM \S+ AS {build['target']}$", DOCKERFILE, re.MULTILINE)
    assert (ROOT / f"requirements-{name}.lock").exists()
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["streamswarm"] == "streamswarm_cli.main:main"
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    group = command.commands[name]
    assert isinstance(group, TyperGroup)
    assert "run" in group.commands
    assert "status" in command.commands
    assert 'exec streamswarm \\"$SERVICE\\" run' in DOCKERFILE


def test_the_image_is_made_of_what_is_there_and_ends_without_tools_or_root() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    build, *results = stages
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", build, re.MULTILINE):
        for source in sources.split():
            pattern = re.sub(r"\$\{\w+\}", "*", source)
            assert list(ROOT.glob(pattern)), source
            assert f"!{pattern.rstrip('/')}" in ignored, f"{source} is kept out by .dockerignore"
    for stage in results:
        assert re.findall(r"^USER (\S+)", stage, re.MULTILINE)[-1] == "10001:10001"
        assert not re.search(r"\b(gcc|build-essential|pip install|git)\b", stage)
    assert re.search(r"^ARG PYTHON=python:\d+\.\d+\.\d+-", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes" in build
    # With a read-only root, what isn't compiled is compiled again by each process: 3 s of CPU for each health check.
    assert len(re.findall(r"&& python -m compileall .*unchecked-hash", DOCKERFILE)) == 2
    assert "__pycache__" not in DOCKERFILE


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    maker = load_maker()
    made: dict[str, str] = maker.wanted({})
    _ = tmp_path
    return made


def load_maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_secrets", ROOT / "tools/make_secrets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_secret_is_made(secrets: dict[str, str]) -> None:
    files = {name: Path(one["file"]) for name, one in COMPOSE["secrets"].items()}
    assert {path.parent.name for path in files.values()} == {"secrets"}
    assert {path.name for path in files.values()} <= set(secrets)
    assert all(len(secrets[path.name]) >= 32 for path in files.values())


def test_secrets_are_made_once_and_follow_a_password_that_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    maker = load_maker()
    folder = tmp_path / "secrets"
    monkeypatch.setattr("sys.argv", ["make_secrets.py", str(folder)])
    maker.main()
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    maker.main()
    assert {path.name: path.read_text() for path in folder.iterdir()} == first
    (folder / "postgres_password").chmod(0o600)
    (folder / "postgres_password").write_text("another\n")
    maker.main()
    assert ":another@postgres" in (folder / "database_url").read_text()
    assert json.loads((folder / "sinks_influxdb").read_text())[0]["token"] == first["influxdb_admin_token"].strip()
    assert "COMPOSE_PROFILES=full" in (tmp_path / ".env").read_text()
    assert first["influxdb_admin_token"].strip() not in capsys.readouterr().out


class Override(yaml.SafeLoader):
    """Reads Compose's own tags, too."""


Override.add_multi_constructor("!reset", lambda *_: [])
Override.add_multi_constructor("!override", lambda loader, _, node: construct(loader, node))


def construct(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return loader.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode) else None


SCALED: Final[dict[str, Any]] = yaml.load((ROOT / "docker-compose.scale.yml").read_text(), Override)  # noqa: S506 - a SafeLoader


def test_the_override_for_several_of_each_fits_the_stack_and_is_as_hard() -> None:
    for name, service in SCALED["services"].items():
        if "image" not in service:
            assert name in DEFINED or service["extends"]["service"] in DEFINED, name
            continue
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert (service["user"] == "0:0") == (name == "vmstorage-volumes")
        assert service["stop_grace_period"] == "30s"
        assert {"memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
        assert set(service.get("networks", [])) <= set(COMPOSE["networks"])
        for other in service.get("depends_on", {}):
            assert other in SCALED["services"] or other in DEFINED
    for name in (*OURS, "collector-2", "collector-3", "ml-2"):
        model = settings_of(name.partition("-")[0])
        known = {variable_name(model, field) for field in model.model_fields}
        assert set(SCALED["services"].get(name, {}).get("environment", {})) <= known


@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.scale.yml"])
def test_nothing_is_said_that_compose_refuses_or_overlooks(file: str) -> None:
    text = (ROOT / file).read_text()
    extensions, _, rest = text.partition("\nservices:\n")
    # Compose takes no number of processes in two places, and forgets these tags where they come by an alias.
    assert "pids_limit" not in text
    assert not re.search("!(reset|override)", extensions)
    assert len(re.findall(r"ports: !reset", rest)) == (3 if "scale" in file else 0)
    # An empty list that another file is merged with is none any more, and Podman can't give a tmpfs away.
    assert not re.search(r"^    \w+: \[\]$", rest, re.MULTILINE)
    for options in re.findall(r'"/[\w/]+:([^"]*size=[^"]+)"', text):
        assert {one.partition("=")[0] for one in options.split(",")} == {"size", "mode", "noexec", "nosuid", "nodev"}


def compose_command() -> list[str] | None:
    """Compose of version 2, as Docker's plugin or by itself."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            said = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if said.returncode == 0 and not said.stdout.startswith("1."):
                return command
    return None


@pytest.mark.parametrize("profile", sorted(PROFILES | {"scale"}))
def test_compose_accepts_the_files(profile: str) -> None:
    command = compose_command()
    if command is None:
        pytest.skip("needs Docker Compose 2, which is no Debian package of every release")
    files = ["docker-compose.yml", *(["docker-compose.scale.yml"] if profile == "scale" else [])]
    arguments = [part for file in files for part in ("--file", str(ROOT / file))]
    environment = os.environ | {"COMPOSE_PROFILES": "" if profile == "scale" else profile}
    asked = [*command, *arguments, "--env-file", os.devnull, "config", "--format", "json"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False, env=environment)
    assert said.returncode == 0, said.stderr
    services = json.loads(said.stdout)["services"]
    published = [port["published"] for service in services.values() for port in service.get("ports", [])]
    assert sorted(published) == sorted(map(str, PUBLISHED.values()))


def test_collectors_have_a_log_each_and_the_balancer_knows_them_all() -> None:
    collectors = {name for name in SCALED["services"] if name.startswith("collector")}
    volumes = [SCALED["services"][name].get("volumes", ["collector:/data"])[0] for name in sorted(collectors)]
    assert volumes == ["collector:/data", "collector-2:/data", "collector-3:/data"]
    balanced = re.findall(
        r"^ +server \S+ (\S+):8801$", (ROOT / "provisioning/haproxy/haproxy.cfg").read_text(), re.MULTILINE
    )
    assert set(balanced) == collectors


def test_the_balancer_asks_the_engines_dns_wherever_it_is_and_outlives_its_silence() -> None:
    text = (ROOT / "provisioning/haproxy/haproxy.cfg").read_text()
    assert "parse-resolv-conf" in text
    assert not re.search(r"^ *nameserver", text, re.MULTILINE)
    assert set(re.findall(r"hold (\w+) 1h", text)) == {"timeout", "refused", "other"}


def test_there_are_as_many_shards_as_ml_services() -> None:
    services = {name: one["environment"] for name, one in SCALED["services"].items() if name.startswith("ml")}
    assert {one["STREAMSWARM_ML_SHARDS"] for one in services.values()} == {str(len(services))}
    assert {one["STREAMSWARM_ML_SHARD"] for one in services.values()} == {
        str(number) for number in range(len(services))
    }
