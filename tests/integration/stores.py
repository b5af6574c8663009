"""Real stores that hold the same points, each with the reader a service would use for it."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

from streamswarm_agent.exporter import PointCollector
from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.catalogue.common import STAMPED_TAGS
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.lineprotocol import encode_lines
from streamswarm_core.point import Point
from streamswarm_core.reader import SCRAPED, InfluxQLReader, PromQLReader, Reader
from tests.support import RunningInfluxDB, eventually, find_free_port, run_server, serve_app

DATABASE = "contract"


@contextmanager
def run_victoriametrics(folder: Path) -> Iterator[str]:
    """An empty VictoriaMetrics; yields its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{find_free_port()}"
    command = [
        "victoria-metrics",
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr={address}",
        "-retentionPeriod=100y",
    ]
    with run_server(command, f"http://{address}/health", folder / "log"):
        yield f"http://{address}"


@contextmanager
def run_vmagent(folder: Path, store: str) -> Iterator[str]:
    """A vmagent that hands on to a store by remote write; yields its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{find_free_port()}"
    command = [
        "vmagent",
        f"-remoteWrite.url={store}/api/v1/write",
        f"-remoteWrite.tmpDataPath={folder / 'data'}",
        f"-httpListenAddr={address}",
    ]
    with run_server(command, f"http://{address}/health", folder / "vmagent.log"):
        yield f"http://{address}"


@contextmanager
def run_prometheus(folder: Path, config: str = "") -> Iterator[str]:
    """A Prometheus on whatever is in `folder/data`; yields its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(config)
    address = f"127.0.0.1:{find_free_port()}"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
    ]
    with run_server(command, f"http://{address}/-/ready", folder / "log"):
        yield f"http://{address}"


@contextmanager
def embedded(folder: Path, points: Iterable[Point]) -> Iterator[Reader]:
    """Our collector with its embedded store."""
    settings = CollectorSettings(data=folder, auth=False, bucket=DATABASE, flush_seconds=0.01)
    with serve_app(create_app(settings)) as url, InfluxQLReader(url, database=DATABASE) as reader:
        httpx.post(f"{url}/api/v2/write?bucket={DATABASE}", content=encode_lines(points)).raise_for_status()
        yield reader


@contextmanager
def influxdb(server: RunningInfluxDB, points: Iterable[Point]) -> Iterator[Reader]:
    """InfluxDB 1.6.7, which the modules of a process share: nothing of one is left to the next."""
    server.create_database(DATABASE)
    server.write(DATABASE, encode_lines(points).decode())
    with InfluxQLReader(server.url, database=DATABASE) as reader:
        yield reader
    httpx.post(f"{server.url}/query", data={"q": f'DROP DATABASE "{DATABASE}"'}).raise_for_status()


@contextmanager
def victoriametrics(folder: Path, points: Iterable[Point]) -> Iterator[Reader]:
    """VictoriaMetrics, written half by each of its ways: only /write adds the label `db`."""
    lines = encode_lines(points).splitlines(keepends=True)
    other = lines[0].replace(b"target=", b"target=other-")
    with run_victoriametrics(folder) as url, PromQLReader(url, database=DATABASE) as reader:
        # A series begins without the label and goes on with it.
        half = len(lines) // 2
        httpx.post(f"{url}/api/v2/write?bucket={DATABASE}", content=b"".join(lines[:half])).raise_for_status()
        httpx.post(f"{url}/write?db={DATABASE}", content=b"".join(lines[half:])).raise_for_status()
        httpx.post(f"{url}/write?db=other", content=other).raise_for_status()
        # Written points are found a moment later.
        eventually(lambda: httpx.get(f"{url}/internal/force_flush").status_code, lambda status: status == 200)
        yield reader


@contextmanager
def prometheus(folder: Path, points: Iterable[Point]) -> Iterator[Reader]:
    """Prometheus as if it had scraped our agents' exporters at each point's time, made by its own promtool."""
    if shutil.which("promtool") is None:
        pytest.fail("promtool is missing beside prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scraped.txt").write_bytes(_scraped(points))
    load = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "scraped.txt"), str(folder / "data")]
    subprocess.run(load, check=True, capture_output=True)
    with run_prometheus(folder) as url, PromQLReader(url, naming=SCRAPED) as reader:
        yield reader


def _scraped(points: Iterable[Point]) -> bytes:
    """OpenMetrics text of one scrape for each point, with the labels that a scrape job adds."""
    families: dict[str, Metric] = {}
    for point in points:
        for family in PointCollector(partial(list, [point])).collect():
            whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                stamped = {key: point.tags[key] for key in STAMPED_TAGS if key in point.tags}
                # Half way through the agent is reached on another port.
                port = 9 if (point.time_ns or 0) // NANOSECONDS % 2 else 8
                labels = {**sample.labels, **stamped, "job": "agents", "instance": f"agent:{port}"}
                whole.add_sample(sample.name, labels, sample.value, (point.time_ns or 0) / NANOSECONDS)
    registry = CollectorRegistry()
    registry.register(_Families(families.values()))
    # OpenMetrics is only written for registries; samples of a series have to be in order of time.
    return bytes(generate_latest(registry))


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families
