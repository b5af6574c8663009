"""A collector's doctor, with real files, real locks and real stores."""

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from streamswarm_collector.app import create_app
from streamswarm_collector.doctor import examine
from streamswarm_collector.settings import CollectorSettings
from streamswarm_collector.sinks.deadletters import DeadLetters
from streamswarm_collector.walfiles import frame, segment_path
from streamswarm_core.doctor.finding import State
from tests.doctoring import Told, about, answering, health_of, wrong
from tests.lab.servers.certificates import Authority
from tests.support import RunningInfluxDB, find_free_port, serve_app, wait_for_http

HOLD = "import duckdb, sys, time; kept = duckdb.connect(sys.argv[1]); print('held', flush=True); time.sleep(60)"
TOKEN = "sst_" + "x" * 40
KEYS = {"keys": [{"kid": "k1", "kty": "OKP"}]}
GOOD = {
    **health_of("controlplane"),
    "/api/v1/keys": (200, KEYS),
    "/api/v1/tokens/introspect": (200, {"active": True, "scopes": ["introspect"], "exp": None}),
}


@pytest.fixture
def told() -> Told:
    """What the control plane says."""
    return Told(dict(GOOD))


@pytest.fixture
def settings(tmp_path: Path, told: Told) -> Iterator[CollectorSettings]:
    """A collector that has run, and doesn't now."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/collector.token").write_text(TOKEN)
    (tmp_path / "secrets/collector.token").chmod(0o600)
    (tmp_path / "collector/wal").mkdir(parents=True)
    duckdb.connect(tmp_path / "collector/store.duckdb").close()
    with answering(told) as url:
        yield CollectorSettings(data=tmp_path, port=find_free_port(), controlplane_url=url, reflector=False)


def write_log(settings: CollectorSettings, first: int, size: int) -> None:
    segment_path(settings.folder / "wal", first).write_bytes(frame(first, b"x" * size))


def test_a_stopped_collector_lacks_nothing_but_to_be_started(settings: CollectorSettings) -> None:
    assert wrong(examine(settings)) == {"process": State.BROKEN}


def test_looking_changes_nothing(settings: CollectorSettings) -> None:
    write_log(settings, 1, 100)

    def files() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in settings.data.rglob("*")}

    before = files()
    assert list(examine(settings))
    assert files() == before


def test_a_running_collector_holds_its_store(settings: CollectorSettings, tmp_path: Path) -> None:
    # A process of its own: a lock holds off others only, and is gone when its process closes the file anywhere.
    environment = {
        "STREAMSWARM_DATA": str(settings.data),
        "STREAMSWARM_COLLECTOR_PORT": str(settings.port),
        "STREAMSWARM_COLLECTOR_CONTROLPLANE_URL": settings.controlplane_url,
        "STREAMSWARM_COLLECTOR_REFLECTOR": "false",
    }
    command = [sys.executable, "-m", "streamswarm_cli", "collector", "run"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output)
    try:
        wait_for_http(f"http://127.0.0.1:{settings.port}/health", process, log)
        findings = list(examine(settings))
    finally:
        process.terminate()
        process.wait(20)
    assert not wrong(findings)
    assert f"held by the running collector (process {process.pid})" in about("store", findings).found


def test_a_collector_that_answers_for_another_folder_is_told(settings: CollectorSettings, tmp_path: Path) -> None:
    elsewhere = settings.model_copy(update={"data": tmp_path / "other"})
    with serve_app(create_app(elsewhere), port=settings.port):
        finding = about("store", examine(settings))
    assert finding.state is State.WARNING
    assert "keeps its store elsewhere" in finding.found


def test_a_store_that_another_process_holds_is_told_with_the_process(settings: CollectorSettings) -> None:
    path = settings.folder / "store.duckdb"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        finding = about("store", examine(settings))
        holder.kill()
    assert finding.state is State.BROKEN
    assert f"is held by process {holder.pid} (" in finding.found


def test_a_store_that_is_none_is_told(settings: CollectorSettings) -> None:
    (settings.folder / "store.duckdb").write_bytes(b"x" * 100)
    finding = about("store", examine(settings))
    assert finding.state is State.BROKEN
    assert "its beginning is damaged" in finding.found


@pytest.mark.parametrize(
    ("path", "answer", "subject", "words"),
    [
        ("/api/v1/tokens/introspect", (401, {"detail": "unknown"}), "token", "HTTP 401: unknown"),
        ("/api/v1/tokens/introspect", (200, {"active": True, "scopes": ["read"]}), "token", "may not introspect"),
        ("/api/v1/keys", (200, {"keys": []}), "keys", "publishes no key"),
        ("/health", (200, {"name": "grafana"}), "control plane", "not as a control plane"),
    ],
)
def test_a_control_plane_that_refuses_the_collector_is_told(
    settings: CollectorSettings, told: Told, path: str, answer: tuple[int, object], subject: str, words: str
) -> None:
    told.answers[path] = answer
    finding = about(subject, examine(settings))
    assert finding.state is State.BROKEN
    assert words in finding.found


def test_a_token_near_its_end_is_told(settings: CollectorSettings, told: Told) -> None:
    end = time.time() + 3 * 86_400 - 60
    told.answers["/api/v1/tokens/introspect"] = (200, {"active": True, "scopes": ["introspect"], "exp": end})
    finding = about("token", examine(settings))
    assert finding.state is State.WARNING
    assert "ends in 3.0 days" in finding.found


def test_a_token_that_is_not_there_is_told_with_how_to_get_one(settings: CollectorSettings) -> None:
    settings.token_path.unlink()
    assert "copy secrets/collector.token" in about("token", examine(settings)).remedy
    (settings.data / "controlplane").mkdir()
    assert "streamswarm controlplane init" in about("token", examine(settings)).remedy


def test_without_keys_and_control_plane_no_agent_gets_in(settings: CollectorSettings) -> None:
    alone = settings.model_copy(update={"controlplane_url": f"http://127.0.0.1:{find_free_port()}"})
    assert about("keys", examine(alone)).state is State.BROKEN
    (settings.folder / "keys.json").write_text('{"keys": [{"kid": "k1"}]}')
    assert "keys" not in wrong(examine(alone))


@pytest.mark.parametrize(("size", "state"), [(100_000, State.OK), (600_000, State.WARNING), (1_100_000, State.BROKEN)])
def test_a_log_that_fills_is_told(settings: CollectorSettings, size: int, state: State) -> None:
    write_log(settings, 1, size)
    assert about("log", examine(settings.model_copy(update={"max_wal_bytes": 1_000_000}))).state is state


def test_a_part_of_the_log_that_was_set_aside_is_told(settings: CollectorSettings) -> None:
    (settings.folder / "wal/1.damaged").touch()
    assert "1.damaged" in about("log", examine(settings)).found


def with_sink(settings: CollectorSettings, url: str, **more: object) -> CollectorSettings:
    sink = {"name": "influx", "url": url, "api": "v1", **more}
    return CollectorSettings.model_validate(settings.model_dump() | {"sinks": (sink,), "max_wal_bytes": 1_000_000})


@pytest.mark.needs("influxd", "influxdb")
def test_a_real_influxdb_takes_a_write_without_points_and_says_what_it_lacks(
    settings: CollectorSettings, influxdb: RunningInfluxDB
) -> None:
    mine = with_sink(settings, influxdb.url).model_copy(update={"bucket": "doctored"})
    unknown = about("sink influx", examine(mine))
    assert unknown.state is State.BROKEN
    assert "doesn't know this database" in unknown.found
    influxdb.create_database("doctored")
    assert about("sink influx", examine(mine)).state is State.OK


def test_a_store_that_cannot_be_reached_is_told_with_what_waits_for_it(settings: CollectorSettings) -> None:
    mine = with_sink(settings, f"http://127.0.0.1:{find_free_port()}")
    write_log(settings, 1, 600_000)
    DeadLetters(settings.folder / "sinks/influx")
    (settings.folder / "sinks/influx").mkdir(parents=True)
    DeadLetters(settings.folder / "sinks/influx").add("d", "m f=1", status=400, answer="no", partly_kept=False)
    told = [one for one in examine(mine) if one.subject == "sink influx"]
    assert [one.state for one in told] == [State.BROKEN, State.WARNING, State.WARNING]
    assert "can't be reached: Connection refused" in told[0].found
    assert "600.0 kB in the log" in told[1].found
    assert "streamswarm collector dead-letters influx" in told[2].remedy


def test_a_store_that_does_not_take_the_token_is_told_with_the_setting(settings: CollectorSettings) -> None:
    with answering(Told({"/write": (401, {"error": "authorization failed"})})) as url:
        finding = about("sink influx", examine(with_sink(settings, url, token="u:p")))
    assert finding.state is State.BROKEN
    assert "authorization failed" in finding.found
    assert "STREAMSWARM_COLLECTOR_SINKS" in finding.remedy


def test_the_store_behind_queries_is_told_if_it_is_away(settings: CollectorSettings) -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    with answering(Told({"/write": (204, None)})) as sink:
        mine = with_sink(settings, sink)
        mine = CollectorSettings.model_validate(mine.model_dump() | {"embedded": False, "query_url": url})
        finding = about("queries", examine(mine))
    assert finding.state is State.BROKEN
    assert "STREAMSWARM_COLLECTOR_QUERY_URL" in finding.remedy


def test_the_certificates_of_stores_near_their_end_are_told(
    settings: CollectorSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.certificate("127.0.0.1", days=3))
    with answering(Told({"/write": (204, None), "/ping": (204, None)}), tls) as url:
        mine = CollectorSettings.model_validate(
            with_sink(settings, url).model_dump() | {"embedded": False, "query_url": url}
        )
        told = [one for one in examine(mine) if one.subject == "certificate" and url in one.found]
    assert [one.state for one in told] == [State.WARNING, State.WARNING]
    assert "ends in" in told[0].found
