"""The ML service on a real collector: every point is scored once, whatever happens in between."""

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from benchmarks.servers import collector
from pydantic import ValidationError

from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.errors import Unavailable
from streamswarm_ml.app import create_app
from streamswarm_ml.explain.incidents import find_incidents
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import Saved, StateFile
from tests.integration.pipelinebench import START, PipelineBench
from tests.support import eventually, find_free_port, serve_app


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    with PipelineBench.served(tmp_path) as made:
        yield made


def test_an_outage_is_flagged_within_the_first_points(bench: PipelineBench) -> None:
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
    bench: PipelineBench, tmp_path: Path, restart_after: int
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

    whole = PipelineBench(bench.url, tmp_path / "another")
    whole.now = bench.now
    whole.pipeline(warmup_points=20).cycle()
    assert whole.scores() == interrupted
    whole.reader.close()
    whole.writer.close()


def test_scores_that_could_not_be_written_are_made_again(bench: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_late_points_within_the_allowance_are_scored_and_old_ones_of_a_series_are_not(bench: PipelineBench) -> None:
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


def test_a_state_that_cannot_be_saved_is_said_and_scoring_goes_on(bench: PipelineBench) -> None:
    settings = MlSettings(data=bench.folder, store_url=bench.url, interval=0.2, lookback_hours=0.5)
    blocked = settings.folder / "detectors.state.new"
    blocked.mkdir(parents=True)
    bench.measure(time.time_ns() // NANOSECONDS - 60)
    with serve_app(create_app(settings)) as url:
        said = eventually(lambda: httpx.get(f"{url}/status").json(), lambda found: found["failures"] > 1)
        assert "detectors.state.new" in said["last_error"]
        assert len(bench.scores()) == 3
        blocked.rmdir()
        bench.measure(time.time_ns() // NANOSECONDS - 5)
        said = eventually(lambda: httpx.get(f"{url}/status").json(), lambda found: found["state_bytes"] > 0)
        eventually(lambda: len(bench.scores()), lambda found: found == 6)
    assert (settings.folder / "detectors.state").exists()


def test_the_service_says_how_many_series_go_by_which_clock(bench: PipelineBench) -> None:
    away = f"http://127.0.0.1:{find_free_port()}"
    settings = MlSettings(
        data=bench.folder, store_url=bench.url, controlplane_url=away, interval=0.2, time_zone="Asia/Tokyo"
    )
    settings.folder.mkdir(parents=True)
    (settings.folder / "expectations.json").write_text('{"time_zones": {"berlin": "Europe/Berlin"}}')
    now = time.time_ns() - 60 * NANOSECONDS
    lines = [f"icmp,site={site},target=gw up=1i,rtt_mean=0.01 {now}" for site in ("berlin", "lost")]
    bench.writer.write("\n".join([*lines, f"icmp,site=berlin,target=gw2 up=1i {now}\n"]).encode())
    with serve_app(create_app(settings)) as url:
        said = eventually(lambda: httpx.get(f"{url}/status").json(), lambda found: found["series"] == 5)
    assert said["time_zones"] == {"Europe/Berlin": 3, "Asia/Tokyo": 2}


def test_the_services_clock_may_go_back(bench: PipelineBench) -> None:
    pipeline = bench.pipeline()
    bench.measure(START)
    bench.now = START + 3600
    pipeline.cycle()
    bench.now = START + 10
    bench.measure(START + 10)
    assert pipeline.cycle() == 3
    assert {key[2] for key in bench.scores()} == {0, 10}


KILLED = """
import sys
from pathlib import Path
from streamswarm_core.reader import InfluxQLReader
from streamswarm_core.writer import LineWriter
from streamswarm_ml.pipeline import Pipeline
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import Saved, StateFile
url, folder, now = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
settings = MlSettings(data=folder, store_url=url, lookback_hours=720)
reader = InfluxQLReader(url, database="streamswarm")
writer = LineWriter(url, lambda: "", bucket="streamswarm")
pipeline = Pipeline(settings, reader, writer, StateFile(settings.folder), lambda: now)
print("ready", flush=True)
pipeline.cycle()
print("done", flush=True)
"""


@pytest.fixture
def process_bench(tmp_path: Path) -> Iterator[PipelineBench]:
    with collector(tmp_path / "store") as server:
        made = PipelineBench(f"http://127.0.0.1:{server.port}", tmp_path / "ml")
        yield made
        made.reader.close()
        made.writer.close()


@pytest.mark.timeout(300)
def test_killed_at_any_moment_it_scores_each_point_once_and_the_same(
    process_bench: PipelineBench, tmp_path: Path
) -> None:
    bench = process_bench
    bench.measure_minutes(1500, outage=range(1200, 1210))
    folder, done, killed = tmp_path / "killed", False, 0
    for attempt in range(8):
        command = [sys.executable, "-c", KILLED, bench.url, str(folder), str(bench.now * NANOSECONDS)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.05 * 3**attempt)
            process.kill()
            done = "done" in process.stdout.read()
        killed += not done
        if done:
            break
    assert done
    assert killed > 0
    interrupted = bench.scores()
    assert len(interrupted) == 1500 * 3

    whole = PipelineBench(bench.url, tmp_path / "another")
    whole.now = bench.now
    whole.pipeline(lookback_hours=720).cycle()
    assert whole.scores() == interrupted
    whole.reader.close()
    whole.writer.close()


def test_one_incident_is_one_anomaly_that_opens_and_closes_and_says_why(bench: PipelineBench) -> None:
    bench.measure_minutes(1500, outage=range(1200, 1210))
    bench.pipeline(lookback_hours=720).cycle()
    events = bench.events()
    assert [event for event, _, _ in events] == ["open", "close"]
    assert events[0][2] == 1200
    assert events[1][1] == "incident"
    why = bench.reader.execute("SELECT \"view\", baseline FROM anomaly WHERE target = 'gw'")
    told = [row[1:] for series in why for row in series.rows if row[1]]
    assert len(told) == 1
    assert told[0][1] in {"recent values", "this hour of the day", "this hour of the week"}


def test_an_anomaly_of_an_hourly_test_is_one_in_the_list_of_incidents(bench: PipelineBench) -> None:
    for hour in range(130):
        rtt = (10.0 if hour in range(120, 124) else 0.01) * (1 + random.Random(hour).random() / 10)
        line = f"icmp,agent=a,target=gw,family=ipv4 up=1i,loss=0.0,rtt_mean={rtt} {(START + hour * 3600) * NANOSECONDS}"
        other = line.replace(",family=ipv4", "").replace(f"rtt_mean={rtt}", "rtt_mean=0.01")
        bench.writer.write(f"{line}\n{other}\n".encode())
    bench.now = START + 130 * 3600
    bench.pipeline(lookback_hours=720).cycle()
    incidents = find_incidents(bench.reader, bench.now * NANOSECONDS, 168)
    assert [[(one.field, one.tags["family"]) for one in incident.anomalies] for incident in incidents] == [
        [("rtt_mean", "ipv4")]
    ]
    assert incidents[0].start_ns // NANOSECONDS // 3600 == (START + 120 * 3600) // 3600
    assert incidents[0].stop_ns - incidents[0].start_ns >= 3 * 3600 * NANOSECONDS


def test_shards_share_the_series_without_overlap_and_without_a_gap(bench: PipelineBench, tmp_path: Path) -> None:
    for number in range(12):
        bench.measure(START, target=f"t{number}")
    watched = []
    for shard in range(3):
        service = PipelineBench(bench.url, tmp_path / f"shard{shard}")
        service.now = bench.now
        pipeline = service.pipeline(shards=3, shard=shard)
        pipeline.cycle()
        watched.append({key[1] for key in pipeline.series})
        service.reader.close()
        service.writer.close()
    assert all(watched)
    assert sum(map(len, watched)) == len(set.union(*watched)) == 12
    assert len(bench.scores()) == 36


def test_models_run_on_the_first_shard_alone_and_the_others_say_so(bench: PipelineBench, tmp_path: Path) -> None:
    now = time.time_ns() // NANOSECONDS
    for minute in range(40):
        bench.measure(now - (45 - minute) * 60)
    with contextlib.ExitStack() as services:
        urls = []
        for shard in range(2):
            settings = MlSettings(
                data=tmp_path / str(shard),
                store_url=bench.url,
                controlplane_url="http://127.0.0.1:1",
                lateness_seconds=0,
                interval=0.2,
                shards=2,
                shard=shard,
            )
            (settings.data / "secrets").mkdir(parents=True)
            settings.token_path.write_text("sst_own")
            urls.append(services.enter_context(serve_app(create_app(settings))))
        own = {"Authorization": "Bearer sst_own"}
        assert httpx.get(f"{urls[0]}/models", headers=own).status_code == 200
        for method, path in (("GET", "/models"), ("POST", "/models/train"), ("GET", "/incidents?hours=1")):
            answer = httpx.request(method, urls[1] + path, headers=own)
            assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json")
            assert "shard 0" in answer.json()["detail"]
        assert "streamswarm_ml_model_samples{" in httpx.get(f"{urls[0]}/metrics").text
        assert "streamswarm_ml_model_samples{" not in httpx.get(f"{urls[1]}/metrics").text
        said = eventually(lambda: bench.reader.execute("SELECT state FROM health GROUP BY *"), bool)
        assert not list((tmp_path / "1" / "ml" / "models").glob("*"))
    assert [series.tags["target"] for series in said] == ["gw"]
    assert len({row[0] for row in said[0].rows}) == len(said[0].rows) >= 7


def test_maintenance_is_neither_judged_nor_learned(bench: PipelineBench) -> None:
    bench.measure_minutes(600, outage=range(300, 400))
    window = f"{stamp(300)}/{stamp(400)}"
    pipeline = bench.pipeline(lookback_hours=720, maintenance=[window])
    pipeline.cycle()
    assert bench.events() == []
    assert not any(300 * 60 <= second < 400 * 60 for _, _, second in bench.scores())
    assert len(bench.scores()) == 500 * 3


def stamp(minute: int) -> str:
    return datetime.fromtimestamp(START + minute * 60, UTC).isoformat()


@pytest.mark.parametrize(
    "windows", [["tomorrow"], ["2026-01-05T22:00/2026-01-06T02:00"], ["2026-01-06T22:00Z/2026-01-05T02:00Z"]]
)
def test_a_window_that_is_none_is_refused_with_an_example(windows: list[str]) -> None:
    with pytest.raises(ValidationError, match="2026-01-05T22:00Z/2026-01-06T02:00Z"):
        MlSettings(maintenance=tuple(windows))


def test_a_shard_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be 0 to 2"):
        MlSettings(shards=3, shard=3)


def test_a_state_of_another_version_starts_afresh(bench: PipelineBench) -> None:
    bench.measure(START)
    bench.pipeline().cycle()
    state = StateFile(MlSettings(data=bench.folder).folder)
    saved = state.load()
    assert saved is not None
    state.save(Saved({**saved.header, "version": 1}, saved.arrays))
    assert bench.pipeline().series == []
