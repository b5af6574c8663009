"""Two servers for the same client: our collector with its embedded store, and a real InfluxDB 1.6.7.

What a client does is tried on both, so that a test says what InfluxDB does and not only what we do.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.tokens import Scope, SigningKey
from tests.support import RunningInfluxDB, serve_app


@dataclass(frozen=True)
class Server:
    """What a client is told of a server.

    Attributes:
        name: `collector` or `influxdb`.
        url: base URL on loopback.
        token: password (1.x) or token (2.x); InfluxDB runs without authentication and ignores it.
    """

    name: str
    url: str
    token: str

    @property
    def host(self) -> str:
        return httpx.URL(self.url).host

    @property
    def port(self) -> int:
        port = httpx.URL(self.url).port
        assert port is not None
        return port

    def write(self, database: str, lines: str | bytes, **parameters: str) -> httpx.Response:
        content = lines.encode() if isinstance(lines, str) else lines
        parameters = {"db": database, **parameters}
        return httpx.post(f"{self.url}/write", params=parameters, content=content, auth=("telegraf", self.token))

    def query(self, database: str, statement: str, *, method: str = "GET", **parameters: str) -> httpx.Response:
        fields = {"db": database, "q": statement, **parameters}
        place: Mapping[str, Any] = {"params": fields} if method == "GET" else {"data": fields}
        return httpx.request(method, f"{self.url}/query", auth=("grafana", self.token), timeout=30, **place)

    def results(self, database: str, statement: str, **parameters: str) -> list[dict[str, Any]]:
        answer = self.query(database, statement, epoch="ns", **parameters)
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A collector that asks for tokens; it verifies this one with keys that it has on disk, no control plane is up."""
    folder: Path = tmp_path_factory.mktemp("collector")
    settings = CollectorSettings(data=folder)
    settings.folder.mkdir(parents=True)
    key = SigningKey.generate()
    (settings.folder / "keys.json").write_text(json.dumps(key.jwks()))
    scopes = frozenset(Scope) - {Scope.AGENT}
    token = key.issue(subject="compat", name="compat", scopes=scopes, lifetime=3600)
    with pytest.MonkeyPatch.context() as patch, serve_app(create_app(settings)) as url:
        # Every test writes to a database of its own.
        patch.setattr("streamswarm_collector.pipeline.MOST_DATABASES", 10_000)
        yield Server("collector", url, token)


@pytest.fixture(params=["collector", "influxdb"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each server in turn; what the marker `collector_lacks` names is expected to fail on ours, and only there."""
    if request.param == "influxdb":
        return _real(request.getfixturevalue("influxdb"))
    _expect_what_is_lacking(request)
    ours: Server = request.getfixturevalue("collector")
    return ours


def _expect_what_is_lacking(request: pytest.FixtureRequest) -> None:
    for marker in request.node.iter_markers("collector_lacks"):
        request.applymarker(pytest.mark.xfail(strict=True, reason=marker.args[0]))


def _real(influxdb: RunningInfluxDB) -> Server:
    return Server("influxdb", influxdb.url, "ignored")


@pytest.fixture
def both(collector: Server, request: pytest.FixtureRequest) -> tuple[Server, Server]:
    """Ours and the real one, to be asked the same."""
    _expect_what_is_lacking(request)
    return collector, _real(request.getfixturevalue("influxdb"))


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name of its own; the database is made in InfluxDB, where a write does not make one."""
    name = f"compat_{uuid.uuid4().hex[:8]}"
    names = set(request.fixturenames)
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    if "both" not in names and parameters.get("server") != "influxdb":
        yield name
        return
    influxdb: RunningInfluxDB = request.getfixturevalue("influxdb")
    influxdb.create_database(name)
    yield name
    httpx.post(f"{influxdb.url}/query", data={"q": f'DROP DATABASE "{name}"'}).raise_for_status()
