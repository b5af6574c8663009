"""Module files of blackbox_exporter: what is read, and what is refused with its reason."""

from pathlib import Path

import httpx
import pytest
import yaml

from streamswarm_agent.exporter import create_exporter
from streamswarm_agent.probes import Engines
from streamswarm_agent.settings import AgentSettings
from streamswarm_core.errors import ConfigError
from tests.support import serve_app


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ({"prober": "grpc"}, "prober: Input should be 'http', 'tcp', 'dns' or 'icmp'"),
        ({"prober": "http", "http": {"proxy_url": "http://x"}}, "http.proxy_url: isn't known here"),
        ({"prober": "http", "timeout": 5}, "timeout: takes a duration such as 5s, not 5"),
        ({"prober": "http", "http": {"body_size_limit": "ten"}}, "takes a size such as 10MB"),
        ({"prober": "http", "http": {"fail_if_body_matches_regexp": ["("]}}, "is no regular expression"),
        ({"prober": "http", "http": {"tls_config": {"min_version": "TLS10"}}}, "tls_config.min_version"),
        ({"prober": "http", "http": {"bearer_token_file": "/nowhere"}}, "/nowhere: No such file"),
        ({"prober": "dns"}, "the prober dns needs dns.query_name"),
        ({"prober": "dns", "dns": {"query_name": "x", "dns_over_tls": True}}, "needs transport_protocol: tcp"),
        ({"prober": "http", "http": {"tls_config": {"cert_file": "/own.pem"}}}, "cert_file and key_file go together"),
        (
            {
                "prober": "dns",
                "dns": {"query_name": "x", "tls_config": {"cert_file": "/own.pem", "key_file": "/own.pem"}},
            },
            "tls_config.cert_file isn't known here for the prober dns",
        ),
        ("nonsense", "valid dictionary"),
    ],
)
def test_a_module_that_asks_for_what_we_lack_is_refused_alone(tmp_path: Path, module: object, reason: str) -> None:
    file = tmp_path / "blackbox.yml"
    file.write_text(yaml.safe_dump({"modules": {"bad": module, "good": {"prober": "icmp"}}}))
    engine = Engines()
    with serve_app(create_exporter(AgentSettings(blackbox_file=file), list, engine, dict)) as url:
        answer = httpx.get(f"{url}/probe?module=bad&target=x")
        assert answer.status_code == 400
        assert "the module bad can't be run: " in answer.text
        assert reason in answer.text
        assert "\nprobe_success 1.0\n" in httpx.get(f"{url}/probe?module=good&target=127.0.0.1").text
    engine.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("modules: [", "is no YAML"),
        ("http_2xx: {prober: http}", "takes one key, modules"),
        ("- a", "takes one key, modules"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_none_of_theirs_stops_the_start(tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "blackbox.yml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=words):
        create_exporter(AgentSettings(blackbox_file=file), list, Engines(), dict)


@pytest.mark.needs("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
@pytest.mark.parametrize(
    "path", ["/etc/prometheus/blackbox.yml", "/usr/share/doc/prometheus-blackbox-exporter/examples/example.yml"]
)
def test_the_files_that_debian_ships_are_read(path: str) -> None:
    from streamswarm_agent.blackbox import load_modules  # noqa: PLC0415

    if not Path(path).exists():
        pytest.skip(f"{path} isn't there")
    found = load_modules(Path(path))
    asked = set(yaml.safe_load(Path(path).read_text())["modules"])
    # Left out, each with its reason: gRPC, a proxy, and "^+OK", which only Go takes.
    unsupported = {"grpc", "grpc_plain", "http_with_proxy", "pop3s_banner"}
    assert asked - set(found.known) <= unsupported
    assert all(found.refused.values())


def test_an_address_is_not_blamed_for_being_none_of_the_family_to_fall_back_to() -> None:
    engines = Engines()
    with serve_app(create_exporter(AgentSettings(), list, engines, dict)) as url:
        answer = httpx.get(f"{url}/probe?module=icmp&target=fe80::1&debug=true")
    engines.close()
    assert answer.text.startswith("The probe failed: bad_target: fe80::1 is a link-local address")
