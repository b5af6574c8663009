"""What the PromQL reader sends, and what it makes of answers that a real store seldom gives."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from streamswarm_core.errors import ConfigError, Refused, Unavailable
from streamswarm_core.reader import (
    Aggregate,
    InfluxQLReader,
    PromQLReader,
    Reader,
    Select,
    StoreSettings,
    open_reader,
)
from streamswarm_core.reader.promselector import quote_value
from streamswarm_core.reader.promwindows import MOST_STEPS, split
from streamswarm_ml.settings import MlSettings
from tests.support import serve_app

ANSWERS = {
    "busy": PlainTextResponse("queue is full", 503),
    "limited": JSONResponse({"status": "error", "error": "too many requests"}, 429),
    "login": JSONResponse({"status": "error", "error": "no org id"}, 401),
    "bad": JSONResponse({"status": "error", "errorType": "bad_data", "error": "parse error"}, 400),
    "page": PlainTextResponse("<html>Welcome</html>"),
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    async def answer(request: Request) -> Response:
        if request.path_params["kind"] != "echo":
            return ANSWERS[request.path_params["kind"]]
        sent = {"agent": request.headers.get("authorization", ""), "site": request.headers.get("x-scope-orgid", "")}
        return JSONResponse({"status": "success", "data": [{"__name__": "icmp_loss", **sent}]})

    with serve_app(Starlette(routes=[Route("/{kind}/api/v1/series", answer, methods=["POST"])])) as url:
        yield url


def series(reader: Reader) -> object:
    return reader.series("icmp", start_ns=0, stop_ns=10**9)


@pytest.mark.parametrize("kind", ["busy", "limited"])
def test_an_overloaded_store_is_worth_another_try(url: str, kind: str) -> None:
    with PromQLReader(f"{url}/{kind}") as reader, pytest.raises(Unavailable, match=f"{url}/{kind}/api/v1/series: HTTP"):
        series(reader)


@pytest.mark.parametrize(
    ("kind", "words"), [("login", "no org id"), ("bad", "parse error"), ("page", "not an answer of the Prometheus API")]
)
def test_a_refusal_says_where_and_why(url: str, kind: str, words: str) -> None:
    with PromQLReader(f"{url}/{kind}/") as reader, pytest.raises(Refused, match=f"{url}/{kind}/api.*{words}"):
        series(reader)


def test_token_and_tenant_are_sent_as_headers(url: str) -> None:
    with PromQLReader(f"{url}/echo", token=lambda: "secret", tenant="noc") as reader:
        assert series(reader) == [{"agent": "Bearer secret", "site": "noc"}]
    with PromQLReader(f"{url}/echo") as reader:
        assert series(reader) == [{}]


def test_a_store_of_another_kind_never_sees_the_services_own_token(url: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("theirs\n")
    store = {"store_url": f"{url}/echo", "store_kind": "promql"}
    for more, seen in (
        ({}, {}),
        ({"store_token_file": file, "store_tenant": "a"}, {"agent": "Bearer theirs", "site": "a"}),
    ):
        with contextlib.closing(open_reader(StoreSettings.model_validate({**store, **more}), lambda: "own")) as reader:
            assert series(reader) == [seen]


def test_influxql_is_read_unless_settings_say_otherwise() -> None:
    with contextlib.closing(open_reader(StoreSettings(), lambda: "")) as reader:
        assert isinstance(reader, InfluxQLReader)


def test_scores_need_a_place_where_the_store_only_scrapes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMSWARM_ML_STORE_KIND", "promql")
    assert MlSettings.load(store_url="http://vm:8428").scores_url == "http://vm:8428"
    monkeypatch.setenv("STREAMSWARM_ML_STORE_NAMES", "scraped")
    with pytest.raises(ConfigError, match=r"STREAMSWARM_ML_WRITE_URL.*give a collector's URL"):
        MlSettings.load()
    assert MlSettings.load(write_url="http://collector:8801").scores_url == "http://collector:8801"


@given(st.integers(-1000, 1000), st.integers(0, 100_000), st.integers(1, 50))
def test_windows_cover_the_range_once_and_begin_at_multiples(start: int, length: int, every: int) -> None:
    at = start
    for span in split(start, start + length, every):
        assert span.first == at
        assert span.label == span.first // every * every
        assert span.length == every or span.count == 1
        assert span.count <= MOST_STEPS
        at = span.first + span.count * span.length
    assert at == start + length


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_quoting_leaves_no_way_out_of_the_quotes(text: str) -> None:
    inner = quote_value(text)[1:-1]
    assert "\n" not in inner
    assert '"' not in inner.replace(r"\\", "").replace(r"\"", "")


def test_a_transport_of_ones_own_can_be_used() -> None:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(dict(httpx.QueryParams(request.content.decode()))["query"])
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "vector", "result": []}})

    client = httpx.Client(transport=httpx.MockTransport(handle))
    statement = Select("icmp", [Aggregate("mean", "loss")], start_ns=0, stop_ns=10**9, group_by=["agent"])
    with PromQLReader("http://store", database="d.b", client=client) as reader:
        assert reader.select(statement) == []
    assert asked[-1] == (
        r'sum by (agent) (sum_over_time({__name__="icmp_loss",db=~"|d\\.b"}[1000ms] offset 1ms))'
        r' / sum by (agent) (count_over_time({__name__="icmp_loss",db=~"|d\\.b"}[1000ms] offset 1ms))'
    )
