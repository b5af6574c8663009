import asyncio
import logging
import socket
import statistics
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.faults import Fault
from streamswarm_agent.net.echochannel import EchoChannel, new_reader
from streamswarm_agent.net.echoflight import Flight, Flights
from streamswarm_agent.net.echorequests import Echoes
from streamswarm_agent.net.echorun import EchoHistory, EchoRun, carry_jitter, percentiles_of, summarise
from streamswarm_agent.net.icmp import IcmpEngine
from streamswarm_agent.net.icmppacket import ECHO, ECHO_REQUEST, EchoTemplate, internet_checksum, read_quoted
from streamswarm_agent.net.icmpsocket import open_echo_socket
from streamswarm_agent.net.targets import Address
from streamswarm_agent.probes import PROBES, Context
from streamswarm_agent.probes.direct import Outcome
from streamswarm_agent.probes.icmp import IcmpProbe
from streamswarm_core.lineprotocol import parse_line
from streamswarm_core.point import Point
from streamswarm_core.probespecs import Family, IcmpParams
from streamswarm_core.sketch import Sketch

V4 = Address(socket.AF_INET, ("127.0.0.1", 0), None)
V6 = Address(socket.AF_INET6, ("::1", 0, 0, 0), None)


async def ping(target: str, context: Context, **options: object) -> Point:
    point, *_ = await PROBES["icmp"].run(target, IcmpParams.model_validate(options), context)
    return point


# On loopback


@pytest.mark.parametrize(("target", "family"), [("127.0.0.1", "ipv4"), ("::1", "ipv6")])
@pytest.mark.parametrize("options", [{}, {"dscp": 46, "ttl": 3}, {"df": True, "source": "lo"}, {"size": 16}])
async def test_a_ping_of_this_host_is_answered(
    target: str, family: str, options: dict[str, object], context: Context
) -> None:
    point = await ping(target, context, count=3, spacing=0.01, **options)
    assert (point.tags["family"], point.fields["up"], point.fields["loss"]) == (family, 1, 0.0)
    assert point.fields["received"] == point.fields["sent"] == 3
    assert point.fields["ttl"] == 64
    times = [point.fields[f"rtt_{name}"] for name in ("min", "mean", "max")]
    assert times == sorted(times)
    assert times[0] <= point.fields["rtt_p50"] <= times[2]
    assert times[0] > 0


async def test_many_pings_at_once_do_not_take_each_others_replies(context: Context) -> None:
    targets = [f"127.0.0.{number}" for number in range(1, 60)]
    points = await asyncio.gather(*(ping(target, context, count=4, spacing=0.01) for target in targets))
    assert all(point.fields["received"] == 4 for point in points)
    assert all(point.fields["duplicates"] == point.fields["reordered"] == 0 for point in points)


async def test_two_thousand_targets_due_together_lose_nothing(context: Context) -> None:
    addresses = [Address(socket.AF_INET, (f"127.1.{n >> 8}.{n & 255}", 0), None) for n in range(1, 2001)]
    runs = await asyncio.gather(
        *(context.icmp.echo(address, count=1, spacing=1, wait=10, size=1400) for address in addresses)
    )
    assert [run.loss for run in runs] == [0.0] * 2000


async def test_the_distribution_of_a_run_holds_its_round_trip_times(context: Context) -> None:
    point, distribution = await PROBES["icmp"].run("127.0.0.1", IcmpParams(count=5, spacing=0.01), context)
    sketch = Sketch.from_fields(distribution.fields)
    assert (sketch.count, sketch.mean) == (5, pytest.approx(point.fields["rtt_mean"], abs=1e-9))
    assert distribution.tags == point.tags
    assert distribution.time_ns == point.time_ns


async def test_runs_that_are_close_together_share_a_point_of_the_distribution(context: Context) -> None:
    now = [1000.0]
    context.monotonic = lambda: now[0]
    written = []
    for seconds in (1000.0, 1004.0, 1009.9, 1010.0, 1011.0):
        now[0] = seconds
        _, *distribution = await PROBES["icmp"].run("127.0.0.1", IcmpParams(count=2, spacing=0.01), context)
        written.append([point.fields["count"] for point in distribution])
    assert written == [[2], [], [], [6], []]


async def test_a_target_that_does_not_answer_is_down_with_full_loss_and_without_a_distribution(
    context: Context,
) -> None:
    (point,) = await PROBES["icmp"].run("nowhere.invalid", IcmpParams(), context)
    assert (point.fields["up"], point.fields["loss"]) == (0, 1.0)
    assert point.fields["error"] in {Fault.NO_SUCH_NAME, Fault.RESOLVER_FAILURE}
    assert "rtt_mean" not in point.fields


@pytest.mark.parametrize(
    ("target", "source", "words"),
    [
        ("127.0.0.1", "nosuchif0", "No such device"),
        ("127.0.0.1", "192.0.2.9", "Cannot assign requested address"),
        ("127.0.0.1", "::1", "not of the target's IP version"),
        ("::1", "2001:db8::9", "Cannot assign requested address"),
    ],
)
async def test_a_source_that_this_host_does_not_have_is_said_to_be_wrong(
    target: str, source: str, words: str, context: Context
) -> None:
    point = await ping(target, context, source=source, count=1)
    assert (point.fields["up"], point.fields["error"], point.fields["sent"]) == (0, Fault.BAD_TARGET, 0)
    assert words in str(point.fields["error_detail"])


async def read_directly(target: str, context: Context, **options: object) -> Outcome:
    direct = IcmpProbe().direct(target, IcmpParams.model_validate(options), context, {"test": "t"})
    assert direct is not None
    done = asyncio.get_running_loop().create_future()
    direct.start(done.set_result)
    return direct.read(await done)


@pytest.mark.parametrize("options", [{"count": 1}, {"count": 10, "spacing": 0.01}, {"source": "nosuchif0"}])
async def test_a_run_without_a_task_says_the_same_as_one_with_a_task(
    options: dict[str, object], context: Context
) -> None:
    reading = await read_directly("127.0.0.1", context, **options)
    (with_task, *distribution) = await PROBES["icmp"].run(
        "127.0.0.1", IcmpParams.model_validate(options), Context(context.engines)
    )
    point = reading.point()
    assert point.tags.items() >= {"test": "t", "target": "127.0.0.1", "family": "ipv4"}.items()
    measured = {"duration", "rtt_min", "rtt_mean", "rtt_max", "rtt_stddev", "rtt_p50", "rtt_p90", "jitter"}
    assert set(point.fields) == set(with_task.fields)
    assert {name: value for name, value in point.fields.items() if name not in measured} == {
        name: value for name, value in with_task.fields.items() if name not in measured
    }
    assert [one.fields["count"] for one in reading.more] == [one.fields["count"] for one in distribution]
    assert parse_line(reading.line()) == point


@pytest.mark.parametrize("count", [1, 4, 10])
async def test_a_run_that_was_answered_is_written_as_the_fields_of_one_with_a_task_are(
    count: int, context: Context
) -> None:
    options = {"count": count, "spacing": 0.01}
    with_task = [await ping("127.0.0.1", context, **options) for _ in range(2)][1]
    outcomes = [await read_directly("127.0.0.1", context, **options) for _ in range(3)]
    for number, outcome in enumerate(outcomes, 1):
        outcome.number = number
        fields = outcome.point().fields
        assert parse_line(outcome.line()) == outcome.point()
        assert [*fields] == [*with_task.fields, "seq"]
        assert list(map(type, fields.values())) == [*map(type, with_task.fields.values()), int]
        assert (fields["seq"], outcome.problem) == (number, "")
        assert 0 < fields["rtt_min"] <= fields["rtt_mean"] <= fields["rtt_max"] < fields["duration"]
        assert fields["rtt_stddev"] == 0.0 or count > 1


async def test_a_late_reply_is_told_by_the_next_run_also_if_that_has_one_reply(context: Context) -> None:
    await ping("127.0.0.1", context, count=1)
    await ping("127.0.0.1", context, count=1)
    context.memory["icmp"].history.late = 2
    told = [(await read_directly("127.0.0.1", context, count=1)).point().fields["late"] for _ in range(2)]
    assert told == [2, 0]


async def test_a_run_without_a_task_that_is_stopped_is_not_reported(context: Context) -> None:
    direct = IcmpProbe().direct("127.0.0.1", IcmpParams(count=2, spacing=0.01), context, {})
    assert direct is not None
    reported: list[object] = []
    direct.start(reported.append)
    direct.stop()
    assert (await read_directly("127.0.0.1", context, count=4, spacing=0.01)).point().fields["received"] == 4
    assert not reported


def test_a_name_needs_a_task_to_be_looked_up(context: Context) -> None:
    for target in ("localhost", "nowhere.invalid"):
        assert IcmpProbe().direct(target, IcmpParams(), context, {}) is None
    assert IcmpProbe().direct("::1", IcmpParams(family=Family.IPV4), context, {}) is None


async def test_numbers_and_sequence_numbers_wrap_around(context: Context) -> None:
    for start in (0xFFFF - 2, 2**32 - 3):
        context.icmp._flights._next_number = start
        for address in (V4, V6):
            run = await context.icmp.echo(address, count=6, spacing=0.001, wait=5, size=56)
            assert len(run.received) == 6


async def test_runs_that_have_ended_are_not_kept_until_their_wait_is_over(context: Context) -> None:
    for _ in range(3):
        await asyncio.gather(*(context.icmp.echo(V4, count=1, spacing=1, wait=30, size=56) for _ in range(1000)))
    await context.icmp.echo(V4, count=2, spacing=0.01, wait=30, size=56)
    assert context.icmp._waiting <= 1002


async def test_a_cancelled_run_leaves_the_others_alone(context: Context) -> None:
    other = asyncio.create_task(context.icmp.echo(V4, count=5, spacing=0.02, wait=5, size=56))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.03):
            await context.icmp.echo(V4, count=100, spacing=1, wait=5, size=56)
    assert len((await other).received) == 5


async def test_a_step_of_the_wall_clock_does_not_show_in_round_trip_times(caplog: pytest.LogCaptureFixture) -> None:
    # The kernel's stamps can't be set forward, so this clock runs behind first and then agrees with them.
    step = [-3600 * 10**9]
    engine = IcmpEngine(wall_ns=lambda: time.time_ns() + step[0])
    loop = asyncio.get_running_loop()
    loop.call_later(0.05, step.__setitem__, 0, 0)
    with caplog.at_level(logging.INFO):
        run = await engine.echo(V4, count=10, spacing=0.02, wait=5, size=56)
    engine.close()
    assert len(run.received) == 10
    assert "set by +3600" in caplog.text
    assert max(run.received) < 5


async def test_a_socket_is_not_woken_by_other_programs_pings() -> None:
    family, secret = socket.AF_INET, b"secretly"
    ours, theirs = open_echo_socket(family, 7000), open_echo_socket(family, 7001)
    with ours.handle, theirs.handle:
        for opened, number in ((theirs, 1), (ours, 2), (theirs, 3)):
            opened.handle.sendto(EchoTemplate(family, opened.identifier, secret, 56).fill(number), ("127.0.0.1", 0))
        # On loopback the replies are there when sendto returns.
        message = ours.handle.recv(2000)[20 * ours.raw :]
        assert ECHO.unpack_from(message)[4] == 2
        with pytest.raises(BlockingIOError):
            ours.handle.recv(2000)


# What comes back, and when


async def flight_of(flights: Flights, count: int, *, history: EchoHistory | None = None, wait: float = 1.0) -> Flight:
    """A flight whose requests left one millisecond after the other, from 1 s on."""
    channel = EchoChannel(flights, new_reader(), socket.AF_INET, df=False)
    channel.close()
    echoes = Echoes(V4, count, spacing=0.001, wait=wait, size=56)
    first = flights.take_numbers(count)
    flight = Flight(echoes, channel, history or EchoHistory(), first, lambda _flight: None)
    for index in range(count):
        flight.sent.append(10**9 + index * 10**6)
        flights.pending[flight.first + index] = flight
    flight.next = flight.taken = count
    return flight


def reply(flights: Flights, flight: Flight, index: int, after_ms: float) -> None:
    received = flight.sent[index] + round(after_ms * 1e6)
    flights.answer(flight.first + index, received, received + 10, 60)


async def test_a_duplicate_is_counted_and_changes_no_round_trip_time() -> None:
    flights = Flights()
    flight = await flight_of(flights, 2)
    reply(flights, flight, 0, 10)
    reply(flights, flight, 0, 400)
    reply(flights, flight, 1, 20)
    run = flight.result()
    assert (run.rtts, run.duplicates, run.loss) == ([0.01, 0.02], 1, 0.0)


async def test_a_reply_after_the_wait_is_late_and_its_request_stays_lost() -> None:
    flights = Flights()
    flight = await flight_of(flights, 2, wait=0.5)
    reply(flights, flight, 0, 500.001)
    reply(flights, flight, 0, 501)
    reply(flights, flight, 1, 500)
    run = flight.result()
    assert (run.rtts, run.late, run.duplicates, run.loss) == ([None, 0.5], 1, 1, 0.5)


async def test_replies_to_a_run_that_has_ended_are_told_by_the_next_one() -> None:
    flights, history = Flights(), EchoHistory()
    first = await flight_of(flights, 2, history=history)
    reply(flights, first, 0, 10)
    flights.finish(first)
    assert (first.result().loss, first.result().late) == (0.5, 0)
    reply(flights, first, 0, 1500)
    reply(flights, first, 1, 1500)
    reply(flights, first, 1, 1600)
    second = await flight_of(flights, 1, history=history)
    reply(flights, second, 0, 10)
    run = second.result()
    assert (run.rtts, run.late, run.duplicates) == ([0.01], 1, 2)
    assert (history.late, history.duplicates) == (0, 0)


async def test_a_reply_that_a_later_one_has_overtaken_is_reordered() -> None:
    flights = Flights()
    flight = await flight_of(flights, 4)
    for index, after in ((0, 1), (3, 1), (1, 9), (2, 9)):
        reply(flights, flight, index, after)
    assert flight.result().reordered == 2


async def test_requests_of_long_ended_flights_are_forgotten() -> None:
    flights = Flights()
    complete, lossy = await flight_of(flights, 3), await flight_of(flights, 3)
    for index in range(3):
        reply(flights, complete, index, 1)
    flights.finish(lossy)
    flights.forget_ended(time.monotonic() + 5)
    assert set(flights.pending.values()) == {lossy}
    flights.forget_ended(time.monotonic() + 60)
    assert not flights.pending


async def test_the_newest_request_with_a_sequence_number_is_found_behind_a_wrap() -> None:
    flights = Flights()
    flights._next_number = 0x2FFFE
    first = flights.take_numbers(4)
    assert [flights.newest_of((first + index) & 0xFFFF) for index in range(4)] == [0x2FFFE, 0x2FFFF, 0x30000, 0x30001]


# Packets


@pytest.mark.parametrize("size", [16, 17, 56, 1400])
def test_every_request_of_a_size_has_the_same_and_right_checksum(size: int) -> None:
    template = EchoTemplate(socket.AF_INET, 0xBEEF, b"secretly", size)
    packets = [bytes(template.fill(number)) for number in (0, 1, 0xFFFF, 0x10000, 0xABCD1234, 2**32 - 1)]
    assert {packet[2:4] for packet in packets} == {packets[0][2:4]}
    assert {internet_checksum(packet) for packet in packets} == {0}
    assert len(set(packets)) == len(packets)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("kept", [8, 23, 24, 64])
def test_a_quoted_request_is_known_by_its_number_or_at_least_its_sequence(
    family: socket.AddressFamily, kept: int
) -> None:
    request = bytes(EchoTemplate(family, 77, b"secretly", 56).fill(0x00030005))[:kept]
    header = (
        struct.pack("!B8xB10x", 0x45, socket.IPPROTO_ICMP)
        if family == socket.AF_INET
        else struct.pack("!B5xB33x", 0x60, socket.IPPROTO_ICMPV6)
    )
    found = read_quoted(family, memoryview(header + request), b"secretly")
    assert found is not None
    assert (found.identifier, found.sequence) == (77, 5)
    assert found.number == (0x00030005 if kept >= 24 else None)


@pytest.mark.parametrize(
    "quoted", [b"", b"\x45", b"\x45" + bytes(40), struct.pack("!B8xB10xBBHHH", 0x45, 1, 0, 0, 0, 7, 7)]
)
def test_what_is_no_echo_request_is_not_taken_for_one(quoted: bytes) -> None:
    assert read_quoted(socket.AF_INET, memoryview(quoted), b"secretly") is None
    assert ECHO_REQUEST[socket.AF_INET] == 8


# Statistics


def test_jitter_follows_rfc_3550_and_goes_on_from_run_to_run() -> None:
    # Worked by hand: D = 0.016, 0.016, 0; J = 0.001, 0.0019375, 0.00181640625.
    assert carry_jitter(EchoHistory(), [0.010, 0.026, 0.010, 0.010]) == pytest.approx(0.00181640625)
    history = EchoHistory()
    assert carry_jitter(history, [0.010]) is None
    assert carry_jitter(history, [0.026]) == pytest.approx(0.001)
    assert carry_jitter(history, []) is None
    assert carry_jitter(history, [0.010, 0.010]) == pytest.approx(0.00181640625)


def test_loss_mean_and_deviation_are_of_what_was_received() -> None:
    run = EchoRun(rtts=[0.010, None, 0.030, 0.020, None], sent=5)
    assert run.loss == pytest.approx(0.4)
    minimum, mean, maximum, deviation, median = summarise([round(rtt * 1e9) for rtt in run.received])
    assert (minimum, mean, maximum, median) == (10_000_000, 20_000_000, 30_000_000, 20_000_000)
    assert deviation / 1e9 == pytest.approx((2e-4 / 3) ** 0.5)
    nothing = EchoRun(rtts=[None], sent=1)
    assert (nothing.received, nothing.loss) == ([], 1.0)


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=100))
def test_a_summary_is_what_the_statistics_module_says(rtts: list[int]) -> None:
    minimum, mean, maximum, deviation, *percentiles = summarise(rtts)
    assert (minimum, maximum) == (min(rtts), max(rtts))
    assert abs(mean - statistics.fmean(rtts)) <= 0.5
    assert deviation == pytest.approx(statistics.pstdev(rtts), abs=1)
    assert all(one in rtts for one in percentiles)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (1, {}),
        (2, {}),
        (3, {0.5: 2}),
        (9, {0.5: 5}),
        (10, {0.5: 5, 0.9: 9}),
        (20, {0.5: 10, 0.9: 18, 0.95: 19}),
        (100, {0.5: 50, 0.9: 90, 0.95: 95, 0.99: 99}),
    ],
)
def test_percentiles_are_absent_where_the_samples_do_not_suffice(samples: int, expected: dict[float, int]) -> None:
    percentiles = summarise(range(samples, 0, -1))[4:]
    assert dict(zip((share for share, _ in percentiles_of(samples)), percentiles, strict=True)) == expected
