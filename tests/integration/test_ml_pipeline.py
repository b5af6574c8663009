"""The ML service on a real collector: every point is scored once, whatever happens in between."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamswarm_collector.app import create_app as create_collector
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.errors import Unavailable
from streamswarm_core.reader import InfluxQLReader
from streamswarm_core.writer import LineWriter
from streamswarm_ml.app import create_app
from streamswarm_ml.pipeline import Pipeline
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import StateFile
from tests.support import eventually, find_free_port, serve_app

START = 1_700_000_000
Scores = dict[tuple[str, str, int], tuple[Any, ...]]


class Bench:
    """A collector, and pipelines that read it with a clock of our own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.now = START
        self.reader = InfluxQLReader(url, database="streamswarm")
        self.writer = LineWriter(url, lambda: "", bucket="streamswarm")

    def pipeline(self, **changes: Any) -> Pipeline:
        settings = MlSettings(data=self.folder, store_url=self.url, **changes)
        return Pipeline(settings, self.reader, self.writer, StateFile(settings.folder), lambda: self.now * NANOSECONDS)

    def measure(self, second: int, *, up: int = 1, target: str = "gw") -> None:
        rtt = f",rtt_mean={0.01 + random.Random(second).random() / 1000}" if up else ""
        self.writer.write(f"icmp,target={target} up={up}i,loss={1 - up}.0{rtt} {second * NANOSECONDS}\n".encode())
        self.now = max(self.now, second + 1)

    def scores(self) -> Scores:
        found: Scores = {}
        for series in self.reader.execute('SELECT score, flag, value FROM anomaly GROUP BY target, "field"'):
            for time_ns, *values in series.rows:
                key = (series.tags["target"], series.tags["field"], int(time_ns or 0) // NANOSECONDS - START)
                assert key not in found
                found[key] = tuple(values)
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    settings = CollectorSettings(data=tmp_path, auth=False, flush_seconds=0.01)
    with serve_app(create_collector(settings)) as url:
        made = Bench(url, tmp_path)
        yield made
        made.reader.close()
        made.writer.close()


def test_an_outage_is_flagged_within_the_first_points(bench: Bench) -> None:
    pipeline = bench.pipeline()
    for second in range(START, START + 30):
        bench.measure(second)
    pipeline.cycle()
    assert pipeline.open_anomalies() == []
    bench.measure(START + 30, up=0)
    pipeline.cycle()
    assert [(key[0], key[2]) for key in pipeline.open_anomalies()] == [("icmp", "up")]
    assert bench.scores()[("gw", "up", 30)][1] == 1


@pytest.mark.parametrize("restart_after", [1, 2, 5])
def test_a_restart_at_any_moment_scores_each_point_once_and_the_same(
    bench: Bench, tmp_path: Path, restart_after: int
) -> None:
    pipeline = bench.pipeline(warmup_points=20)
    for chunk in range(8):
        for second in range(START + 10 * chunk, START + 10 * chunk + 10):
            bench.measure(second)
        if chunk % restart_after == 0:
            pipeline = bench.pipeline(warmup_points=20)
        pipeline.cycle()
    interrupted = bench.scores()
    assert len(interrupted) == 80 * 3

    whole = Bench(bench.url, tmp_path / "another")
    whole.now = bench.now
    whole.pipeline(warmup_points=20).cycle()
    assert whole.scores() == interrupted
    whole.reader.close()
    whole.writer.close()


def test_scores_that_could_not_be_written_are_made_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = bench.pipeline()
    bench.measure(START)
    pipeline.cycle()
    bench.measure(START + 1)
    with monkeypatch.context() as broken:
        broken.setattr(bench.writer, "write", lambda _lines: (_ for _ in ()).throw(Unavailable("away")))
        with pytest.raises(Unavailable):
            pipeline.cycle()
    pipeline.cycle()
    assert {key[2] for key in bench.scores()} == {0, 1}


def test_late_points_within_the_allowance_are_scored_and_old_ones_of_a_series_are_not(bench: Bench) -> None:
    pipeline = bench.pipeline()
    bench.measure(START + 100)
    pipeline.cycle()
    bench.measure(START + 50, target="slow")
    bench.measure(START + 60)
    pipeline.cycle()
    scored = {(target, second) for target, _, second in bench.scores()}
    assert scored == {("gw", 100), ("slow", 50)}


def test_a_store_that_is_away_is_said_so_and_nothing_stops(tmp_path: Path) -> None:
    settings = MlSettings(data=tmp_path, store_url=f"http://127.0.0.1:{find_free_port()}", interval=0.2)
    with serve_app(create_app(settings)) as url:
        status = eventually(lambda: httpx.get(f"{url}/status").json(), lambda found: found["failures"] > 0)
        assert "Connection refused" in status["last_error"]
        assert httpx.get(f"{url}/health").status_code == 200
        assert "streamswarm_ml_failures_total" in httpx.get(f"{url}/metrics").text
