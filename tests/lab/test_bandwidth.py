"""Rates over links whose rate is known, with real servers; the relay's own counters are the truth."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from streamswarm_agent.net.keys import Keys
from streamswarm_agent.net.stamp.sender import StampSender
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reflector.bandwidth import BandwidthServer
from streamswarm_core.reflector.limits import Peers, RateLimit
from streamswarm_core.reflector.stamp import StampReflector
from streamswarm_core.wire.bandwidth import pack, unpack
from tests.lab.parts import lose
from tests.lab.servers.speedtest import speedtest_server
from tests.lab.topology import Path, PathBuilder

KEY = "the lab's"
WIRE = 10_000_000
# A rate of IP packets carries less TCP payload: 1448 of 1500 bytes; less than half would be no measurement.
MOST, LEAST = WIRE, WIRE / 2


@asynccontextmanager
async def serving(
    line: Path, *, peers: Peers | None = None, most_bytes: int = 500_000_000
) -> AsyncIterator[tuple[BandwidthServer, int]]:
    """A reflector in far's namespace: both kinds on one port."""
    server = BandwidthServer(key=KEY.encode(), peers=peers, most_bytes=most_bytes)
    reflector = StampReflector(key=KEY.encode(), limit=RateLimit(each=1e6, total=1e6))
    with line.far.entered():
        port = await server.listen([line.target, line.target6], 0)
        reflector.listen([line.target, line.target6], port)
    try:
        yield server, port
    finally:
        reflector.close()
        await server.close()


async def measure(line: Path, target: str = "", **options: object) -> Sequence[Point]:
    engines = Engines(Keys({"lab": SecretStr(KEY), "other": SecretStr("of somebody else")}), StampSender())
    params = SPECS["bandwidth"].params.model_validate({"key": "lab", **options})
    with line.near.entered():
        try:
            return await PROBES["bandwidth"].run(target or line.target, params, Context(engines))
        finally:
            engines.close()


def fields_of(points: Sequence[Point]) -> Mapping[str, FieldValue]:
    return points[0].fields


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
async def test_the_rate_of_a_link_is_found_in_both_directions(path: PathBuilder, family: str) -> None:
    line = path(hops=1, delay_ms=5, there={"rate": WIRE}, back={"rate": WIRE / 2}, queue_ms=100)
    async with serving(line) as (server, port):
        target = line.target if family == "ipv4" else line.target6
        points = await measure(line, target, port=port, seconds=2, streams=2)
    found = fields_of(points)
    truth = line.truth
    assert truth.there.overflowed == truth.back.overflowed == 0
    assert found["up"] == 1, found
    assert LEAST < float(found["upload"]) < MOST
    assert LEAST / 2 < float(found["download"]) < MOST / 2
    # What was received is less than what entered the wire, and all of it was counted by the server too.
    assert int(found["uploaded"]) < truth.there.received_bytes
    assert int(found["downloaded"]) < truth.back.received_bytes
    assert server.transferred["upload"] == found["uploaded"]
    directions = {point.tags["direction"] for point in points[1:]}
    assert directions == {"download", "upload"}


async def test_load_on_a_deep_queue_is_seen_as_bufferbloat(path: PathBuilder) -> None:
    line = path(hops=1, delay_ms=5, rate=WIRE, queue_ms=400)
    async with serving(line) as (_, port):
        found = fields_of(await measure(line, port=port, seconds=3, download=False))
    assert float(found["rtt_idle"]) >= 0.010
    assert float(found["bufferbloat"]) == float(found["rtt_upload"]) - float(found["rtt_idle"])
    assert float(found["rtt_upload"]) > 0.050
    assert "download" not in found


async def test_loss_is_seen_in_retransmissions_of_its_direction(path: PathBuilder) -> None:
    line = path(hops=1, rate=WIRE, there={"loss": 0.02})
    async with serving(line) as (_, port):
        found = fields_of(await measure(line, port=port, seconds=2, latency=False))
    assert line.truth.there.lost > 0
    assert int(found["retransmits_upload"]) > 0
    assert not {"rtt_idle", "bufferbloat"} & set(found)


async def test_a_run_keeps_within_its_budget(path: PathBuilder) -> None:
    line = path(hops=0)
    async with serving(line) as (server, port):
        found = fields_of(await measure(line, port=port, seconds=20, budget=2_000_000, warm_up=0))
    assert found["up"] == 1, found
    assert int(found["uploaded"]) == int(found["downloaded"]) == 1_000_000
    assert server.transferred == {"upload": 1_000_000, "download": 1_000_000}


async def test_a_reflector_grants_no_more_than_its_own_limit(path: PathBuilder) -> None:
    line = path(hops=0)
    async with serving(line, most_bytes=1_000_000) as (server, port):
        found = fields_of(await measure(line, port=port, seconds=20))
    assert server.transferred == {"upload": 500_000, "download": 500_000}
    assert found["uploaded"] == 500_000


@pytest.mark.parametrize("key", ["other", ""])
async def test_a_stranger_gets_nothing(path: PathBuilder, key: str) -> None:
    line = path(hops=0, relay=False)
    async with serving(line) as (server, port):
        found = fields_of(await measure(line, port=port, key=key))
    assert (found["up"], found["error"]) == (0, "permission")
    assert server.granted == 0
    assert dict(server.refused) == {"signature": 1}
    assert not server.transferred


async def test_what_was_overheard_can_not_be_used_again(path: PathBuilder) -> None:
    line = path(hops=0, relay=False)
    wanted = {"role": "control", "streams": 1, "bytes": 5_000, "seconds": 1}
    async with serving(line) as (server, port):
        overheard, answers = b"", []
        with line.near.entered():
            for _ in range(2):
                reader, writer = await asyncio.open_connection(line.target, port)
                nonce = unpack(await reader.readline())["nonce"]
                overheard = overheard or pack(wanted, nonce=nonce, key=KEY.encode())
                writer.write(overheard)
                answers.append(unpack(await reader.readline()))
                writer.close()
    assert "test" in answers[0]
    assert answers[1]["refused"] == "signature"
    assert server.granted == 1


async def test_one_test_at_a_time_is_served(path: PathBuilder) -> None:
    line = path(hops=0, rate=WIRE)
    async with serving(line) as (server, port):
        runs = await asyncio.gather(*(measure(line, port=port, seconds=1, download=False) for _ in range(2)))
    ups = sorted(int(fields_of(run)["up"]) for run in runs)
    assert ups == [0, 1]
    denied = next(fields_of(run) for run in runs if not fields_of(run)["up"])
    assert denied["error"] == "refused"
    assert "tests are under way" in str(denied["error_detail"])
    assert server.under_way == 0


async def test_peers_that_are_not_named_are_turned_away(path: PathBuilder) -> None:
    line = path(hops=0, relay=False)
    async with serving(line, peers=Peers(["192.0.2.0/24"])) as (_, port):
        found = fields_of(await measure(line, port=port))
    assert (found["up"], found["error"]) == (0, "permission")


async def test_where_nothing_listens_the_refusal_is_the_result(path: PathBuilder) -> None:
    for method in ("reflector", "iperf3"):
        found = fields_of(await measure(path(hops=0, relay=False), port=9, method=method))
        assert (found["up"], found["error"]) == (0, "refused"), found


@pytest.mark.needs("iperf3", "iperf3")
async def test_an_iperf3_server_is_measured_within_bytes_and_seconds(path: PathBuilder) -> None:
    line = path(hops=1, delay_ms=2, rate=WIRE)
    server = line.far.popen(["iperf3", "--server", "--forceflush"])
    assert server.stdout is not None
    assert any("listening" in said for said in server.stdout)
    found = fields_of(await measure(line, method="iperf3", seconds=2))
    assert found["up"] == 1, found
    assert LEAST < float(found["download"]) < MOST * 1.2  # by intervals that iperf3 cuts as it gets to it
    assert LEAST < float(found["upload"]) < MOST * 1.5  # counted where it was sent, queue included
    assert int(found["downloaded"]) < line.truth.back.received_bytes
    short = fields_of(await measure(line, method="iperf3", seconds=30, budget=400_000, upload=False))
    assert short["up"] == 1, short
    assert int(short["downloaded"]) < 1_000_000


@pytest.mark.needs("iperf3", "iperf3")
@pytest.mark.needs("nft", "nftables")
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
async def test_by_udp_a_rate_is_sent_and_what_the_path_lost_of_it_is_found(path: PathBuilder, family: str) -> None:
    line = path(hops=1, delay_ms=2, back={"jitter_ms": 20})
    # What sets the test up is spared: iperf3 says only once by UDP that it begins.
    lost = lose(line.routers[0], 0.2, "meta l4proto udp meta length > 1000")
    server = line.far.popen(["iperf3", "--server", "--forceflush"])
    assert server.stdout is not None
    assert any("listening" in said for said in server.stdout)
    target = line.target if family == "ipv4" else line.target6
    found = fields_of(await measure(line, target, method="iperf3", seconds=2, udp_rate=2_000_000))
    assert found["up"] == 1, found
    assert found["streams"] == 1
    told = 0.0
    for way in ("download", "upload"):
        share, arrived = float(found[f"loss_{way}"]), int(found[f"{way}ed"]) / 1_400
        told += arrived * share / (1 - share)
    # The last ones that are lost before the end are missed by nobody.
    assert -0.5 < lost.packets - told < 10
    assert lost.packets > 60
    assert float(found["jitter_download"]) > float(found["jitter_upload"])
    assert 0 < int(found["downloaded"]) < line.truth.back.received_bytes
    short = fields_of(await measure(line, target, method="iperf3", upload=False, budget=100_000, udp_rate=1_000_000))
    assert int(short["downloaded"]) <= 100_000 + 1_400


async def test_a_speedtest_mini_server_is_measured_without_asking_anybody_else(path: PathBuilder) -> None:
    line = path(hops=1, delay_ms=2, rate=WIRE)
    with speedtest_server(line.far) as server:
        url = f"http://{line.target}:{server.port}/"
        found = fields_of(await measure(line, url, method="speedtest", seconds=2, budget=4_000_000, streams=2))
    assert found["up"] == 1, found
    assert 0 < float(found["download"]) < MOST
    assert 0 < float(found["upload"]) < MOST * 1.5
    assert 0 < int(found["downloaded"]) < line.truth.back.received_bytes
    assert float(found["rtt_idle"]) >= 0.002


async def test_a_speedtest_server_without_pictures_is_down(path: PathBuilder) -> None:
    line = path(hops=0, relay=False)
    with speedtest_server(line.far, pictures=False) as server:
        url = f"http://{line.target}:{server.port}/"
        found = fields_of(await measure(line, url, method="speedtest", seconds=1, upload=False))
    assert (found["up"], found["error"]) == (0, "unexpected_answer")
    nobody = fields_of(await measure(line, f"http://{line.target}:9/", method="speedtest", seconds=1))
    assert (nobody["up"], nobody["error"]) == (0, "unreachable")
    wrong = fields_of(await measure(line, "somewhere", method="speedtest"))
    assert (wrong["up"], wrong["error"]) == (0, "bad_target")
