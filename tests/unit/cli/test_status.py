from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner

from streamswarm_cli.main import app
from streamswarm_core.settings import PREFIX
from tests.support import find_free_port, serve_app

SERVICES = ("controlplane", "collector", "ml", "agent")


@pytest.fixture(autouse=True)
def _nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for service in SERVICES:
        monkeypatch.setenv(f"{PREFIX}{service.upper()}_PORT", str(find_free_port()))


@pytest.fixture
def sick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    async def health(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "fail", "name": "x", "version": "9.9", "sinks": {"influx": "refused"}}, 503)

    with serve_app(Starlette(routes=[Route("/health", health)])) as url:
        monkeypatch.setenv("STREAMSWARM_COLLECTOR_PORT", url.rpartition(":")[2])
        yield


def test_where_nothing_runs_that_is_said_and_is_a_failure() -> None:
    told = CliRunner().invoke(app, ["status"])
    assert told.exit_code == 1
    assert told.stdout.count("not running") == len(SERVICES)


@pytest.mark.usefixtures("sick")
@pytest.mark.parametrize("arguments", [["status"], ["status", "collector"]])
def test_a_service_that_is_not_well_is_shown_with_what_it_says(arguments: list[str]) -> None:
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 1
    assert "fail" in told.stdout
    assert "9.9" in told.stdout
    assert "refused" in told.stdout


def test_what_a_service_says_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"status": "pass", "name": "x", "version": "9.9", "sinks": {}, "queued_points": 0, "feeds": {"a_b": "late"}}

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse(said)

    with serve_app(Starlette(routes=[Route("/health", health)])) as url:
        monkeypatch.setenv("STREAMSWARM_COLLECTOR_PORT", url.rpartition(":")[2])
        told = CliRunner().invoke(app, ["status", "collector"])
    assert (told.exit_code, "pass" in told.stdout, "sinks" in told.stdout) == (0, False, False)
    assert "queued points: 0, feeds: a b: late" in told.stdout


def test_an_unknown_service_is_refused_by_name() -> None:
    refused = CliRunner().invoke(app, ["status", "grafana"])
    assert refused.exit_code == 2
    assert "no service 'grafana'" in refused.stderr
