import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.net.bulk.transfer import Look
from streamswarm_agent.net.bulk.window import WindowSummary, summarise
from streamswarm_agent.probes import PROBES, Context
from streamswarm_agent.probes.tcp_window_bottleneck import diagnose
from streamswarm_core.catalogue.tcp import Bottleneck
from streamswarm_core.point import Point
from streamswarm_core.probespecs import TcpWindowParams
from streamswarm_core.tcpinfo import TcpInfo, read_tcp_info
from tests.support import figures, find_free_port
from tests.unit.agent.servers import response, tcp_server


async def run(target: str, context: Context, **options: object) -> tuple[Point, list[Point]]:
    whole, *course = await PROBES["tcp_window"].run(target, TcpWindowParams.model_validate(options), context)
    return whole, course


async def discard(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass


def serving(answer: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return serve


async def take_no_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a little, then reset."""
    await reader.readexactly(20_000)
    opened: socket.socket = writer.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", "ipv4"), ("::1", "ipv6")])
async def test_an_upload_is_measured_and_its_course_written(host: str, family: str, context: Context) -> None:
    async with tcp_server(discard, host) as target:
        whole, course = await run(target, context, max_bytes=3_000_000, sample_interval=0.001, keep_samples=5)
    fields = whole.fields
    numbers = figures(whole)
    assert (whole.tags["family"], whole.tags["direction"]) == (family, "upload")
    assert (fields["up"], fields["size"]) == (1, 3_000_000)
    assert numbers["throughput"] == pytest.approx(3_000_000 / numbers["elapsed"])
    assert 0 < numbers["rtt_min"] <= numbers["rtt_max"]
    assert 0 < numbers["cwnd_min"] <= numbers["cwnd_mean"] <= numbers["cwnd_max"]
    for ratio in ("busy", "receiver_limited", "sender_limited", "retransmission_rate", "efficiency"):
        assert 0 <= numbers[ratio] <= 1, ratio
    assert fields["bottleneck"] in set(Bottleneck)
    assert 1 <= len(course) <= 5
    assert course[-1].fields["transferred"] == 3_000_000
    times = [point.time_ns for point in course]
    assert times == sorted(times, key=lambda time: time or 0)


async def test_the_congestion_control_can_be_chosen_and_an_unknown_one_says_so(context: Context) -> None:
    async with tcp_server(discard) as target:
        chosen, _ = await run(target, context, congestion_control="reno")
        unknown, _ = await run(target, context, congestion_control="no_such_thing")
    assert (chosen.fields["up"], chosen.fields["congestion_control"]) == (1, "reno")
    assert (unknown.fields["up"], unknown.fields["error"]) == (0, Fault.BAD_TARGET)
    assert "tcp_allowed_congestion_control" in str(unknown.fields["error_detail"])


async def test_the_course_may_be_left_out(context: Context) -> None:
    async with tcp_server(discard) as target:
        whole, course = await run(target, context, keep_samples=0)
    assert (whole.fields["up"], course) == (1, [])


async def test_a_pace_that_was_asked_for_is_kept_and_named_as_the_limit(context: Context) -> None:
    async with tcp_server(discard) as target:
        whole, _ = await run(target, context, max_bytes=1_500_000, rate=1_000_000)
    # The kernel lets some segments (of 32 kB on loopback) go at once before it starts to pace.
    assert figures(whole)["throughput"] < 2_500_000
    assert whole.fields["bottleneck"] == Bottleneck.SENDER_LIMITED
    assert "of the pace that was asked for" in str(whole.fields["analysis"])


async def test_time_running_out_is_no_fault_and_what_is_left_is_thrown_away(context: Context) -> None:
    arrived = 0
    gone = asyncio.Event()

    async def count(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        try:
            while chunk := await reader.read(65_536):
                arrived += len(chunk)
        finally:
            gone.set()

    async with tcp_server(count) as target:
        whole, _ = await run(target, context, max_bytes=1_000_000, max_seconds=0.3, rate=500_000)
        async with asyncio.timeout(10):
            await gone.wait()
    assert whole.fields["up"] == 1
    assert figures(whole)["elapsed"] >= 0.3
    assert figures(whole)["size"] < 1_000_000
    assert arrived < 1_000_000


async def test_a_receiver_that_reads_nothing_is_the_limit(context: Context) -> None:
    # Accepted by the kernel, but no program reads.
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        target = f"127.0.0.1:{deaf.getsockname()[1]}"
        whole, _ = await run(target, context, max_bytes=50_000_000, max_seconds=0.5)
    assert whole.fields["up"] == 1
    assert figures(whole)["size"] < 50_000_000
    assert whole.fields["bottleneck"] == Bottleneck.RECEIVER_LIMITED


async def test_a_connection_that_breaks_under_way_is_down_but_described(context: Context) -> None:
    async with tcp_server(take_no_more) as target:
        whole, _ = await run(target, context, rate=1_000_000)
    assert (whole.fields["up"], whole.fields["error"]) == (0, Fault.RESET)
    assert "cwnd_max" in whole.fields
    assert "bottleneck" not in whole.fields


async def test_a_closed_port_is_refused(context: Context) -> None:
    whole, course = await run(f"127.0.0.1:{find_free_port()}", context)
    assert (whole.fields["up"], whole.fields["error"], course) == (0, Fault.REFUSED, [])


@pytest.mark.parametrize(
    "target", ["host", "https://127.0.0.1/", "http:///x", "http://127.0.0.1:99999/", "http://a/b c"]
)
async def test_a_target_that_can_not_be_used_says_what_can(target: str, context: Context) -> None:
    whole, _ = await run(target, context)
    assert (whole.fields["up"], whole.fields["error"]) == (0, Fault.BAD_TARGET)
    assert target in str(whole.fields["error_detail"])


async def test_a_download_shows_the_receivers_side_and_names_no_bottleneck(context: Context) -> None:
    body = b"x" * 500_000
    async with tcp_server(serving(response(200, body))) as target:
        whole, course = await run(f"http://{target}/big", context)
    assert (whole.fields["up"], whole.tags["direction"]) == (1, "download")
    assert figures(whole)["size"] > 500_000
    assert "bottleneck" not in whole.fields
    assert "cwnd_mean" not in whole.fields
    assert "cwnd" not in course[-1].fields


async def test_a_download_stops_at_its_bytes(context: Context) -> None:
    async with tcp_server(serving(response(200, b"x" * 5_000_000))) as target:
        whole, _ = await run(f"http://{target}/big", context, max_bytes=100_000)
    assert 100_000 <= figures(whole)["size"] < 200_000


async def test_an_upload_by_put_is_taken_whole(context: Context) -> None:
    taken = b""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = re.findall(rb"Content-Length: (\d+)", head)
        taken = await reader.readexactly(int(length))
        writer.write(response(201))

    async with tcp_server(take) as target:
        whole, _ = await run(f"http://{target}/upload?x=1", context, method="PUT", max_bytes=300_000)
    assert (whole.fields["up"], whole.tags["direction"], len(taken)) == (1, "upload", 300_000)
    assert "bottleneck" in whole.fields


@pytest.mark.parametrize(
    ("answer", "error"), [(response(404), Fault.UNEXPECTED_ANSWER), (b"220 smtp\r\n", Fault.PROTOCOL)]
)
async def test_an_answer_that_is_no_success_is_down(answer: bytes, error: Fault, context: Context) -> None:
    async with tcp_server(serving(answer)) as target:
        whole, _ = await run(f"http://{target}/big", context)
    assert (whole.fields["up"], whole.fields["error"]) == (0, error)


async def test_a_server_that_answers_nothing_is_a_timeout_or_a_reset_and_no_protocol(context: Context) -> None:
    async with tcp_server(serving(b"")) as target:
        closed, _ = await run(f"http://{target}/", context)
    async with tcp_server(discard) as target:
        silent, _ = await run(f"http://{target}/", context, max_seconds=0.2)
    assert (closed.fields["error"], silent.fields["error"]) == (Fault.RESET, Fault.TIMEOUT)
    assert silent.fields["error_detail"] == "no answer came within 0.2 s"


# The decision


SMOOTH = WindowSummary(
    transferred=2_000_000,
    elapsed=1.0,
    rtt_min=0.04,
    rtt_mean=0.0404,
    rtt_max=0.042,
    rtt_variation=0.0004,
    cwnd_min=14_600.0,
    cwnd_mean=400_000.0,
    cwnd_max=900_000.0,
    ssthresh_mean=None,
    congestion_events=0,
    retransmits=0,
    retransmission_rate=0.0,
    spurious=0.0,
    reorderings=0,
    reordering_rate=0.0,
    delivery_rate=3_000_000,
    busy=1.0,
    rwnd_limited=0.0,
    receiver_bound=0.0,
    sndbuf_limited=0.0,
    app_limited=0.1,
    paced=None,
    unevenness=0.6,
    efficiency=0.9,
)


@pytest.mark.parametrize(
    ("upload", "bottleneck", "words"),
    [
        (SMOOTH, Bottleneck.OPTIMAL, "no limit was met"),
        (replace(SMOOTH, paced=0.97), Bottleneck.SENDER_LIMITED, "97% of the pace"),
        (replace(SMOOTH, busy=0.4), Bottleneck.SENDER_LIMITED, "60% of the time there was nothing to send"),
        (replace(SMOOTH, sndbuf_limited=0.5), Bottleneck.SENDER_LIMITED, "50% the send buffer was too small"),
        (replace(SMOOTH, app_limited=0.9), Bottleneck.SENDER_LIMITED, "90% of the looks"),
        (replace(SMOOTH, receiver_bound=0.9, rtt_mean=0.09), Bottleneck.RECEIVER_LIMITED, "full in 90% of the looks"),
        (
            replace(SMOOTH, rtt_mean=0.08, unevenness=0.02),
            Bottleneck.NETWORK_CONGESTION,
            r"2\.00 times the least \(40\.0 ms\)",
        ),
        (
            replace(SMOOTH, rtt_mean=0.08, unevenness=0.02, retransmission_rate=0.03),
            Bottleneck.NETWORK_CONGESTION,
            r"3\.00% of the bytes",
        ),
        (replace(SMOOTH, rtt_mean=0.08), Bottleneck.INSTABILITY, "in bursts"),
        (replace(SMOOTH, reordering_rate=0.05, reorderings=70), Bottleneck.INSTABILITY, "overtook others 70 times"),
        (replace(SMOOTH, retransmission_rate=0.01), Bottleneck.PACKET_LOSS, "although nothing queued"),
        # What the peer says it had already was not lost.
        (replace(SMOOTH, retransmission_rate=0.01, spurious=1.0), Bottleneck.OPTIMAL, "no limit"),
    ],
)
def test_a_bottleneck_follows_from_the_figures_and_says_why(
    upload: WindowSummary, bottleneck: Bottleneck, words: str
) -> None:
    diagnosis = diagnose(upload)
    assert diagnosis.bottleneck == bottleneck
    assert re.search(words, diagnosis.analysis), diagnosis.analysis


# The summary


def looks(*, windows: list[int], delivered: list[int], states: list[int] | None = None) -> list[Look]:
    """One look a second over a path of 1 s, segments of 1,000 bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as one:
        info = read_tcp_info(one)
    assert isinstance(info, TcpInfo)
    states = states or [0] * len(windows)
    return [
        Look(
            float(second),
            second,
            arrived * 1000,
            replace(
                info,
                mss=1000,
                cwnd=window,
                snd_wnd=10**9,
                min_rtt=1.0,
                delivered=arrived,
                ca_state=state,
                ssthresh=None,
            ),
        )
        for second, (window, arrived, state) in enumerate(zip(windows, delivered, states, strict=True))
    ]


def test_a_window_that_is_used_whole_has_efficiency_one() -> None:
    # 10 segments a second are let through and 10 arrive, a round trip later.
    assert summarise(looks(windows=[10] * 5, delivered=[0, 10, 20, 30, 40])).efficiency == 1.0


def test_a_window_of_which_half_is_used_has_efficiency_a_half() -> None:
    # Let through from 0 s to 4 s (the rest can't be back): 40 segments; arrived: 20.
    assert summarise(looks(windows=[10] * 6, delivered=[0, 4, 8, 12, 16, 20])).efficiency == pytest.approx(0.5)


def test_an_even_delivery_has_no_unevenness_and_bursts_have_some() -> None:
    even = summarise(looks(windows=[10] * 11, delivered=list(range(0, 110, 10)))).unevenness
    bursts = summarise(looks(windows=[10] * 11, delivered=[0, 0, 20, 20, 40, 40, 60, 60, 80, 80, 100])).unevenness
    assert even == pytest.approx(0.0, abs=1e-9)
    assert bursts is not None
    assert bursts > 0.7


def test_each_entry_into_recovery_is_one_congestion_event() -> None:
    summary = summarise(looks(windows=[10] * 6, delivered=[0, 1, 2, 3, 4, 5], states=[0, 3, 3, 0, 4, 0]))
    assert summary.congestion_events == 2


def test_one_look_is_too_few() -> None:
    with pytest.raises(ValueError, match="two looks"):
        summarise(looks(windows=[10], delivered=[0]))
