"""A collector that runs is a reflector for an agent's probes."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.lineprotocol import encode_lines
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SPECS
from tests.support import find_free_port, serve_app


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[tuple[str, int]]:
    port = find_free_port()
    settings = CollectorSettings(data=tmp_path, auth=False, reflector_port=port)
    with serve_app(create_app(settings)) as url:
        yield url, port


async def measure(probe: str, port: int, **options: object) -> Point:
    engines = Engines()
    try:
        params = SPECS[probe].params.model_validate({"port": port, **options})
        return (await PROBES[probe].run("127.0.0.1", params, Context(engines)))[0]
    finally:
        engines.close()


async def test_a_collector_reflects_and_counts_it(collector: tuple[str, int]) -> None:
    url, port = collector
    point = await measure("stamp", port, count=5, spacing=0.001)
    assert (point.fields["up"], point.fields["received"], point.fields["loss_there"]) == (1, 5, 0.0)
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"{url}/metrics")).text
    assert "streamswarm_reflector_packets_total 5.0" in metrics
    assert 'streamswarm_reflector_up{kind="bandwidth"} 1.0' in metrics


async def test_a_collector_serves_bandwidth_tests(collector: tuple[str, int]) -> None:
    _, port = collector
    point = await measure("bandwidth", port, budget=2_000_000, latency=True)
    assert (point.fields["up"], point.fields["downloaded"], point.fields["uploaded"]) == (1, 1_000_000, 1_000_000)
    assert "rtt_idle" in point.fields


async def test_a_collector_reflects_speech_and_stores_how_it_sounds(collector: tuple[str, int]) -> None:
    url, port = collector
    point = await measure("voip", port, seconds=0.5, jitter_buffer="fixed", buffer=0.3)
    assert (point.fields["up"], point.fields["loss_there"], point.fields["loss_back"]) == (1, 0.0, 0.0)
    async with httpx.AsyncClient() as client:
        asked = {"db": "streamswarm", "q": "SELECT mos, quality, sent FROM voip"}
        (await client.post(f"{url}/write", params=asked, content=encode_lines([point]))).raise_for_status()
        answer = (await client.get(f"{url}/query", params=asked)).raise_for_status().json()
    (row,) = answer["results"][0]["series"][0]["values"]
    assert row[1:] == [pytest.approx(point.fields["mos"]), point.fields["quality"], 25]
