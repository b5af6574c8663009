"""The collector before real stores: one and several, added and taken away, down, killed, and refusing."""

import gzip
import itertools
import json
import operator
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings, InfluxSinkSettings
from tests.commands import run_command
from tests.integration.stores import run_victoriametrics, run_vmagent
from tests.support import RunningInfluxDB, eventually, find_free_port, run_influxdb, serve_app, wait_for_http

pytestmark = [
    pytest.mark.needs("influxd", "influxdb"),
    pytest.mark.needs("victoria-metrics", "victoria-metrics"),
    pytest.mark.xdist_group("forwarding"),
]


def sink(name: str, url: str, api: str = "v1") -> InfluxSinkSettings:
    return InfluxSinkSettings.model_validate({"name": name, "url": url, "api": api})


def settings(folder: Path, *sinks: InfluxSinkSettings, **changes: Any) -> CollectorSettings:
    return CollectorSettings(data=folder, auth=False, bucket="d", embedded=False, sinks=sinks, **changes)


def write(url: str, lines: str) -> None:
    httpx.post(f"{url}/write?db=d", content=lines).raise_for_status()


def values(influxdb: RunningInfluxDB, statement: str = "SELECT v FROM m") -> list[Any]:
    answer: Any = influxdb.query("d", statement)
    return [row[1] for series in answer["results"][0].get("series", []) for row in series["values"]]


def in_victoriametrics(url: str, name: str = "m_v") -> list[float]:
    httpx.get(f"{url}/internal/force_flush").raise_for_status()
    exported = httpx.get(f"{url}/api/v1/export", params={"match[]": name}).text
    return sorted(value for line in exported.splitlines() for value in json.loads(line)["values"])


def metric(url: str, name: str) -> float:
    (line,) = [one for one in httpx.get(f"{url}/metrics").text.splitlines() if one.startswith(name)]
    return float(line.rpartition(" ")[2])


@pytest.fixture
def influx(tmp_path: Path) -> Iterator[RunningInfluxDB]:
    with run_influxdb(tmp_path / "influx") as running:
        running.create_database("d")
        yield running


def test_several_stores_of_all_kinds_get_every_point(tmp_path: Path, influx: RunningInfluxDB) -> None:
    lines = [f"m,h={number % 7} v={number} {1_700_000_000_000 + number}000000" for number in range(500)]
    with run_victoriametrics(tmp_path / "vm1") as first, run_victoriametrics(tmp_path / "vm2") as second:
        sinks = (sink("influx", influx.url), sink("vm-v1", first), sink("vm-v2", second, "v2"))
        with serve_app(create_app(settings(tmp_path, *sinks))) as url:
            for start in range(0, 500, 50):
                write(url, "\n".join(lines[start : start + 50]))
            wanted = [float(number) for number in range(500)]
            eventually(lambda: sorted(values(influx)), lambda found: found == wanted)
            eventually(lambda: in_victoriametrics(first), lambda found: found == wanted)
            eventually(lambda: in_victoriametrics(second), lambda found: found == wanted)
            for name in ("influx", "vm-v1", "vm-v2"):
                lag = f'streamswarm_collector_sink_lag_batches{{sink="{name}"}}'
                eventually(partial(metric, url, lag), lambda batches: batches == 0)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_a_vmagent_hands_on_what_it_gets(tmp_path: Path, api: str) -> None:
    with (
        run_victoriametrics(tmp_path / "vm") as store,
        run_vmagent(tmp_path / "agent", store) as agent,
        serve_app(create_app(settings(tmp_path, sink("vmagent", agent, api)))) as url,
    ):
        write(url, "m,h=a v=1 1700000000000000000\nm,h=b v=2 1700000000000000000")
        eventually(lambda: in_victoriametrics(store), lambda found: found == [1, 2])


def test_migrating_from_one_store_to_another_leaves_no_gap(tmp_path: Path, influx: RunningInfluxDB) -> None:
    log = tmp_path / "collector" / "wal"
    old = sink("old", f"http://127.0.0.1:{find_free_port()}")
    with serve_app(create_app(settings(tmp_path, old))) as url:
        write(url, "m v=1 1\nm v=2 2")
        eventually(lambda: httpx.get(f"{url}/health").status_code, lambda status: status == 503)
    # The new store is added while the old one still lacks what is in the log: it gets that, too, and all that follows.
    with serve_app(create_app(settings(tmp_path, old, sink("new", influx.url)))) as url:
        write(url, "m v=3 3")
        write(url, "m v=30 3")
        eventually(lambda: values(influx), lambda found: found == [1, 2, 30])
        assert len(list(log.glob("*.wal"))) == 2
        # A store can be read before the collector has its answer.
        eventually(lambda: metric(url, 'streamswarm_collector_sink_lag_seconds{sink="new"}'), lambda lag: lag == 0)
        assert metric(url, 'streamswarm_collector_sink_retries_total{sink="old"}') >= 1
    # With the old one gone nothing holds the log any more.
    with serve_app(create_app(settings(tmp_path, sink("new", influx.url)))) as url:
        write(url, "m v=4 4")
        eventually(lambda: values(influx), lambda found: found == [1, 2, 30, 4])
        eventually(lambda: len(list(log.glob("*.wal"))), lambda count: count == 1)


def test_a_store_that_was_down_catches_up_in_order(tmp_path: Path) -> None:
    port = find_free_port()
    with run_influxdb(tmp_path / "influx", port) as influx:
        influx.create_database("d")
    with serve_app(create_app(settings(tmp_path, sink("influx", f"http://127.0.0.1:{port}")))) as url:
        for _ in range(2):
            with run_influxdb(tmp_path / "influx", port) as influx:
                write(url, "m,h=first v=1 1")
                eventually(lambda: values(influx, "SELECT v FROM m WHERE h = 'first'"), bool, 40)
            for number in range(300):
                # The last of the points of one series and time is the one that stays.
                write(url, f"m,h=a v={number} 5\nm,h=b v={number} {number + 1}")
            eventually(lambda: metric(url, "streamswarm_collector_wal_oldest_seconds"), lambda age: age > 0)
        with run_influxdb(tmp_path / "influx", port) as influx:
            eventually(lambda: httpx.get(f"{url}/health").status_code, lambda status: status == 200, 60)
            eventually(lambda: len(values(influx, "SELECT v FROM m WHERE h = 'b'")), lambda count: count == 300)
            assert values(influx, "SELECT v FROM m WHERE h = 'a'") == [299]


@contextmanager
def collector_process(folder: Path, port: int, sinks: list[dict[str, str]], **more: str) -> Iterator[int]:
    """A collector as a process of its own; yields its id."""
    variables = {"PORT": str(port), "AUTH": "false", "EMBEDDED": "false", "BUCKET": "d", "SINKS": json.dumps(sinks)}
    environment = {
        **os.environ,
        "STREAMSWARM_DATA": str(folder),
        **{f"STREAMSWARM_COLLECTOR_{name}": value for name, value in (variables | more).items()},
    }
    log = folder / "log"
    with log.open("ab") as output:
        command = [sys.executable, "-m", "streamswarm_cli", "collector", "run"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        wait_for_http(f"http://127.0.0.1:{port}/ready", process, log)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_kill_nine_while_forwarding_loses_nothing(tmp_path: Path, influx: RunningInfluxDB) -> None:
    port = find_free_port()
    peer = [{"name": "influx", "url": influx.url, "api": "v1"}]
    acknowledged: list[int] = []

    def send() -> None:
        with httpx.Client(timeout=5) as client:
            for number in range(acknowledged[-1] + 1 if acknowledged else 0, 1_000_000):
                try:
                    answer = client.post(f"http://127.0.0.1:{port}/write?db=d", content=f"m v={number}i {number + 1}")
                except httpx.HTTPError:
                    return
                assert answer.status_code == 204
                acknowledged.append(number)

    for _ in range(3):
        with collector_process(tmp_path, port, peer) as process:
            before = len(acknowledged)
            sender = threading.Thread(target=send)
            sender.start()
            eventually(partial(len, acknowledged), partial(operator.lt, before + 200))
            os.kill(process, signal.SIGKILL)
            sender.join(20)
    with collector_process(tmp_path, port, peer):
        eventually(lambda: set(acknowledged) - set(values(influx)), lambda missing: not missing)
    stored = values(influx)
    assert len(stored) == len(set(stored))


def letters(folder: Path) -> list[dict[str, Any]]:
    file = folder / "collector" / "sinks" / "influx" / "dead-letter.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_only_the_poison_is_set_aside_and_can_be_sent_again(tmp_path: Path) -> None:
    port = find_free_port()
    environment = {
        "STREAMSWARM_DATA": str(tmp_path),
        "STREAMSWARM_COLLECTOR_SINKS": json.dumps([{"name": "influx", "url": f"http://127.0.0.1:{port}", "api": "v1"}]),
    }

    def dead_letters(*options: str) -> str:
        done = run_command("collector", "dead-letters", "influx", *options, folder=tmp_path, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with serve_app(create_app(settings(tmp_path, sink("influx", f"http://127.0.0.1:{port}")))) as url:
        # While the store is away, so that all go as one request when it is back.
        for number in range(40):
            poison = '\np w="text" 1' if number == 23 else ""
            write(
                url, f"m,h=a v={number} {number + 1}\nn v={number} {number + 1}{poison}\nm,h=b v={number} {number + 1}"
            )
        with run_influxdb(tmp_path / "influx", port) as influx:
            influx.create_database("d")
            influx.write("d", "p w=1 7")
            eventually(lambda: len(values(influx)), lambda count: count == 80, 40)
            assert len(values(influx, "SELECT v FROM n")) == 40
            (letter,) = eventually(lambda: letters(tmp_path), bool)
            assert (letter["lines"], letter["status"]) == ('p w="text" 1', 400)
            assert "field type conflict" in letter["answer"]
            assert metric(url, 'streamswarm_collector_sink_dead_letter_lines_total{sink="influx"}') == 1
            health = eventually(lambda: httpx.get(f"{url}/health"), lambda answer: answer.status_code == 200)
            assert health.json()["dead_letter_bytes"]["influx"] > 0
            assert "field type conflict" in dead_letters()
            assert 'p w="text" 1' in dead_letters("--lines")
            assert dead_letters("--resend") == "influx: 0 taken, 1 refused again\n"
            influx.query("d", "DROP MEASUREMENT p")
            httpx.post(f"{influx.url}/query", params={"db": "d"}, data={"q": "DROP MEASUREMENT p"}).raise_for_status()
            assert dead_letters("--resend") == "influx: 1 taken, 0 refused again\n"
            assert values(influx, "SELECT w FROM p") == ["text"]
            assert letters(tmp_path) == []
            assert "dead_letter_bytes" not in httpx.get(f"{url}/health").json()


def test_a_store_that_takes_smaller_requests_gets_smaller_ones(tmp_path: Path) -> None:
    # InfluxDB refuses such a request whole, unlike one with a bad line.
    port = find_free_port()
    noise = random.Random(1)
    with serve_app(create_app(settings(tmp_path, sink("influx", f"http://127.0.0.1:{port}")))) as url:
        for number in range(30):
            write(
                url,
                "".join(f'm v={number},s="{noise.randbytes(100).hex()}" {number * 10 + at + 1}\n' for at in range(5)),
            )
        write(url, f'm v=-1,s="{noise.randbytes(5000).hex()}" 9999')
        write(url, "m v=77 10000")
        with run_influxdb(tmp_path / "influx", port, most_body_bytes=2000) as influx:
            influx.create_database("d")
            eventually(lambda: len(values(influx)), lambda count: count == 151, 40)
            (letter,) = letters(tmp_path)
            assert (letter["status"], letter["partly_kept"]) == (413, False)
            assert letter["lines"].startswith("m v=-1.0")


def test_a_flood_without_a_store_stays_within_memory_and_arrives_when_the_store_is_back(tmp_path: Path) -> None:
    port, store_port = find_free_port(), find_free_port()
    peer = [{"name": "influx", "url": f"http://127.0.0.1:{store_port}", "api": "v1"}]
    limits = {"MAX_INTAKE_BYTES": "4000000", "MAX_WAL_BYTES": "40000000"}
    acknowledged: list[str] = []
    refused: set[tuple[int, bool]] = set()
    full = threading.Event()
    at_once = threading.Barrier(64)
    lines = "".join(f"flood,batch=@ a={at}.5,b={at}i,c=-{at}.25,d=1e3 {at + 1}\n" for at in range(20_000))

    def flood(sender: int) -> None:
        with httpx.Client(timeout=60, headers={"Content-Encoding": "gzip"}) as client:
            for batch in itertools.count():
                tag = f"s{sender}b{batch}"
                body = gzip.compress(lines.replace("@", tag).encode(), compresslevel=1)
                if batch == 0:
                    at_once.wait(60)
                while (answer := client.post(f"http://127.0.0.1:{port}/write?db=d", content=body)).status_code != 204:
                    refused.add((answer.status_code, "Retry-After" in answer.headers))
                    if answer.status_code != 429 or "log is full" in answer.text:
                        full.set()
                    if full.wait(0.1):
                        return
                acknowledged.append(tag)

    with collector_process(tmp_path, port, peer, **limits) as process:
        before = peak_memory(process)
        senders = [threading.Thread(target=flood, args=(number,)) for number in range(64)]
        for one in senders:
            one.start()
        for one in senders:
            one.join(100)
        assert full.is_set()
        assert len(acknowledged) > 10
        assert refused == {(429, True)}
        # 4 MB may wait, and the body that is being read takes some 20 times its 0.9 MB; all 64 would be far more.
        assert peak_memory(process) - before < 150_000_000
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 503
        with run_influxdb(tmp_path / "influx", store_port) as influx:
            influx.create_database("d")
            eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/health").status_code, lambda one: one == 200, 90)
            answer: Any = eventually(
                lambda: influx.query("d", "SELECT count(a) FROM flood GROUP BY batch")["results"][0].get("series", []),
                lambda series: len(series) >= len(acknowledged),
                90,
            )
            counts = {series["tags"]["batch"]: series["values"][0][1] for series in answer}
            assert {batch: counts.get(batch) for batch in acknowledged} == dict.fromkeys(acknowledged, 20_000)


def peak_memory(process: int) -> int:
    """The most memory that a process has had, in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = [one for one in status.splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
