"""What one sender may cost the others: series, memory, connections; and what the collector says of it."""

import gzip
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings, InfluxSinkSettings
from streamswarm_core.tokens import Scope
from tests.integration.guarding import ADMIN, bearer, guarded
from tests.support import eventually, find_free_port, serve_app

GZIP = gzip.compress(b"m v=1 1\n" * 99, mtime=0)
ONE = bearer("one", Scope.WRITE, Scope.AGENT)
TWO = bearer("two", Scope.WRITE, Scope.AGENT)
SCRIPT = bearer("script", Scope.WRITE)


def write(url: str, lines: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{url}/write?db=streamswarm", content=lines, headers=headers)


def values(url: str, statement: str) -> list[Any]:
    parameters = {"db": "streamswarm", "q": statement, "epoch": "ns"}
    answer: Any = httpx.post(f"{url}/query", data=parameters, headers=ADMIN).json()
    return [row for series in answer["results"][0].get("series", []) for row in series["values"]]


def samples(url: str) -> dict[str, float]:
    lines = [line for line in httpx.get(f"{url}/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_series_beyond_an_agents_limit_are_refused_by_line_across_restarts(tmp_path: Path) -> None:
    settings = guarded(tmp_path, max_series_per_agent=3, flush_seconds=0.01)
    with serve_app(create_app(settings)) as url:
        assert write(url, "m,h=a v=1 1\nm,h=b v=1 1", ONE).status_code == 204
        answer = write(url, "m,h=a v=2 2\nm,h=c v=2 2\nm,h=d v=2 2\nm,h=e v=2 2", ONE)
        assert answer.status_code == 400
        assert answer.json()["error"] == (
            "partial write: "
            + "; ".join(
                f"line {line}: max-series-per-agent limit exceeded: (3): one has 3 series; take tags with ever new "
                "values off the points, or raise max_series_per_agent of the collector"
                for line in (3, 4)
            )
            + " dropped=2"
        )
        assert write(url, "m,h=z v=1 1", TWO).status_code == 204
        assert write(url, "m,h=z v=1 1\nm,h=y v=1 1", SCRIPT).status_code == 204
        shown = samples(url)
        assert shown['streamswarm_collector_refused_lines_total{reason="series_limit"}'] == 2
        assert shown['streamswarm_collector_writer_series{writer="one"}'] == 3
        assert shown['streamswarm_collector_writer_series{writer="token id-script"}'] == 2
    with serve_app(create_app(settings)) as url:
        assert samples(url)['streamswarm_collector_writer_series{writer="one"}'] == 3
        assert "one has 3 series" in write(url, "m,h=d v=3 3", ONE).text
        assert write(url, "m,h=c v=3 3", ONE).status_code == 204
        assert len(values(url, "SELECT v FROM m WHERE agent = 'one'")) == 5
        values(url, "DROP MEASUREMENT m")
        assert write(url, "m,h=d v=4 4", ONE).status_code == 204


def test_a_sender_without_authentication_has_a_limit_too(tmp_path: Path) -> None:
    settings = CollectorSettings(data=tmp_path, auth=False, max_series_per_agent=1)
    for _ in range(2):
        with serve_app(create_app(settings)) as url:
            assert write(url, "m,agent=x v=1", {}).status_code == 204
            assert "anybody has 1 series" in write(url, "m,agent=y v=1", {}).text


def test_only_the_largest_writers_have_a_label_of_their_own(tmp_path: Path) -> None:
    with serve_app(create_app(guarded(tmp_path))) as url:
        for number in range(25):
            lines = "\n".join(f"m,h={host} v=1 1" for host in range(1 + number % 24))
            write(url, lines, bearer(f"agent-{number}", Scope.WRITE, Scope.AGENT)).raise_for_status()
        shown = {name: value for name, value in samples(url).items() if "writer_series" in name}
    assert len(shown) == 21
    assert shown['streamswarm_collector_writer_series{writer="other"}'] == 1 + 1 + 2 + 3 + 4
    assert sum(shown.values()) == sum(range(1, 25)) + 1


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[str]:
    """A collector with something to say in every metric."""
    sink = InfluxSinkSettings.model_validate({"name": "away", "url": f"http://127.0.0.1:{find_free_port()}"})
    settings = guarded(tmp_path, sinks=(sink,), flush_seconds=0.01)
    with serve_app(create_app(settings)) as url:
        write(url, "icmp,target=x rtt_mean=0.1\nm v=1\nm v=x", ONE)
        write(url, "cpu,host=telegraf usage=1\ncpu,host=telegraf usage=2 1", SCRIPT)
        values(url, "SELECT v FROM m")
        lag = 'streamswarm_collector_sink_lag_seconds{sink="away"}'
        eventually(lambda: samples(url)[lag], lambda seconds: seconds > 0)
        yield url


@pytest.mark.needs("promtool", "prometheus")
def test_promtool_has_nothing_to_say_against_the_metrics(busy: str) -> None:
    promtool = shutil.which("promtool")
    assert promtool
    text = httpx.get(f"{busy}/metrics").content
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_metrics_say_what_came_and_what_waits(busy: str) -> None:
    shown = {name.removeprefix("streamswarm_collector_"): value for name, value in samples(busy).items()}
    assert shown["points_total"] == 4
    assert shown["batches_total"] == 2
    assert shown["received_bytes_total"] == 38 + 53
    assert shown["foreign_points_total"] == 3
    assert shown['rejected_requests_total{status="400"}'] == 1
    assert shown['sink_lag_batches{sink="away"}'] == 2
    assert shown['sink_up{sink="away"}'] == 0
    assert shown['sink_retries_total{sink="away"}'] >= 1
    assert shown["wal_oldest_seconds"] > 0
    assert shown["query_seconds_count"] == 1


def test_openmetrics_is_given_to_whoever_asks_for_it(busy: str) -> None:
    answer = httpx.get(f"{busy}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"streamswarm_collector_points", "streamswarm_collector_flush_seconds"} <= families
    assert httpx.get(f"{busy}/metrics").headers["Content-Type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("path", ["/write?db=d", "/api/v2/write?bucket=d&org=any"])
@pytest.mark.parametrize("way", ["Token", "Bearer", "Token user:", "basic", "u and p"])
def test_every_way_to_give_a_token_is_taken_and_a_wrong_one_refused(tmp_path: Path, path: str, way: str) -> None:
    good = SCRIPT["Authorization"].removeprefix("Bearer ")
    with serve_app(create_app(guarded(tmp_path))) as url:
        for token, status in ((good, 204), (good[:-4] + "AAAA", 401)):
            headers, query, auth = {}, "", None
            if way == "basic":
                auth = ("telegraf", token)
            elif way == "u and p":
                query = f"&u=telegraf&p={token}"
            else:
                headers = {"Authorization": f"{way}{'' if way.endswith(':') else ' '}{token}"}
            answer = httpx.post(url + path + query, content=b"m v=1", headers=headers, auth=auth)
            assert answer.status_code == status, answer.text
            assert ("WWW-Authenticate" in answer.headers) is (status == 401)


def test_a_good_token_that_may_not_do_this_is_forbidden_not_unknown(tmp_path: Path) -> None:
    with serve_app(create_app(guarded(tmp_path))) as url:
        for answer in (
            httpx.get(f"{url}/query?q=SHOW+DATABASES", headers=SCRIPT),
            httpx.post(f"{url}/write?db=d", content=b"m v=1", headers=ADMIN),
            httpx.post(f"{url}/api/v2/write?bucket=d", content=b"m v=1", headers=ADMIN),
        ):
            assert answer.status_code == 403
            assert "this token may not" in answer.text
            assert "WWW-Authenticate" not in answer.headers


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    settings = CollectorSettings(data=tmp_path, auth=False, max_body_bytes=1_000_000, body_seconds=0.5)
    with serve_app(create_app(settings)) as served:
        yield served


@pytest.mark.parametrize("precision", ["ns", "n", "us", "u", "ms", "s", "m", "h"])
@pytest.mark.parametrize("path", ["/write?db=streamswarm", "/api/v2/write?bucket=streamswarm"])
def test_every_precision_is_understood_on_both_paths(url: str, path: str, precision: str) -> None:
    unit = {"n": 1, "u": 10**3, "m": 60 * 10**9, "h": 3600 * 10**9, "ms": 10**6, "s": 10**9}
    httpx.post(f"{url}{path}&precision={precision}", content=b"m v=1 7").raise_for_status()
    scale = unit.get(precision) or unit[precision[0]]
    assert values(url, "SELECT v FROM m") == [[7 * scale, 1]]


def test_gzip_of_several_members_is_read_to_its_end(url: str) -> None:
    body = gzip.compress(b"m v=1 1\n") + gzip.compress(b"m v=2 2\n") + gzip.compress(b"")
    answer = httpx.post(f"{url}/write?db=streamswarm", content=body, headers={"Content-Encoding": "GZIP"})
    assert answer.status_code == 204
    assert values(url, "SELECT v FROM m") == [[1, 1], [2, 2]]


@pytest.mark.parametrize(
    ("content", "encoding", "status", "words"),
    [
        (GZIP + b"rubbish", "gzip", 400, "not valid gzip"),
        (GZIP[:-9], "gzip", 400, "cut short"),
        (gzip.compress(b"m v=1 1\n" * 10_000_000, mtime=0), "gzip", 413, "larger than 1000000 bytes"),
        (gzip.compress(GZIP, mtime=0), "gzip", 400, "packed twice"),
        (GZIP, "", 400, "send the header Content-Encoding: gzip"),
        (b"m v=1", "br", 415, "gzip or none"),
        (b"m v=1", "deflate", 415, "gzip or none"),
        (b"\xef\xbb\xbfm v=1".decode().encode("utf-16"), "", 400, "unable to parse"),
        (b"x" * 1_000_001, "", 413, "larger than 1000000 bytes"),
    ],
    ids=[
        "rubbish behind gzip",
        "half a gzip",
        "bomb",
        "gzip twice",
        "gzip unsaid",
        "brotli",
        "deflate",
        "UTF-16",
        "too large",
    ],
)
def test_a_body_that_can_not_be_taken_says_why(
    url: str, content: bytes, encoding: str, status: int, words: str
) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}
    answer = httpx.post(f"{url}/write?db=streamswarm", content=content, headers=headers)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert httpx.post(f"{url}/write?db=streamswarm", content=b"m v=1 1").status_code == 204


def connect(url: str) -> socket.socket:
    target = httpx.URL(url)
    return socket.create_connection((target.host, target.port or 80), timeout=20)


def test_a_body_announced_too_large_is_refused_before_it_comes(url: str) -> None:
    with connect(url) as sent:
        sent.sendall(b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n")
        assert sent.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_come_is_given_up(url: str) -> None:
    with connect(url) as sent:
        sent.sendall(b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nm v=")
        answer = sent.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.5 s" in answer


def test_one_connection_serves_good_and_bad_requests_in_turn(url: str) -> None:
    good = b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nm v=1 1"
    bad = b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\nm v=x 1"
    with connect(url) as sent:
        for request, status in ((good, b"204"), (bad, b"400"), (good, b"204")):
            sent.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += sent.recv(10_000)
            assert answer.split(b" ")[1] == status


@pytest.mark.parametrize("path", ["/query?db=d", "/write?db=d", "/api/v2/write?bucket=d"])
def test_a_sender_that_goes_away_is_no_failure_of_the_collector(
    url: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind = "Content-Type: application/x-www-form-urlencoded"
    for _ in range(3):
        with connect(url) as gone:
            gone.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: 900\r\n\r\nq=".encode())
    eventually(lambda: samples(url)["streamswarm_collector_intake_bytes"], lambda size: size == 0)
    assert httpx.get(f"{url}/ping").status_code == 204
    assert not [record for record in caplog.records if record.exc_info]


def test_connections_beyond_the_limit_are_told_so(tmp_path: Path) -> None:
    with serve_app(create_app(CollectorSettings(data=tmp_path, auth=False)), limit_concurrency=3) as url:
        with connect(url), connect(url), connect(url):
            eventually(lambda: httpx.get(f"{url}/ping").status_code, lambda status: status == 503)
        eventually(lambda: httpx.get(f"{url}/ping").status_code, lambda status: status == 204)


def test_senders_are_told_to_wait_before_memory_is_taken(tmp_path: Path) -> None:
    settings = CollectorSettings(data=tmp_path, auth=False, max_intake_bytes=1_000, body_seconds=60)
    with serve_app(create_app(settings)) as url:
        with connect(url) as slow:
            slow.sendall(b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nm v=")
            eventually(lambda: samples(url)["streamswarm_collector_intake_bytes"], lambda size: size == 900)
            answer = httpx.post(f"{url}/write?db=d", content=b"m v=1 1\n" * 20)
            assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
            assert "busy with 900 bytes" in answer.text
        eventually(lambda: samples(url)["streamswarm_collector_intake_bytes"], lambda size: size == 0)
        assert httpx.post(f"{url}/write?db=d", content=b"m v=1 1\n" * 20).status_code == 204
        # A body that is larger than all of the room is taken when it is alone.
        eventually(lambda: samples(url)["streamswarm_collector_intake_bytes"], lambda size: size == 0)
        assert httpx.post(f"{url}/write?db=d", content=b"m v=1 1\n" * 200).status_code == 204


def test_writing_creates_databases_up_to_a_number_and_no_odd_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamswarm_collector.pipeline.MOST_DATABASES", 3)
    with serve_app(create_app(CollectorSettings(data=tmp_path, auth=False))) as url:

        def write(name: str) -> httpx.Response:
            return httpx.post(f"{url}/write", params={"db": name}, content="m v=1 1")

        for odd in ("a\x00b", "a\x1b[2J", "x" * 300):
            assert write(odd).status_code == 404
        assert [write(name).status_code for name in ("streamswarm", "a", "b", "c", "a")] == [204, 204, 204, 404, 204]
        assert "CREATE DATABASE" in write("c").json()["error"]
        httpx.post(f"{url}/query", data={"q": "CREATE DATABASE c"})
        assert write("c").status_code == 204
        for name in ("a", "b"):
            httpx.post(f"{url}/query", data={"q": f"DROP DATABASE {name}"})
        monkeypatch.setattr("streamswarm_collector.pipeline._ARRIVAL_SECONDS", 0)
        assert write("d").status_code == 204
