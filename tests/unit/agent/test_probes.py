from pathlib import Path

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes import PROBES, Context
from streamswarm_core.hostport import host_port
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SPECS, SystemParams
from tests.support import figures, find_free_port
from tests.unit.agent.running import run
from tests.unit.agent.servers import (
    address_answer,
    dns_server,
    http_server,
    no_such_name,
    response,
    self_signed,
    silent_server,
)

DAY = 86_400


def test_every_described_probe_is_there_and_no_other() -> None:
    assert set(PROBES) == set(SPECS)


# TCP


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_listening_port_is_up_with_the_kernels_round_trip_time(host: str, context: Context) -> None:
    async with http_server(response(200), host=host) as port:
        target = host_port(host, port)
        point = await run("tcp", target, context)
    assert point.fields["up"] == 1
    assert 0 < figures(point)["connect"] < 1
    assert 0 < figures(point)["syn_ack"] < 1
    assert "resolve" not in point.fields


async def test_a_closed_port_is_refused(context: Context) -> None:
    point = await run("tcp", f"127.0.0.1:{find_free_port()}", context)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.REFUSED)


@pytest.mark.parametrize("target", ["host", "host:0", "host:99999", "::1:80", ":80", "[::1]"])
async def test_a_target_that_is_no_host_and_port_says_so(target: str, context: Context) -> None:
    point = await run("tcp", target, context)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.BAD_TARGET)
    assert "host:port" in str(point.fields["error_detail"])


# DNS


async def test_an_answer_is_described(context: Context) -> None:
    async with dns_server(address_answer) as port:
        point = await run("dns", "www.example.com", context, server="127.0.0.1", port=port)
    assert (point.fields["up"], point.fields["rcode"], point.fields["answers"]) == (1, "NOERROR", 1)
    assert (point.fields["authoritative"], point.fields["ttl_min"]) == (1, 60.0)
    assert 0 < figures(point)["lookup"] < 1


async def test_an_unexpected_response_code_is_down_but_measured(context: Context) -> None:
    async with dns_server(no_such_name) as port:
        point = await run("dns", "www.example.com", context, server="127.0.0.1", port=port)
        expected = await run(
            "dns", "www.example.com", context, server="127.0.0.1", port=port, expect_rcodes=["NXDOMAIN"]
        )
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.UNEXPECTED_ANSWER)
    assert "lookup" in point.fields
    assert expected.fields["up"] == 1


async def test_a_silent_name_server_times_out(context: Context) -> None:
    async with dns_server(lambda _: None) as port:
        point = await run("dns", "www.example.com", context, server="127.0.0.1", port=port, wait=0.1)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.TIMEOUT)


# HTTP


async def test_the_phases_of_a_plain_request(context: Context) -> None:
    async with http_server(response(200, b"x" * 1000)) as port:
        point = await run("http", f"http://127.0.0.1:{port}/", context)
    assert (point.fields["up"], point.fields["status"], point.fields["body"]) == (1, 200, 1000)
    assert "tls" not in point.fields
    phases = sum(float(point.fields[name]) for name in ("connect", "first_byte", "transfer"))
    assert 0 < phases <= float(point.fields["total"])


async def test_a_status_that_is_not_expected_is_down(context: Context) -> None:
    async with http_server(response(503)) as port:
        point = await run("http", f"http://127.0.0.1:{port}/", context)
        expected = await run("http", f"http://127.0.0.1:{port}/", context, expect_status=[503])
    assert (point.fields["up"], point.fields["error"], point.fields["status"]) == (0, Fault.UNEXPECTED_ANSWER, 503)
    assert expected.fields["up"] == 1


async def test_redirects_are_followed_and_counted(context: Context) -> None:
    async with http_server(response(302, Location="/next"), response(200)) as port:
        point = await run("http", f"http://127.0.0.1:{port}/", context)
    assert (point.fields["up"], point.fields["redirects"], point.fields["status"]) == (1, 1, 200)


async def test_endless_redirects_are_given_up(context: Context) -> None:
    async with http_server(response(302, Location="/again")) as port:
        point = await run("http", f"http://127.0.0.1:{port}/", context, follow_redirects=3)
    assert "more than 3 redirects" in str(point.fields["error_detail"])


async def test_an_untrusted_certificate_is_down_and_its_days_are_known(tmp_path: Path, context: Context) -> None:
    async with http_server(response(200), tls=self_signed(tmp_path, days=20)) as port:
        point = await run("http", f"https://localhost:{port}/", context, family="ipv4")
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.CERTIFICATE)
    assert point.fields["certificate_expires_in"] == pytest.approx(20 * DAY, abs=8640)


async def test_an_expired_certificate_has_negative_days(tmp_path: Path, context: Context) -> None:
    async with http_server(response(200), tls=self_signed(tmp_path, days=-3)) as port:
        point = await run("http", f"https://localhost:{port}/", context, family="ipv4", verify_tls=False)
    assert point.fields["up"] == 1
    assert float(point.fields["tls"]) > 0
    assert point.fields["certificate_expires_in"] == pytest.approx(-3 * DAY, abs=8640)


async def test_something_that_is_not_http_is_a_protocol_fault(context: Context) -> None:
    async with http_server(b"SSH-2.0-hello\r\n\r\n") as port:
        point = await run("http", f"http://127.0.0.1:{port}/", context)
    assert point.fields["error"] == Fault.PROTOCOL


async def test_a_server_that_never_answers_times_out(context: Context) -> None:
    async with silent_server() as port:
        point = await run("http", f"http://127.0.0.1:{port}/", context, wait=0.2)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.TIMEOUT)


@pytest.mark.parametrize("target", ["ftp://x/", "nonsense", "http://", "http://x:99999/"])
async def test_a_target_that_is_no_url_says_so(target: str, context: Context) -> None:
    assert (await run("http", target, context)).fields["error"] == Fault.BAD_TARGET


# The host


async def test_the_host_is_measured_with_rates_from_the_first_run(context: Context) -> None:
    for _ in range(2):
        points = await PROBES["system"].run("", SystemParams(), context)
    by_name: dict[str, list[Point]] = {}
    for point in points:
        by_name.setdefault(point.measurement, []).append(point)
    assert {"host_cpu", "host_memory", "host_net", "host_process"} <= set(by_name)
    cpu = by_name["host_cpu"][0].fields
    assert 0 <= float(cpu["usage"]) <= 1
    assert float(cpu["uptime"]) > 0
    loopback = next(point for point in by_name["host_net"] if point.tags["interface"] == "lo")
    assert float(loopback.fields["received"]) >= 0
