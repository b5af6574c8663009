"""The models on a real collector, and their routes over HTTP."""

import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from streamswarm_core.clock import NANOSECONDS, now_ns
from streamswarm_core.errors import Unavailable
from streamswarm_core.reader import Select
from streamswarm_core.tokens import Scope, SigningKey
from streamswarm_ml.access import Gatekeeper
from streamswarm_ml.app import create_app
from streamswarm_ml.jobs import Busy, JobState
from streamswarm_ml.labels import HealthFeedback
from streamswarm_ml.models import MODELS
from streamswarm_ml.routes import model_routes
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.windows import WINDOW_NS
from tests.integration.mlbench import START, ModelBench
from tests.support import eventually, serve_app

HOURS = 12


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ModelBench]:
    with ModelBench.served(tmp_path) as made:
        yield made


def test_what_models_say_is_written_to_the_store_with_the_tags_of_the_series(bench: ModelBench) -> None:
    operations = bench.operations()
    bench.measure(0, HOURS * 12)
    assert operations.cycle() == HOURS * 12
    forecasts = bench.reader.execute("SELECT value, low, high FROM forecast GROUP BY *")
    assert {(one.tags["field"], one.tags["horizon"]) for one in forecasts} >= {("rtt_mean", "1h"), ("loss", "1h")}
    assert {one.tags["site"] for one in forecasts} == {"berlin"}
    newest = max(int(row[0] or 0) for one in forecasts for row in one.rows)
    assert newest > bench.now
    assert len(bench.written("health")) == HOURS * 12
    assert len(bench.written("qos_risk")) == HOURS * 12
    status = operations.status("forecast")
    assert status["samples"] > 0
    assert set(status["figures"]["1h"]["baselines"]) == {"as now", "same time one period before"}
    assert len(status["figures"]["1h"]["over_time"]) >= 2


@pytest.mark.parametrize(("noise", "windows"), [(0.05, 1), (0.02, 6)], ids=["ties in the noise", "ties in the curve"])
def test_fields_that_part_are_told_as_one_anomaly_of_all_fields(bench: ModelBench, noise: float, windows: int) -> None:
    operations, source = bench.operations(), random.Random(4)
    operations._trained["multivariate"].next_window = START
    days, odd, lines = 6, range(5 * 288, 5 * 288 + 12), []
    for index in range(days * 288):
        load = 1 + 0.2 * math.sin(index / 46) + source.gauss(0, noise)
        rtt, jitter = 0.02 * load, 0.001 * (load - 1) * 4 + 0.002 + source.gauss(0, 0.0001)
        if index in odd:
            jitter += 0.002 * (1.2 - load) * 4 + 0.002
        stamp = (START + index) * WINDOW_NS
        lines.append(f"icmp,agent=a,target=gw,test=ping up=1i,loss=0.0,rtt_mean={rtt},jitter={jitter} {stamp}")
    bench.writer.write(("\n".join(lines) + "\n").encode())
    bench.now = (START + days * 288) * WINDOW_NS
    operations.cycle()
    answer = bench.reader.execute(
        'SELECT event, "view" FROM anomaly WHERE detector = \'multivariate\' GROUP BY target, "field"'
    )
    assert [(one.tags["target"], one.tags["field"]) for one in answer] == [("gw", "all")]
    opened = [int(at or 0) // WINDOW_NS - START for at, event, _ in answer[0].rows if event == "open"]
    # One, at once; where hardly more than a day's curve ties the fields, five days of one test teach little of that.
    assert len(found := [at for at in opened if odd.start <= at < odd.stop + 5]) == 1
    assert found[0] < odd.start + windows


def test_a_delay_below_zero_in_the_store_stops_no_model(bench: ModelBench) -> None:
    operations = bench.operations()
    bench.measure(0, 2)
    line = f"icmp,agent=a,target=gw,test=odd up=1i,loss=0.0,rtt_mean=-0.02,jitter=-0.001 {(START + 1) * WINDOW_NS}"
    bench.writer.write(f"{line}\n".encode())
    assert [operations.cycle(), operations.cycle()] == [2, 0]


def test_a_window_is_read_once_and_only_when_it_is_over(bench: ModelBench) -> None:
    operations = bench.operations()
    bench.measure(0, 3)
    assert [operations.cycle(), operations.cycle()] == [3, 0]
    bench.now += WINDOW_NS // 2
    bench.measure(3, 1)
    bench.now = (START + 3) * WINDOW_NS + WINDOW_NS // 2
    assert operations.cycle() == 0
    bench.now += WINDOW_NS
    assert operations.cycle() == 1


def test_a_restart_goes_on_where_the_models_were_saved_and_says_the_same(bench: ModelBench) -> None:
    first = bench.operations()
    bench.measure(0, 60)
    first.cycle()
    first.save()
    bench.measure(60, 40)
    second = bench.operations()
    assert second.cycle() == 40
    first.cycle()
    assert second.status("forecast")["samples"] == first.status("forecast")["samples"]
    assert second.status("forecast")["figures"] == first.status("forecast")["figures"]


def test_points_that_the_store_did_not_take_are_written_later(
    bench: ModelBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = bench.operations()
    bench.measure(0, 5)
    with monkeypatch.context() as broken:
        broken.setattr(bench.writer, "write", lambda _lines: (_ for _ in ()).throw(Unavailable("away")))
        with pytest.raises(Unavailable):
            operations.cycle()
    operations.cycle()
    assert len(bench.written("health")) == 5


def test_a_reset_learns_all_history_and_the_labels_again(bench: ModelBench) -> None:
    bench.measure(0, HOURS * 12)
    operations = bench.operations()
    operations.cycle()
    little = operations.status("forecast")["samples"]
    moment = bench.now - 3 * WINDOW_NS
    tags = {"agent": "a", "site": "berlin", "target": "gw", "test": "t"}
    operations.feedback(HealthFeedback(measurement="icmp", tags=tags, time_ns=moment, label="bad"))
    # It looked back one hour at its first start; a reset goes back to the first point.
    operations._trained["forecast"].model = MODELS["forecast"]()
    job = operations.reset(["forecast", "health"])
    operations.wait(60)
    assert (job.state, job.progress, job.error) == (JobState.DONE, 1.0, "")
    assert operations.status("forecast")["samples"] >= little
    assert operations.status("health")["samples"] == 1
    assert operations.status("health")["version"] == 1
    bench.measure(HOURS * 12, 2)
    assert operations.cycle() == 2


def test_a_reset_can_be_cancelled_and_leaves_the_model_as_it_was(
    bench: ModelBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.measure(0, 400)
    operations = bench.operations()
    operations.cycle()
    before = operations.model("forecast")
    select = bench.reader.select

    def slow(statement: Any) -> Any:
        time.sleep(0.05)
        return select(statement)

    monkeypatch.setattr(bench.reader, "select", slow)
    operations.reset(["forecast"])
    with pytest.raises(Busy, match="cancel it"):
        operations.train()
    operations.cancel()
    operations.wait(60)
    assert operations.job is not None
    assert operations.job.state is JobState.CANCELLED
    assert operations.model("forecast") is before


def test_a_damaged_version_is_refused_said_so_and_a_rollback_brings_back_the_one_before(bench: ModelBench) -> None:
    operations = bench.operations()
    bench.measure(0, 60)
    operations.cycle()
    before = operations.status("forecast")
    bench.measure(60, 60)
    operations.cycle()
    newest = max((bench.folder / "models/forecast").glob("*.model"))
    content = newest.read_bytes()
    newest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    again = bench.operations()
    assert "damaged" in again.status("forecast")["refused"]
    assert again.status("forecast")["samples"] == 0
    assert again.roll_back("forecast", None).version == before["version"]
    assert again.status("forecast")["samples"] == before["samples"] > 0
    assert again.status("health")["refused"] is None


def test_what_many_bad_results_have_in_common_is_the_first_suspect(bench: ModelBench, tmp_path: Path) -> None:
    operations, lines, source = bench.operations(), [], random.Random(1)
    for index in range(62):
        for agent, site in (("a", "berlin"), ("b", "berlin"), ("c", "oslo"), ("d", "oslo")):
            for target in "xyz":
                rtt = (0.2 if index >= 60 and site == "berlin" else 0.01) * source.uniform(1, 1.1)
                tags = f"agent={agent},site={site},target={target},test=ping"
                lines.append(f"icmp,{tags} up=1i,loss=0.0,rtt_mean={rtt} {(START + index) * WINDOW_NS}")
    operations._trained["infrastructure"].next_window = START
    bench.writer.write(("\n".join(lines) + "\n").encode())
    bench.now = (START + 62) * WINDOW_NS
    operations.cycle()
    with httpx.Client() as client:
        gatekeeper = Gatekeeper("http://127.0.0.1:1", lambda: "sst_the-services-own", tmp_path / "keys.json", client)
        with serve_app(Starlette(routes=model_routes(operations, gatekeeper))) as url:
            asked = f"{url}/models/infrastructure/suspects"
            suspects = httpx.get(asked, headers=OWN).json()["suspects"]
            bench.now += 2 * 3600 * NANOSECONDS
            later = httpx.get(asked, headers=OWN).json()["suspects"]
    assert (suspects[0]["place"], suspects[0]["name"]) == ("uplink", "berlin")
    assert suspects[0]["share"] > 0.5
    assert later == []


@pytest.fixture
def service(bench: ModelBench, tmp_path: Path) -> Iterator[tuple[str, SigningKey, set[str]]]:
    """The whole ML service, and a control plane that publishes its keys and revocations."""
    key, revoked = SigningKey.generate(), set[str]()
    controlplane = Starlette(
        routes=[
            Route("/api/v1/keys", lambda _: JSONResponse(key.jwks())),
            Route("/api/v1/revocations", lambda _: JSONResponse({"revoked": sorted(revoked)})),
        ]
    )
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/ml.token").write_text("sst_the-services-own")
    with serve_app(controlplane) as issuer:
        settings = MlSettings(data=tmp_path, store_url=bench.url, controlplane_url=issuer)
        with serve_app(create_app(settings)) as url:
            yield url, key, revoked


OWN = {"Authorization": "Bearer sst_the-services-own"}


def bearer(key: SigningKey, *scopes: Scope, subject: str = "u1") -> dict[str, str]:
    return {"Authorization": f"Bearer {key.issue(subject=subject, name='x', scopes=scopes, lifetime=60)}"}


def test_routes_open_to_tokens_with_the_scope_and_to_nobody_else(
    service: tuple[str, SigningKey, set[str]],
) -> None:
    url, key, revoked = service
    asked = {"models": ["qos"]}
    for headers in ({}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Bearer sst_guess"}):
        answer = httpx.get(f"{url}/models", headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    stranger = bearer(SigningKey.generate(), Scope.READ, Scope.ADMIN)
    assert httpx.get(f"{url}/models", headers=stranger).status_code == 401
    assert httpx.get(f"{url}/models", headers=bearer(key, Scope.READ)).status_code == 200
    assert httpx.post(f"{url}/models/reset", headers=bearer(key, Scope.READ), json=asked).status_code == 403
    agent = bearer(key, Scope.AGENT, Scope.READ, Scope.WRITE, Scope.ADMIN)
    assert httpx.get(f"{url}/models", headers=agent).status_code == 403
    assert httpx.post(f"{url}/models/reset", headers=bearer(key, Scope.ADMIN), json=asked).status_code == 202
    revoked.add("gone")
    gone = bearer(key, Scope.READ, subject="gone")
    eventually(lambda: httpx.get(f"{url}/models", headers=gone).status_code, lambda status: status == 401, 20)
    assert httpx.get(f"{url}/health").status_code == 200


def test_every_model_says_how_it_does_beside_a_baseline(service: tuple[str, SigningKey, set[str]]) -> None:
    url, _, _ = service
    found = httpx.get(f"{url}/models", headers=OWN).json()["models"]
    assert {one["model"] for one in found} == set(MODELS)
    for one in found:
        assert {"samples", "saved_at", "trained_until", "bytes_on_disk", "figures", "version"} <= set(one)
    job = httpx.post(f"{url}/models/train", headers=OWN).json()["job"]
    assert job["kind"] == "train"
    done = eventually(
        lambda: httpx.get(f"{url}/models/job", headers=OWN).json()["job"], lambda job: job["state"] != "running"
    )
    assert done["state"] == "done"
    versions = httpx.get(f"{url}/models/qos/versions", headers=OWN).json()
    assert [known["version"] for known in versions["versions"]] == [versions["current"]]
    size = httpx.get(f"{url}/models/qos", headers=OWN).json()["bytes_on_disk"]
    assert size > 0
    metrics = httpx.get(f"{url}/metrics").text
    assert f'streamswarm_ml_model_bytes{{model="qos"}} {float(size)!r}' in metrics
    for name in MODELS:
        for told in ("samples", "trained_until_timestamp_seconds", "lag_seconds", "bytes"):
            assert f'streamswarm_ml_model_{told}{{model="{name}"}}' in metrics


def test_detectors_learn_all_that_is_stored_when_an_admin_asks_for_it(
    service: tuple[str, SigningKey, set[str]], bench: ModelBench
) -> None:
    url, key, _ = service
    assert httpx.get(f"{url}/detectors/job", headers=OWN).json() == {"job": None}
    assert httpx.post(f"{url}/detectors/reset", headers=bearer(key, Scope.READ)).status_code == 403
    # A year before what a first start looks back to.
    long_ago = now_ns() - 400 * 86_400 * NANOSECONDS
    lines = [f"icmp,agent=a,target=x rtt_mean=0.01 {long_ago + index * 60 * NANOSECONDS}" for index in range(200)]
    bench.writer.write(("\n".join(lines) + "\n").encode())
    began = httpx.post(f"{url}/detectors/reset", headers=bearer(key, Scope.ADMIN))
    assert (began.status_code, began.json()["job"]["kind"]) == (202, "reset")
    done = eventually(
        lambda: httpx.get(f"{url}/detectors/job", headers=OWN).json()["job"], lambda job: job["state"] != "running"
    )
    assert (done["state"], done["progress"], done["error"]) == ("done", 1.0, "")
    asked = Select("anomaly", ("score",), start_ns=long_ago - 1, stop_ns=long_ago + 86_400 * NANOSECONDS)
    assert sum(len(series.rows) for series in bench.reader.select(asked)) == 200
    assert httpx.delete(f"{url}/detectors/job", headers=OWN).json()["job"]["state"] == "done"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("GET", "/models/tarot", None, 404, "there are forecast"),
        ("POST", "/models/reset", {"models": ["tarot"]}, 422, "there are forecast"),
        ("POST", "/models/reset", {"models": []}, 422, "can't be used"),
        ("POST", "/models/reset", {"all": True}, 422, "can't be used"),
        ("POST", "/models/qos/rollback", {}, 409, "nothing to go back to"),
        ("POST", "/models/qos/rollback", {"version": 0}, 422, "can't be used"),
        ("POST", "/models/qos/feedback", {}, 404, "health and infrastructure do"),
        ("POST", "/models/health/feedback", {"label": "fine"}, 422, "can't be used"),
        (
            "POST",
            "/models/health/feedback",
            {"measurement": "icmp", "tags": {"target": "x"}, "time_ns": 1, "label": "ok"},
            404,
            "reach back one day",
        ),
        ("GET", "/models/forecast/prospect?measurement=tarot", None, 422, "must be one of"),
        ("GET", "/models/forecast/prospect?measurement=icmp&field=ttl", None, 422, "rtt_mean"),
        ("GET", "/models/infrastructure/suspects?hours=25", None, 422, "from 1 to 24"),
        ("GET", "/incidents?hours=0", None, 422, "from 1 to 168"),
        ("GET", f"/incidents?hours={'9' * 5_000}", None, 422, "from 1 to 168"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_could(
    service: tuple[str, SigningKey, set[str]], method: str, path: str, body: object, status: int, detail: str
) -> None:
    url, _, _ = service
    answer = httpx.request(method, url + path, json=body, headers=OWN)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail in answer.json()["detail"]


def test_a_prospect_without_history_says_that_there_is_too_little(
    service: tuple[str, SigningKey, set[str]],
) -> None:
    url, _, _ = service
    path = "/models/forecast/prospect?measurement=icmp&field=rtt_mean&target=gw&site=berlin"
    found = httpx.get(url + path, headers=OWN).json()
    assert found["enough"] is False
    assert "not enough data" in found["reason"]


def test_anomalies_of_the_same_time_and_target_are_one_incident(
    bench: ModelBench, service: tuple[str, SigningKey, set[str]]
) -> None:
    url, _, _ = service
    now = time.time_ns()
    lines = []
    for agent in "abc":
        for second in range(0, 300, 30):
            tags = f"agent={agent},site={agent},target=gw,measurement=icmp,field=rtt_mean,detector=x"
            flag = int(second > 100)
            at = now - (600 - second) * NANOSECONDS
            lines.append(f"anomaly,{tags} score=0.9,flag={flag}i,value=0.5,expected=0.01 {at}")
    bench.writer.write(("\n".join(lines) + "\n").encode())
    found = httpx.get(f"{url}/incidents", headers=OWN).json()["incidents"]
    assert len(found) == 1
    assert found[0]["shared"] == {"tag": "target", "value": "gw"}
    assert {one["tags"]["agent"] for one in found[0]["anomalies"]} == {"a", "b", "c"}
    assert found[0]["anomalies"][0]["baseline"] == pytest.approx(0.01)


def test_a_body_nested_without_end_is_refused(service: tuple[str, SigningKey, set[str]]) -> None:
    url, _, _ = service
    answer = httpx.post(f"{url}/models/reset", content=b"[" * 60_000, headers=OWN)
    assert (answer.status_code, answer.json()["title"]) == (400, "Not JSON")
