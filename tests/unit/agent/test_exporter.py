import gzip
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streamswarm_agent.exporter import PointCollector, create_exporter
from streamswarm_agent.latest import LatestPoints
from streamswarm_agent.probes import Engines
from streamswarm_agent.probes.direct import Reading
from streamswarm_agent.settings import AgentSettings
from streamswarm_core.assignment import Assignment
from streamswarm_core.catalogue import CATALOGUE, Kind, Measurement
from streamswarm_core.catalogue.bandwidth import BANDWIDTH
from streamswarm_core.catalogue.distribution import ICMP_RTT
from streamswarm_core.catalogue.host import HOST_CPU
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.catalogue.tcp import TCP_WINDOW_SAMPLE
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.serieslines import SeriesLines
from streamswarm_core.sketch import Sketch
from tests.support import find_free_port, serve_app


def distribution(tags: dict[str, str], *durations: float) -> Point:
    return ICMP_RTT.point(tags, time_ns=None, **Sketch.of(durations).to_fields())


POINTS = [
    ICMP.point({"test": "gw", "target": "192.0.2.1", "family": "ipv4"}, up=1, rtt_mean=0.0125, loss=0.0, error="x"),
    ICMP.point({"test": "other", "target": "::1", "family": "ipv6"}, up=0, loss=1.0),
    HOST_CPU.point({"test": "host"}, usage=0.25),
    distribution({"test": "gw", "target": "192.0.2.1", "family": "ipv4"}, 0.011, 0.012, 0.05),
]


@pytest.fixture
def url() -> Iterator[str]:
    engines = Engines()
    with serve_app(create_exporter(AgentSettings(), lambda: POINTS, engines, dict)) as url:
        yield url
    engines.close()


def values(text: str, name: str) -> dict[str, float]:
    return {
        sample.labels.get("test", ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


@pytest.mark.parametrize("path", ["/metrics", "/probe?module=tcp_connect&target=127.0.0.1:1"])
@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text;version=1.0.0"])
def test_metrics_are_packed_for_whoever_takes_gzip_and_for_nobody_else(url: str, path: str, accept: str) -> None:
    def fetch(encoding: str) -> tuple[httpx.Headers, bytes]:
        headers = {"Accept": accept, "Accept-Encoding": encoding}
        with httpx.stream("GET", f"{url}{path}", headers=headers) as answer:
            return answer.headers, b"".join(answer.iter_raw())

    for encoding in ("gzip", "gzip;q=1.0,*;q=0.5"):
        headers, packed = fetch(encoding)
        assert headers["Content-Encoding"] == "gzip"
        assert int(headers["Content-Length"]) == len(packed)
        assert headers["Vary"] == "Accept, Accept-Encoding"
        assert b"# HELP" in gzip.decompress(packed)
    for encoding in ("identity", "gzip;q=0", ""):
        headers, plain = fetch(encoding)
        assert "Content-Encoding" not in headers
        assert b"# HELP" in plain
    if path == "/metrics":
        assert gzip.decompress(packed) == plain


def test_points_are_exported_under_the_catalogues_names(url: str) -> None:
    text = httpx.get(f"{url}/metrics").text
    assert values(text, "streamswarm_icmp_up") == {"gw": 1.0, "other": 0.0}
    assert values(text, "streamswarm_icmp_rtt_mean_seconds") == {"gw": 0.0125}
    assert values(text, "streamswarm_host_cpu_usage_ratio") == {"host": 0.25}
    assert "# HELP streamswarm_icmp_loss_ratio Share of requests without a reply in time." in text


def test_of_several_points_of_one_series_the_last_is_exported() -> None:
    tags = {"test": "bulk", "target": "192.0.2.1:9"}
    course = [TCP_WINDOW_SAMPLE.point(tags, time_ns=time_ns, rtt=time_ns / 1000) for time_ns in (1, 2, 3)]
    registry = CollectorRegistry()
    registry.register(PointCollector(lambda: course))
    lines = generate_latest(registry).decode().splitlines()
    assert [line for line in lines if "_rtt_seconds{" in line] == [
        'streamswarm_tcp_window_sample_rtt_seconds{direction="",family="",target="192.0.2.1:9",test="bulk"} 0.003'
    ]


def test_a_distribution_is_a_cumulative_histogram_with_bounds_that_do_not_depend_on_what_was_measured(url: str) -> None:
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    (family,) = [family for family in families if family.name == "streamswarm_icmp_rtt_seconds"]
    assert family.type == "histogram"
    buckets = {sample.labels["le"]: sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    assert len(buckets) == 32
    assert (buckets["0.01"], buckets["0.016"], buckets["0.04"], buckets["0.063"]) == (0, 2, 2, 3)
    assert (buckets["1e-05"], buckets["10.0"], buckets["+Inf"]) == (0, 3, 3)
    sums = {sample.name: sample.value for sample in family.samples if not sample.name.endswith("_bucket")}
    assert sums == {"streamswarm_icmp_rtt_seconds_count": 3, "streamswarm_icmp_rtt_seconds_sum": pytest.approx(0.073)}


@pytest.mark.needs("promtool", "prometheus")
def test_prometheus_own_linter_finds_nothing(url: str) -> None:
    for path in ("/metrics", "/probe?target=127.0.0.1&module=icmp"):
        text = httpx.get(url + path).text
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=30
        )
        # Names that blackbox_exporter gave its metrics are not ours to mend.
        findings = [line for line in (checked.stdout + checked.stderr).splitlines() if "probe_" not in line]
        assert not findings


@pytest.mark.needs("promtool", "prometheus")
def test_prometheus_own_linter_finds_nothing_in_any_measurement_of_the_catalogue() -> None:
    registry = CollectorRegistry()
    registry.register(PointCollector(lambda: map(full_point, CATALOGUE.values())))
    text = generate_latest(registry)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False, timeout=30)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def full_point(measurement: Measurement) -> Point:
    fields: dict[str, FieldValue] = {one.name: "x" if one.kind is Kind.STRING else 1 for one in measurement.fields}
    return measurement.point(dict.fromkeys(measurement.tags, "a"), time_ns=1, **fields)


def test_rates_in_bits_are_exported_in_bytes() -> None:
    registry = CollectorRegistry()
    registry.register(PointCollector(lambda: [BANDWIDTH.point({"target": "a"}, time_ns=1, download=8e6)]))
    assert registry.get_sample_value(
        "streamswarm_bandwidth_download_bytes_per_second", {"test": "", "target": "a", "family": "", "method": ""}
    ) == pytest.approx(1e6)


def test_a_probe_answers_with_the_names_that_dashboards_know(url: str) -> None:
    port = int(url.rpartition(":")[2])
    icmp = httpx.get(f"{url}/probe?target=127.0.0.1&module=icmp").text
    assert "probe_success 1.0" in icmp
    assert 'probe_icmp_duration_seconds{phase="rtt"}' in icmp
    http = httpx.get(f"{url}/probe?target=127.0.0.1:{port}/health&module=http_2xx").text
    assert "probe_success 1.0" in http
    assert "probe_http_status_code 200.0" in http
    for phase in ("resolve", "connect", "tls", "processing", "transfer"):
        assert f'probe_http_duration_seconds{{phase="{phase}"}}' in http
    refused = httpx.get(f"{url}/probe?target=127.0.0.1:{find_free_port()}&module=tcp_connect").text
    assert "probe_success 0.0" in refused
    assert "probe_duration_seconds" in refused


@pytest.mark.parametrize(
    ("query", "words"), [("module=icmp", "target is missing"), ("target=x&module=y", "one of http_2xx, http_post_2xx")]
)
def test_a_bad_probe_request_says_what_is_accepted(url: str, query: str, words: str) -> None:
    answer = httpx.get(f"{url}/probe?{query}")
    assert answer.status_code == 400
    assert words in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.evil.test:8803"},
        {"Host": "[bad"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.test"},
    ],
)
def test_pages_of_other_sites_can_have_nothing_probed(url: str, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{url}/probe?target=127.0.0.1&module=icmp", headers=headers)
    assert answer.status_code == 403
    assert "STREAMSWARM_AGENT_PROBE_TOKEN" in answer.text


@pytest.mark.parametrize(
    "headers",
    [{"Host": "localhost:8803"}, {"Host": "[::1]:8803"}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}],
)
def test_who_looks_at_a_probe_on_the_agents_host_may(url: str, headers: dict[str, str]) -> None:
    port = find_free_port()
    assert httpx.get(f"{url}/probe?target=127.0.0.1:{port}&module=tcp_connect", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("token", "sent", "status"),
    [("", "", 403), ("secret", "", 401), ("secret", "wrong", 401), ("secret", "secret", 200)],
)
def test_probing_from_other_hosts_needs_a_token(token: str, sent: str, status: int) -> None:
    settings = AgentSettings(host="0.0.0.0", probe_token=token)  # noqa: S104
    with serve_app(create_exporter(settings, list, Engines(), dict)) as url:
        answer = httpx.get(
            f"{url}/probe?target=127.0.0.1:1&module=tcp_connect",
            headers={"Authorization": f"Bearer {sent}"} if sent else {},
        )
    assert answer.status_code == status


def test_what_was_measured_long_ago_is_not_exported() -> None:
    now = [0.0]
    latest = LatestPoints(lambda: now[0])
    latest.put(Assignment(id="a", test="t", probe="icmp", interval=10, timeout=5), POINTS[:1])
    now[0] = 35.0
    assert list(latest) == POINTS[:1]
    now[0] = 35.1
    assert list(latest) == []


def test_distributions_are_added_up_between_scrapes_and_survive_a_run_without_any() -> None:
    latest = LatestPoints()
    assignment = Assignment(id="a", test="gw", probe="icmp", interval=10, timeout=5)
    tags = {"test": "gw", "target": "192.0.2.1", "family": "ipv4"}
    for durations in ([0.011, 0.012], [0.3], [0.012]):
        latest.put(assignment, [POINTS[0], distribution(tags, *durations)])
    latest.put(assignment, [POINTS[1]])
    newest, total = latest
    assert newest == POINTS[1]
    together = Sketch.from_fields(total.fields)
    assert together.buckets == Sketch.of([0.011, 0.012, 0.3, 0.012]).buckets
    assert together.total == pytest.approx(0.335)


def test_a_reading_is_made_into_points_when_they_are_asked_for() -> None:
    now = [0.0]
    latest = LatestPoints(lambda: now[0])
    assignment = Assignment(id="a", test="gw", probe="icmp", interval=10, timeout=5)
    tags = {"test": "gw", "target": "192.0.2.1", "family": "ipv4"}
    for rtt in (0.011, 0.3):
        more = [distribution(tags, rtt)]
        latest.put_outcome(assignment, Reading(SeriesLines(ICMP, tags), {"up": 1, "rtt_mean": rtt}, 7, more))
    newest, total = latest
    assert newest == ICMP.point(tags, time_ns=7, up=1, rtt_mean=0.3)
    assert Sketch.from_fields(total.fields).buckets == Sketch.of([0.011, 0.3]).buckets
    now[0] = 35.1
    assert list(latest) == []
