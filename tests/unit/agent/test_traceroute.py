"""Traces on loopback: one hop, but real packets. Paths with routers are in tests/lab."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import dns.asyncresolver
import dns.message
import dns.rrset
import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.net.path.geo import PlaceNames
from streamswarm_agent.net.path.hops import HopListener
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import SPECS
from tests.mmdb import write_mmdb
from tests.support import find_free_port
from tests.unit.agent.servers import dns_server

ROOT = Path(__file__).parents[3]


async def run(name: str, target: str, context: Context, **options: object) -> list[Point]:
    return await PROBES[name].run(target, SPECS[name].params.model_validate(options), context)


@pytest.mark.parametrize(("target", "family"), [("127.0.0.1", "ipv4"), ("::1", "ipv6")])
@pytest.mark.parametrize("method", ["icmp", "udp", "tcp"])
async def test_this_host_is_one_hop_away(target: str, family: str, method: str, context: Context) -> None:
    port = None if method == "icmp" else find_free_port()
    summary, hop = await run("traceroute", target, context, method=method, port=port, spacing=0.01)
    assert summary.tags == {"target": target, "family": family, "method": method}
    assert (summary.fields["up"], summary.fields["hops"], summary.fields["loss"]) == (1, 1, 0.0)
    assert hop.tags == {**summary.tags, "hop": "01"}
    assert (hop.fields["address"], hop.fields["received"], hop.fields["answer"]) == (target, 3, "reply")
    assert 0 < float(hop.fields["rtt_min"]) <= float(hop.fields["rtt_max"]) < 0.1


async def test_a_listening_port_is_reached_by_syn_too(context: Context) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        summary, _ = await run("traceroute", "127.0.0.1", context, method="tcp", port=port, spacing=0.05)
    assert (summary.fields["up"], summary.fields["loss"]) == (1, 0.0)


@pytest.mark.allow_hosts(["127.0.0.0/8"])
async def test_many_traces_share_one_listener_and_do_not_take_each_others_answers(context: Context) -> None:
    targets = [f"127.0.1.{number}" for number in range(1, 61)]
    runs = await asyncio.gather(
        *(
            run("traceroute", target, context, method=("icmp", "udp", "tcp")[number % 3], spacing=0.01)
            for number, target in enumerate(targets)
        )
    )
    for target, (summary, hop) in zip(targets, runs, strict=True):
        assert (summary.fields["up"], hop.fields["address"], hop.fields["received"]) == (1, target, 3)
    channel = context.engines.get(HopListener)._channels
    assert len(channel) == 1
    (one,) = channel.values()
    assert len(one._heard) == 2
    assert not one._waiting


async def test_a_name_that_does_not_exist_is_a_fault_and_no_hop(context: Context) -> None:
    (summary,) = await run("traceroute", "nowhere.invalid", context)
    assert summary.fields["up"] == 0
    assert summary.fields["error"] in {Fault.NO_SUCH_NAME, Fault.RESOLVER_FAILURE}


async def test_hops_have_the_names_and_places_of_the_configured_files(tmp_path: Path) -> None:
    asn = {"127.0.0.0/8": {"autonomous_system_number": 64500, "autonomous_system_organization": "Here"}}
    city = {"127.0.0.0/8": {"country": {"iso_code": "DE"}, "location": {"latitude": 52.5, "longitude": 13.4}}}
    names = PlaceNames(write_mmdb(tmp_path / "asn", asn), write_mmdb(tmp_path / "city", city))
    engines = Engines(names)
    summary, hop = await run("traceroute", "127.0.0.1", Context(engines), count=1)
    engines.close()
    assert summary.fields["as_path"] == "64500"
    assert "geographic_efficiency" not in summary.fields
    wanted: Mapping[str, FieldValue] = {
        "asn": 64500,
        "as_name": "Here",
        "country": "DE",
        "latitude": 52.5,
        "longitude": 13.4,
    }
    assert {key: hop.fields[key] for key in wanted} == wanted
    assert "city" not in hop.fields


async def test_the_way_begins_at_the_agents_site(tmp_path: Path) -> None:
    """One degree of longitude on the equator: R · π / 180 with R = 6,371,008.8 m."""
    city = {"127.0.0.0/8": {"location": {"latitude": 0.0, "longitude": 1.0}}}
    names = PlaceNames(city_file=write_mmdb(tmp_path / "city", city))
    names.here = (0.0, 0.0)
    engines = Engines(names)
    summary, _ = await run("traceroute", "127.0.0.1", Context(engines), count=1)
    engines.close()
    assert summary.fields["distance"] == pytest.approx(111_195.08, abs=0.01)
    assert summary.fields["direct_distance"] == summary.fields["distance"]
    assert summary.fields["geographic_efficiency"] == 1.0


async def test_a_site_whose_hops_nobody_knows_says_nothing_of_the_distance() -> None:
    names = PlaceNames()
    names.here = (52.5, 13.4)
    engines = Engines(names)
    summary, _ = await run("traceroute", "127.0.0.1", Context(engines), count=1)
    engines.close()
    assert not {"distance", "direct_distance", "geographic_efficiency"} & summary.fields.keys()


async def test_names_of_hops_are_looked_up_when_asked_for(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def name_answer(query: dns.message.Message) -> dns.message.Message:
        (question,) = query.question
        answer = dns.message.make_response(query)
        answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "PTR", "router.example."))
        return answer

    async with dns_server(name_answer) as port:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
        monkeypatch.setattr(dns.asyncresolver, "default_resolver", resolver)
        _, hop = await run("traceroute", "127.0.0.1", context, names=True, count=1)
    assert hop.fields["name"] == "router.example"


async def test_a_silent_resolver_leaves_names_out(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    async with dns_server(lambda _: None) as port:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
        monkeypatch.setattr(dns.asyncresolver, "default_resolver", resolver)
        summary, hop = await run("traceroute", "127.0.0.1", context, names=True, count=1)
    assert summary.fields["up"] == 1
    assert "name" not in hop.fields


@pytest.mark.parametrize(("target", "header", "largest"), [("127.0.0.1", 20, 65_535), ("::1", 40, 65_536)])
async def test_loopback_takes_the_largest_packets_there_are(
    target: str, header: int, largest: int, context: Context
) -> None:
    (point,) = await run("mtu", target, context)
    assert point.fields["up"] == 1
    assert (point.fields["pmtu"], point.fields["interface_mtu"]) == (largest, 65_536)
    assert point.fields["tcp_mss"] == largest - header - 20
    assert point.fields["black_hole"] == 0
    assert "limiting_hop" not in point.fields


def probe_as(privileges: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["setpriv", *privileges, "--", sys.executable, "-m", "streamswarm_cli", "probe", *arguments, "--json"]
    path = os.pathsep.join(str(ROOT / folder) for folder in ("agent", "cli", "core"))
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
        env={**os.environ, "PYTHONPATH": path},
    )


needs_root = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")


@needs_root
@pytest.mark.parametrize("probe", ["traceroute", "mtu"])
def test_the_capability_for_raw_packets_is_all_that_is_needed(probe: str) -> None:
    only_raw = ["--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw"]
    done = probe_as(only_raw, probe, "127.0.0.1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[0])["fields"]["up"] == 1


@needs_root
@pytest.mark.parametrize("probe", ["traceroute", "mtu"])
def test_without_it_the_fault_says_what_to_do(probe: str) -> None:
    done = probe_as(["--bounding-set=-net_raw", "--inh-caps=-net_raw"], probe, "127.0.0.1")
    assert done.returncode == 1, done.stderr
    fields = json.loads(done.stdout.splitlines()[0])["fields"]
    assert (fields["up"], fields["error"]) == (0, Fault.PERMISSION)
    assert "CAP_NET_RAW" in fields["error_detail"]
