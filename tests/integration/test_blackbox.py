"""`/probe` beside the real blackbox_exporter: both measure the same servers at the same time, and say the same.

Times differ, and so does nothing else but what docs/blackbox.md lists.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from streamswarm_agent.exporter import create_exporter
from streamswarm_agent.probes import Engines
from streamswarm_agent.settings import AgentSettings
from tests.integration.stores import run_prometheus
from tests.lab.servers.certificates import Authority
from tests.lab.servers.dns import dns_server
from tests.lab.servers.http import http_server
from tests.lab.servers.tcp import tcp_server
from tests.support import eventually, find_free_port, run_server, serve_app

HERE = "127.0.0.1"
needs_blackbox = pytest.mark.needs("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
# What depends on the clock or the moment, and not on the target.
TIMES = {
    "probe_duration_seconds",
    "probe_dns_lookup_time_seconds",
    "probe_http_duration_seconds",
    "probe_dns_duration_seconds",
    "probe_icmp_duration_seconds",
}
# blackbox_exporter writes the year 1 where there is no verified chain; we leave the metric out.
YEAR_ONE = -62135596800


def modules(trust: Path, own: Path) -> dict[str, object]:
    tls = {"ca_file": str(trust)}
    mutual = {**tls, "cert_file": str(own), "key_file": str(own)}
    insecure = {"insecure_skip_verify": True}
    query = {"query_name": "www.lab.test", "query_type": "A"}
    return {
        "http_2xx": {"prober": "http"},
        "http_tls": {"prober": "http", "http": {"tls_config": tls}},
        "http_tls_1_1": {"prober": "http", "http": {"tls_config": tls, "enable_http2": False}},
        "http_mutual": {"prober": "http", "http": {"tls_config": mutual}},
        "tls_mutual": {"prober": "tcp", "tcp": {"tls": True, "tls_config": mutual}},
        "http_insecure": {"prober": "http", "http": {"tls_config": insecure}},
        "http_post_2xx": {"prober": "http", "timeout": "5s", "http": {"method": "POST", "body": "{}"}},
        "http_gzip": {
            "prober": "http",
            "http": {"compression": "gzip", "headers": {"Accept-Encoding": "gzip"}},
        },
        "http_one": {"prober": "http", "http": {"follow_redirects": False, "valid_status_codes": [302]}},
        "http_no_hello": {"prober": "http", "http": {"fail_if_body_matches_regexp": ["hel+o"]}},
        "http_hello": {"prober": "http", "http": {"fail_if_body_not_matches_regexp": ["hel+o", "lab"]}},
        "http_good_bye": {"prober": "http", "http": {"fail_if_body_not_matches_regexp": ["good-bye"]}},
        "http_header": {
            "prober": "http",
            "http": {"fail_if_header_not_matches": [{"header": "Content-Type", "regexp": "^text"}]},
        },
        "http_no_header": {
            "prober": "http",
            "http": {"fail_if_header_matches": [{"header": "Set-Cookie", "regexp": ".*", "allow_missing": True}]},
        },
        "http_missing_header": {
            "prober": "http",
            "http": {"fail_if_header_not_matches": [{"header": "X-Missing", "regexp": ".*"}]},
        },
        "http_must_tls": {"prober": "http", "http": {"fail_if_not_ssl": True}},
        "http_must_not_tls": {"prober": "http", "http": {"fail_if_ssl": True, "tls_config": insecure}},
        "http_versions": {"prober": "http", "http": {"valid_http_versions": ["HTTP/2.0"], "tls_config": tls}},
        "http_limit": {"prober": "http", "http": {"body_size_limit": "1KB"}},
        "tcp_connect": {"prober": "tcp"},
        "tls_connect": {"prober": "tcp", "timeout": "5s", "tcp": {"tls": True, "tls_config": tls}},
        "tls_insecure": {"prober": "tcp", "tcp": {"tls": True, "tls_config": insecure}},
        "ssh_banner": {
            "prober": "tcp",
            "tcp": {"query_response": [{"expect": "^SSH-2.0-"}, {"send": "SSH-2.0-blackbox-ssh-check"}]},
        },
        "irc_banner": {
            "prober": "tcp",
            "timeout": "1s",
            "tcp": {"query_response": [{"send": "NICK prober"}, {"expect": "PING :([^ ]+)", "send": "PONG ${1}"}]},
        },
        "icmp": {"prober": "icmp"},
        "icmp_4": {
            "prober": "icmp",
            "icmp": {
                "preferred_ip_protocol": "ip4",
                "payload_size": 100,
                "ttl": 5,
                "dont_fragment": True,
                "source_ip_address": "127.0.0.1",
            },
        },
        "dns_udp": {"prober": "dns", "dns": query},
        "dns_tcp": {"prober": "dns", "dns": {**query, "transport_protocol": "tcp"}},
        "dns_tls": {
            "prober": "dns",
            "dns": {**query, "transport_protocol": "tcp", "dns_over_tls": True, "tls_config": tls},
        },
        "dns_soa": {"prober": "dns", "dns": {"query_name": "lab.test", "query_type": "SOA"}},
        "dns_missing": {"prober": "dns", "dns": {**query, "query_name": "nxdomain.lab.test"}},
        "dns_missing_ok": {
            "prober": "dns",
            "dns": {**query, "query_name": "nxdomain.lab.test", "valid_rcodes": ["NXDOMAIN"]},
        },
        **{
            f"dns_{rule}_{number}": {
                "prober": "dns",
                "dns": {**query, "validate_answer_rrs": {f"fail_if_{rule}_regexp": [pattern]}},
            }
            for rule in ("matches", "all_match", "not_matches", "none_matches")
            for number, pattern in enumerate(["www.lab.test.\t300\tIN\tA\t192.0.2.*", "127[.]0"])
        },
    }


TARGETS = {
    "web": "http://127.0.0.1:{http}/",
    "bare": "127.0.0.1:{http}",
    "named": "http://localhost:{http}/",
    "away": "http://127.0.0.1:{closed}/",
    "redirecting": "http://127.0.0.1:{http}/redirect/3",
    "failing": "http://127.0.0.1:{http}/status/503",
    "text": "http://127.0.0.1:{http}/text/5000",
    "secure": "https://127.0.0.1:{https}/",
    "unfinished": "http://127.0.0.1:{http}/unfinished",
    "picky": "https://127.0.0.1:{picky}/",
    "tls-picky": "127.0.0.1:{picky}",
    "expired": "https://127.0.0.1:{expired}/",
    "tcp": "127.0.0.1:{ssh}",
    "closed": "127.0.0.1:{closed}",
    "tls": "127.0.0.1:{https}",
    "tls-expired": "127.0.0.1:{expired}",
    "host": "127.0.0.1",
    "host6": "::1",
    "dns": "127.0.0.1:{dns}",
    "dns-tls": "127.0.0.1:{dot}",
    "dns-away": "127.0.0.1:{closed}",
}

CASES = [
    *(("http_2xx", name) for name in ("web", "bare", "named", "away", "redirecting", "failing", "text", "secure")),
    *(("http_tls", name) for name in ("secure", "expired")),
    ("http_tls_1_1", "secure"),
    *(("http_insecure", name) for name in ("secure", "expired")),
    ("http_post_2xx", "web"),
    *(("http_gzip", name) for name in ("text", "unfinished")),
    *(("http_mutual", name) for name in ("picky", "secure")),
    ("tls_mutual", "tls-picky"),
    ("http_one", "redirecting"),
    *((f"http_{name}", "web") for name in ("no_hello", "hello", "good_bye", "header", "no_header", "missing_header")),
    ("http_must_tls", "web"),
    ("http_must_not_tls", "secure"),
    *(("http_versions", name) for name in ("web", "secure")),
    *(("http_limit", name) for name in ("web", "text")),
    *(("tcp_connect", name) for name in ("tcp", "closed")),
    *(("tls_connect", name) for name in ("tls", "tls-expired", "tcp")),
    *(("tls_insecure", name) for name in ("tls", "tls-expired")),
    ("ssh_banner", "tcp"),
    ("irc_banner", "tcp"),
    *(("icmp", name) for name in ("host", "host6")),
    ("icmp_4", "host"),
    *((f"dns_{name}", "dns") for name in ("udp", "tcp", "soa", "missing", "missing_ok")),
    ("dns_tls", "dns-tls"),
    *(("dns_udp", name) for name in ("dns-away", "host")),
    *(
        (f"dns_{rule}_{number}", "dns")
        for rule in ("matches", "all_match", "not_matches", "none_matches")
        for number in (0, 1)
    ),
]


@dataclass(frozen=True)
class Both:
    """Two exporters that answer /probe, and what there is to measure.

    Attributes:
        ours: base URL of an agent's exporter.
        theirs: base URL of blackbox_exporter; empty if it isn't installed.
        targets: by the names of TARGETS.
        file: the modules of both.
    """

    ours: str
    theirs: str
    targets: dict[str, str]
    file: Path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("blackbox")
    authority = Authority(folder)
    right = authority.certificate(HERE, "localhost")
    file = folder / "blackbox.yml"
    file.write_text(yaml.safe_dump({"modules": modules(authority.path, authority.certificate("agent.lab.test"))}))
    with ExitStack() as stack:
        web = stack.enter_context(http_server())
        secure = stack.enter_context(http_server(certificate=right))
        picky = stack.enter_context(http_server(certificate=right, clients=authority.path))
        expired = stack.enter_context(http_server(certificate=authority.certificate(HERE, kind="expired")))
        zone = {"lab.test": ["SOA ns.lab.test. root.lab.test. 2026112501 1 2 3 4"]}
        names = stack.enter_context(dns_server(certificate=right, zone=zone))
        ssh = stack.enter_context(tcp_server(banner="SSH-2.0-lab\r\n"))
        ports = {"http": web.port, "https": secure.port, "expired": expired.port, "picky": picky.port, "ssh": ssh.port}
        ports |= {"dns": names.port, "dot": names.ports["tls"], "closed": find_free_port()}
        theirs = ""
        if shutil.which("prometheus-blackbox-exporter"):
            address = f"{HERE}:{find_free_port()}"
            command = ["prometheus-blackbox-exporter", f"--config.file={file}", f"--web.listen-address={address}"]
            stack.enter_context(run_server(command, f"http://{address}/", folder / "theirs.log"))
            theirs = f"http://{address}"
        engine = Engines()
        stack.callback(engine.close)
        app = create_exporter(AgentSettings(blackbox_file=file), list, engine, dict)
        ours = stack.enter_context(serve_app(app))
        yield Both(ours, theirs, {name: target.format(**ports) for name, target in TARGETS.items()}, file)


def probe(url: str, module: str, target: str, **more: str) -> dict[str, Metric]:
    answer = httpx.get(f"{url}/probe", params={"module": module, "target": target, **more}, timeout=30)
    assert answer.status_code == 200, answer.text
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def described(families: dict[str, Metric]) -> dict[str, tuple[str, str, list[dict[str, str]]]]:
    """HELP, TYPE and labels of each metric."""
    return {
        name: (
            family.documentation,
            family.type,
            sorted((sample.labels for sample in family.samples), key=lambda labels: sorted(labels.items())),
        )
        for name, family in families.items()
    }


def values(families: dict[str, Metric]) -> dict[str, float]:
    """What does not depend on the clock."""
    return {name: family.samples[0].value for name, family in families.items() if name not in TIMES}


@needs_blackbox
@pytest.mark.parametrize(("module", "target"), CASES)
def test_both_say_the_same_of_the_same_target(both: Both, module: str, target: str) -> None:
    theirs = probe(both.theirs, module, both.targets[target])
    ours = probe(both.ours, module, both.targets[target])
    chain_end = theirs.get("probe_ssl_last_chain_expiry_timestamp_seconds")
    if chain_end is not None and chain_end.samples[0].value == YEAR_ONE:
        del theirs["probe_ssl_last_chain_expiry_timestamp_seconds"]
    if not values(theirs)["probe_success"]:
        # Where a certificate is wrong ours shows it all the same, since then its date is wanted most.
        ours = {name: family for name, family in ours.items() if name in theirs or not name.startswith("probe_ssl")}
        ours = {name: family for name, family in ours.items() if name in theirs or name != "probe_tls_version_info"}
    assert described(ours) == described(theirs)
    assert values(ours) == values(theirs)


def test_the_expiry_of_a_refused_certificate_is_there(both: Both) -> None:
    families = probe(both.ours, "http_tls", both.targets["expired"])
    assert values(families)["probe_success"] == 0
    assert values(families)["probe_ssl_earliest_cert_expiry"] > 1_000_000_000


@needs_blackbox
@pytest.mark.parametrize("query", ["module=icmp", "module=nonsense&target=x"])
def test_both_refuse_the_same_requests(both: Both, query: str) -> None:
    assert [httpx.get(f"{url}/probe?{query}").status_code for url in (both.theirs, both.ours)] == [400, 400]


@pytest.mark.needs("prometheus", "prometheus")
def test_prometheus_scrapes_with_the_example_configuration(both: Both, tmp_path: Path) -> None:
    """The configuration of blackbox_exporter's README, with an agent in its place."""

    def job(module: str, *targets: str) -> dict[str, object]:
        return {
            "job_name": module,
            "metrics_path": "/probe",
            "scrape_interval": "1s",
            "params": {"module": [module]},
            "static_configs": [{"targets": [both.targets[name] for name in targets]}],
            "relabel_configs": [
                {"source_labels": ["__address__"], "target_label": "__param_target"},
                {"source_labels": ["__param_target"], "target_label": "instance"},
                {"target_label": "__address__", "replacement": both.ours.removeprefix("http://")},
            ],
        }

    jobs = [
        job("http_2xx", "web", "away"),
        job("icmp", "host"),
        job("tcp_connect", "tcp"),
        job("dns_udp", "dns"),
        job("tls_connect", "tls"),
    ]
    wanted = {
        ("http_2xx", both.targets["web"]): "1",
        ("http_2xx", both.targets["away"]): "0",
        ("icmp", both.targets["host"]): "1",
        ("tcp_connect", both.targets["tcp"]): "1",
        ("dns_udp", both.targets["dns"]): "1",
        ("tls_connect", both.targets["tls"]): "1",
    }
    with run_prometheus(tmp_path, yaml.safe_dump({"scrape_configs": jobs})) as url:

        def ask(expression: str) -> dict[tuple[str, str], str]:
            found = httpx.get(f"{url}/api/v1/query", params={"query": expression}).json()["data"]["result"]
            return {(series["metric"]["job"], series["metric"]["instance"]): series["value"][1] for series in found}

        assert eventually(lambda: ask("probe_success"), lambda seen: len(seen) == len(wanted)) == wanted
        assert ask("up") == dict.fromkeys(wanted, "1")
        expressions: dict[str, Callable[[float], bool]] = {
            'probe_icmp_duration_seconds{phase="rtt"}': lambda value: value > 0,
            'sum by (job, instance) (probe_http_duration_seconds{job="http_2xx"})': lambda value: value >= 0,
            "(probe_ssl_earliest_cert_expiry - time()) / 86400": lambda value: 29 < value < 31,
            "probe_dns_answer_rrs": lambda value: value == 1,
        }
        for expression, good in expressions.items():
            found = ask(expression)
            assert found, expression
            assert all(good(float(value)) for value in found.values()), (expression, found)


@pytest.mark.needs("promtool", "prometheus")
@pytest.mark.parametrize(("module", "target"), [("http_tls", "secure"), ("dns_soa", "dns"), ("tls_connect", "tls")])
def test_what_is_answered_passes_prometheus_own_linter_as_theirs_does(both: Both, module: str, target: str) -> None:
    def findings(url: str) -> set[str]:
        text = httpx.get(f"{url}/probe", params={"module": module, "target": both.targets[target]}).text
        command = ["promtool", "check", "metrics"]
        checked = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=30)
        return {line for line in (checked.stdout + checked.stderr).splitlines() if line}

    # The names are blackbox_exporter's, and so is what promtool doesn't like about some of them.
    assert findings(both.ours) == (findings(both.theirs) if both.theirs else set())


def test_openmetrics_is_answered_to_who_asks_for_it(both: Both) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    for path in (f"/probe?module=icmp&target={HERE}", "/metrics"):
        answer = httpx.get(both.ours + path, headers={"Accept": accept})
        assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert answer.text.endswith("# EOF\n")
        plain = httpx.get(both.ours + path, headers={"Accept": "text/plain"})
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_a_probe_ends_before_prometheus_gives_up(both: Both) -> None:
    silent = find_free_port()
    with tcp_server(port=silent):
        answer = httpx.get(
            f"{both.ours}/probe",
            params={"module": "http_2xx", "target": f"http://{HERE}:{silent}/"},
            headers={"X-Prometheus-Scrape-Timeout-Seconds": "1.0"},
            timeout=30,
        )
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert values(families)["probe_success"] == 0
    # asyncio's clock may ring a millisecond early.
    assert families["probe_duration_seconds"].samples[0].value >= 0.49
    bad = httpx.get(f"{both.ours}/probe?module=icmp&target=x", headers={"X-Prometheus-Scrape-Timeout-Seconds": "soon"})
    assert (bad.status_code, "takes seconds, not 'soon'" in bad.text) == (400, True)


def test_debugging_says_why(both: Both) -> None:
    text = httpx.get(
        f"{both.ours}/probe", params={"module": "http_2xx", "target": both.targets["failing"], "debug": "true"}
    ).text
    assert "failed: status 503 instead of 2xx" in text
    assert "probe_http_status_code 503" in text


def test_a_hostname_goes_into_host_and_sni(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    file = tmp_path / "blackbox.yml"
    file.write_text(
        yaml.safe_dump(
            {"modules": {"named": {"prober": "http", "http": {"tls_config": {"ca_file": str(authority.path)}}}}}
        )
    )
    engine = Engines()
    app = create_exporter(AgentSettings(blackbox_file=file), list, engine, dict)
    with http_server(certificate=authority.certificate("www.lab.test")) as server, serve_app(app) as url:
        target = f"https://{HERE}:{server.port}/"
        assert values(probe(url, "named", target, hostname="www.lab.test"))["probe_success"] == 1
        assert values(probe(url, "named", target))["probe_success"] == 0
    engine.close()
