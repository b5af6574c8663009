"""Statements that change the store, one after the other to the collector and to a real InfluxDB: the same answers."""

import json
import re
import time
from pathlib import Path

import httpx
import pytest

from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings
from tests.support import RunningInfluxDB, eventually, serve_app

pytestmark = [pytest.mark.needs("influxd", "influxdb"), pytest.mark.xdist_group("influxdb")]

LINES = """\
m,h=a v=1,n=1i 1704067200000000000
m,h=b v=2,n=2i 1704067210000000000
m,h=b v=3,n=3i 1704067220000000000
m,h=c v=4,n=4i 1704067230000000000
k,h=a v=5 1704067200000000000
foo,h=a v=6 1704067200000000000
"""
SCRIPTS = {
    "retention policies": """\
CREATE RETENTION POLICY "rp1" ON adm DURATION 30d REPLICATION 1
CREATE RETENTION POLICY "rp1" ON adm DURATION 31d REPLICATION 1
CREATE RETENTION POLICY "rp1" ON adm DURATION 30d REPLICATION 1
CREATE RETENTION POLICY "rp2" ON adm DURATION 30m REPLICATION 1
CREATE RETENTION POLICY "rp2" ON adm DURATION 2h REPLICATION 1 SHARD DURATION 1d
CREATE RETENTION POLICY "rp3" ON adm DURATION INF REPLICATION 1 SHARD DURATION 2h
CREATE RETENTION POLICY "rp4" ON nodb DURATION INF REPLICATION 1
CREATE RETENTION POLICY "rp5" ON adm DURATION 0s REPLICATION 2
SHOW RETENTION POLICIES
SHOW RETENTION POLICIES ON nodb
ALTER RETENTION POLICY "rp1" ON adm DURATION 40d
ALTER RETENTION POLICY "rpx" ON adm DURATION 40d
DROP RETENTION POLICY "rpx" ON adm
DROP RETENTION POLICY "rp3" ON adm
DROP RETENTION POLICY "rp3" ON nodb
SHOW RETENTION POLICIES
SELECT v FROM rp1.m
SELECT v FROM rpx.m
SELECT v FROM adm.rpx.m
SELECT v FROM nodb.rpx.m
SELECT v FROM nodb..m
ALTER RETENTION POLICY "rp1" ON adm DEFAULT
SHOW MEASUREMENTS
SELECT v FROM m LIMIT 1
SELECT v FROM autogen.m LIMIT 1
DROP RETENTION POLICY "rp1" ON adm
SHOW RETENTION POLICIES""",
    "databases": """\
CREATE DATABASE y1 WITH DURATION 3d NAME foo
SHOW RETENTION POLICIES ON y1
CREATE DATABASE y1
CREATE DATABASE y1 WITH DURATION 4d NAME foo
CREATE DATABASE y2 WITH NAME bar
SHOW RETENTION POLICIES ON y2
CREATE DATABASE ""
CREATE DATABASE "a/b"
DROP DATABASE y1
DROP DATABASE y1
SHOW RETENTION POLICIES ON y1
DROP DATABASE y2
CREATE DATABASE db1; SHOW RETENTION POLICIES ON db1; DROP DATABASE db1""",
    "deletion": """\
DELETE FROM m WHERE time < 1704067210s
SELECT * FROM m
SHOW SERIES
DELETE FROM nope
DELETE WHERE h = 'zz'
DELETE FROM /k/ WHERE h =~ /a/
SHOW MEASUREMENTS
DROP SERIES FROM m WHERE time < 3
DROP SERIES FROM m WHERE h = 'c'
SELECT * FROM m
DROP SERIES WHERE h = 'zz'
DROP MEASUREMENT nope
DROP MEASUREMENT foo
SHOW MEASUREMENTS
DELETE FROM m WHERE h = 'b' AND time >= 1704067220s
SELECT v FROM m
DROP SERIES FROM m
SHOW SERIES
SHOW MEASUREMENTS""",
}


def ask(url: str, statement: str) -> object:
    return httpx.post(f"{url}/query", params={"db": "adm", "epoch": "s"}, data={"q": statement}).json()


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_statement_gets_influxdbs_answer(tmp_path: Path, influxdb: RunningInfluxDB, script: str) -> None:
    settings = CollectorSettings(data=tmp_path, auth=False)
    with serve_app(create_app(settings)) as ours:
        for url in (ours, influxdb.url):
            ask(url, "DROP DATABASE adm")
            ask(url, "CREATE DATABASE adm")
            httpx.post(f"{url}/write", params={"db": "adm"}, content=LINES.encode()).raise_for_status()
        for statement in SCRIPTS[script].splitlines():
            assert ask(ours, statement) == ask(influxdb.url, statement), statement


def test_a_write_goes_to_the_retention_policy_it_names(tmp_path: Path, influxdb: RunningInfluxDB) -> None:
    answers = []
    with serve_app(create_app(CollectorSettings(data=tmp_path, auth=False))) as ours:
        for url in (ours, influxdb.url):
            ask(url, "DROP DATABASE adm")
            ask(url, "CREATE DATABASE adm")
            ask(url, "CREATE RETENTION POLICY long ON adm DURATION INF REPLICATION 1")
            written = [
                httpx.post(f"{url}/write", params={"db": "adm", "precision": "s", **named}, content=body).status_code
                for named, body in [({}, b"m v=1 1"), ({"rp": "long"}, b"m v=2 1"), ({"rp": "nope"}, b"m v=3 1")]
            ]
            read = [ask(url, f"SELECT v FROM {source}") for source in ("m", "long.m", "adm.long.m", "autogen.m")]
            selected = httpx.get(f"{url}/query", params={"db": "adm", "rp": "long", "q": "SELECT v FROM m"}).json()
            answers.append((written[:2], written[2] >= 400, read, selected, ask(url, "SHOW MEASUREMENTS")))
    assert answers[0] == answers[1]


def test_what_was_deleted_can_be_written_again_with_another_type(tmp_path: Path) -> None:
    with serve_app(create_app(CollectorSettings(data=tmp_path, auth=False))) as url:
        for value in ("1", '"text"', "3i"):
            answer = httpx.post(f"{url}/write", params={"db": "adm"}, content=f"m,h=a v={value} 5".encode())
            assert answer.status_code == 204, answer.text
            assert '"v"' in httpx.get(f"{url}/query", params={"db": "adm", "q": "SELECT v FROM m"}).text
            ask(url, "DROP MEASUREMENT m")
        assert ask(url, "SHOW MEASUREMENTS") == {"results": [{"statement_id": 0}]}


def test_everything_deleted_stays_deleted_after_a_restart(tmp_path: Path) -> None:
    settings = CollectorSettings(data=tmp_path, auth=False)
    with serve_app(create_app(settings)) as url:
        ask(url, "CREATE DATABASE adm WITH DURATION 36500d NAME century")
        httpx.post(f"{url}/write", params={"db": "adm", "rp": "century"}, content=LINES.encode()).raise_for_status()
        ask(url, "DELETE FROM m WHERE h = 'b'")
        ask(url, "DROP MEASUREMENT k")
        before = [ask(url, one) for one in ("SELECT * FROM m", "SHOW SERIES", "SHOW RETENTION POLICIES")]
    with serve_app(create_app(settings)) as url:
        assert [ask(url, one) for one in ("SELECT * FROM m", "SHOW SERIES", "SHOW RETENTION POLICIES")] == before


def test_chunks_are_influxdbs_chunks(tmp_path: Path, influxdb: RunningInfluxDB) -> None:
    lines = "\n".join(f"c,h={'ab'[number % 2]} v={number} {number}" for number in range(11))
    documents = []
    with serve_app(create_app(CollectorSettings(data=tmp_path, auth=False))) as ours:
        for url in (ours, influxdb.url):
            ask(url, "CREATE DATABASE chunks")
            httpx.post(f"{url}/write", params={"db": "chunks"}, content=lines.encode()).raise_for_status()
            statements = "SELECT v FROM c GROUP BY h; SELECT v FROM nope; SHOW TAG KEYS FROM c"
            parameters = {"db": "chunks", "epoch": "ns", "chunked": "true", "chunk_size": "2", "q": statements}
            answer = httpx.get(f"{url}/query", params=parameters)
            documents.append([json.loads(line) for line in answer.text.splitlines()])
    assert documents[0] == documents[1]
    assert len(documents[0]) > 6


def test_points_beyond_the_retention_policy_are_refused_as_influxdb_refuses_them(
    tmp_path: Path, influxdb: RunningInfluxDB
) -> None:
    now = time.time_ns() // 10**9
    bodies = ["m v=1 1", f"m v=1 1\nm v=2 2\nm v=3 {now}", f"m v=4 {now - 3600}", f"m v=5 {now - 49 * 3600}"]
    answers = []
    with serve_app(create_app(CollectorSettings(data=tmp_path, auth=False))) as ours:
        for url in (ours, influxdb.url):
            ask(url, "DROP DATABASE adm")
            ask(url, "CREATE DATABASE adm WITH DURATION 48h NAME two")
            written = [
                httpx.post(f"{url}/write", params={"db": "adm", "precision": "s"}, content=body.encode())
                for body in bodies
            ]
            # Ours names each line; InfluxDB says only how many.
            errors = [
                re.sub(r"partial write: .*dropped", "partial write: points beyond retention policy dropped", one.text)
                for one in written
                if "points beyond retention policy" in one.text
            ]
            statuses = [one.status_code for one in written]
            answers.append((statuses, [json.loads(one) for one in errors], ask(url, "SELECT v FROM m")))
    assert answers[0] == answers[1]
    assert answers[0][0] == [400, 400, 204, 400]


def test_a_job_that_fails_is_a_warning_on_health_and_a_figure_in_the_metrics(tmp_path: Path) -> None:
    settings = CollectorSettings(data=tmp_path, auth=False, maintenance_seconds=1, cold_days=1)
    # A file where the folder of the cold days would be.
    settings.folder.mkdir(parents=True)
    (settings.folder / "store.cold").write_text("")
    with serve_app(create_app(settings)) as url:
        httpx.post(f"{url}/write", params={"db": "streamswarm"}, content=b"m v=1 1").raise_for_status()
        health = eventually(lambda: httpx.get(f"{url}/health").json(), lambda body: body["status"] != "pass")
        assert health["status"] == "warn"
        assert "freezing" in health["maintenance"]
        assert httpx.get(f"{url}/health").status_code == 200
        metrics = httpx.get(f"{url}/metrics").text
        assert 'streamswarm_collector_maintenance_failed{job="freezing"} 1.0' in metrics
        assert 'streamswarm_collector_maintenance_seconds{job="retention"}' in metrics
        (settings.folder / "store.cold").unlink()
        eventually(lambda: httpx.get(f"{url}/health").json()["status"], lambda status: status == "pass")
        assert ask(url, "SELECT v FROM streamswarm..m") == {
            "results": [{"statement_id": 0, "series": [{"name": "m", "columns": ["time", "v"], "values": [[0, 1]]}]}]
        }
