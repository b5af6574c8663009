import asyncio
import logging
import socket
import time
from itertools import pairwise

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.net.icmp.engine import IcmpEngine
from streamswarm_agent.net.icmp.flight import Flight
from streamswarm_agent.net.icmp.packet import ECHO, EchoTemplate, new_secret
from streamswarm_agent.net.icmp.requests import Echoes
from streamswarm_agent.net.icmp.run import EchoHistory
from streamswarm_agent.net.icmp.sockets import EchoSocket, open_echo_socket
from streamswarm_agent.net.targets import Address
from streamswarm_agent.probes import PROBES, Context
from streamswarm_agent.probes.direct import DirectRun, Outcome
from streamswarm_agent.probes.icmp import IcmpProbe
from streamswarm_agent.probes.icmp_direct import NamedPings
from streamswarm_core.lineprotocol import parse_line
from streamswarm_core.point import Point
from streamswarm_core.probespecs import Family, IcmpParams
from streamswarm_core.sketch import Sketch
from tests.support import figures, until

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
    numbers = figures(point)
    assert 0 < numbers["rtt_min"] <= numbers["rtt_mean"] <= numbers["rtt_max"]
    assert numbers["rtt_min"] <= numbers["rtt_p50"] <= numbers["rtt_max"]


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


async def test_what_one_call_cannot_send_keeps_nothing_else_from_leaving(context: Context) -> None:
    # Due together: sizes that differ, a class of its own, and a broadcast, which the kernel refuses.
    options = [("127.0.0.1", 56, 0), ("127.0.0.2", 56, 0), ("255.255.255.255", 56, 0), ("127.0.0.3", 56, 46)]
    options += [("127.0.0.4", 1400, 0), ("127.0.0.5", 56, 0), ("127.0.0.6", 40_000, 0), ("127.0.0.7", 40_000, 0)]
    runs = await asyncio.gather(
        *(
            context.icmp.echo(
                Address(socket.AF_INET, (host, 0), None), count=2, spacing=0.01, wait=5, size=size, dscp=dscp
            )
            for host, size, dscp in options
        )
    )
    answered = {host: (run.sent, len(run.received)) for (host, _, _), run in zip(options, runs, strict=True)}
    refused = answered.pop("255.255.255.255")
    assert set(answered.values()) == {(2, 2)}
    assert refused == (0, 0)
    assert runs[2].fault is not None
    assert runs[2].fault.fault is Fault.PERMISSION


async def test_without_transmit_timestamps_requests_of_one_call_left_one_after_the_other(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EchoSocket, "restart_stamps", lambda _self: False)
    echoes = [Echoes(Address(socket.AF_INET, (f"127.0.0.{last}", 0), None), 1, 1, 5, 56) for last in range(1, 21)]
    ended: list[Flight] = []
    before_ns = time.time_ns()
    flights = [context.icmp.launch(one, EchoHistory(), ended.append) for one in echoes]
    await until(lambda: len(ended) == len(flights))
    left = [flight.sent[0] for flight in flights]
    assert before_ns <= left[0] < left[-1] <= time.time_ns()
    assert len({later - earlier for earlier, later in pairwise(left)}) == 1
    assert all(flight.rtts[0] >= 0 for flight in flights)


async def test_the_distribution_of_a_run_holds_its_round_trip_times(context: Context) -> None:
    point, distribution = await PROBES["icmp"].run("127.0.0.1", IcmpParams(count=5, spacing=0.01), context)
    sketch = Sketch.from_fields(distribution.fields)
    assert sketch.count == 5
    assert sketch.mean == pytest.approx(point.fields["rtt_mean"], abs=1e-9)
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
    return await run_once(direct)


async def run_once(direct: DirectRun) -> Outcome:
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
        fields, numbers = outcome.point().fields, figures(outcome.point())
        assert parse_line(outcome.line()) == outcome.point()
        assert [*fields] == [*with_task.fields, "seq"]
        assert list(map(type, fields.values())) == [*map(type, with_task.fields.values()), int]
        assert (fields["seq"], outcome.problem) == (number, "")
        assert 0 < numbers["rtt_min"] <= numbers["rtt_mean"] <= numbers["rtt_max"] < numbers["duration"]
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


def test_an_address_of_the_other_family_needs_a_task_to_say_so(context: Context) -> None:
    assert IcmpProbe().direct("::1", IcmpParams(family=Family.IPV4), context, {}) is None


async def test_a_name_is_looked_up_once_a_minute(context: Context) -> None:
    now = [1000.0]
    context.monotonic = lambda: now[0]
    direct = IcmpProbe().direct("localhost", IcmpParams(count=1, family=Family.IPV4), context, {"test": "t"})
    assert direct is not None
    looked_up = []
    for seconds in (1000.0, 1001.0, 1059.9, 1060.0, 1061.0):
        now[0] = seconds
        point = (await run_once(direct)).point()
        assert point.tags == {"test": "t", "target": "localhost", "family": "ipv4"}
        assert (point.fields["up"], point.fields["received"]) == (1, 1)
        looked_up.append("resolve" in point.fields)
    assert looked_up == [True, False, False, True, False]


async def test_a_name_is_looked_up_again_after_a_run_without_a_reply(context: Context) -> None:
    params = IcmpParams(count=1, family=Family.IPV4, size=16)
    direct = IcmpProbe().direct("localhost", params, context, {})
    assert direct is not None
    assert "resolve" in (await run_once(direct)).point().fields
    # What the kernel refuses is a run without a reply.
    assert isinstance(direct, NamedPings)
    assert direct._pings is not None
    direct._pings._echoes = Echoes(Address(socket.AF_INET, ("255.255.255.255", 0), None), 1, 1, 1, 56)
    refused = await run_once(direct)
    assert refused.problem
    assert "resolve" not in refused.point().fields
    assert "resolve" in (await run_once(direct)).point().fields


async def test_a_name_that_does_not_exist_is_down_in_every_run_until_it_does(context: Context) -> None:
    direct = IcmpProbe().direct("nowhere.invalid", IcmpParams(), context, {})
    assert direct is not None
    for _ in range(2):
        outcome = await run_once(direct)
        fields = outcome.point().fields
        assert (fields["up"], fields["loss"], outcome.problem != "") == (0, 1.0, True)
        assert fields["error"] in {Fault.NO_SUCH_NAME, Fault.RESOLVER_FAILURE}
        assert parse_line(outcome.line()) == outcome.point()


async def test_a_run_that_is_stopped_while_its_name_is_looked_up_reports_nothing(context: Context) -> None:
    direct = IcmpProbe().direct("localhost", IcmpParams(count=1), context, {})
    assert direct is not None
    reported: list[object] = []
    direct.start(reported.append)
    direct.stop()
    assert (await run_once(direct)).point().fields["up"] == 1
    assert not reported


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
    family = socket.AF_INET
    ours, theirs = open_echo_socket(family, 7000), open_echo_socket(family, 7001)
    with ours.handle, theirs.handle:
        for opened, number in ((theirs, 1), (ours, 2), (theirs, 3)):
            request = EchoTemplate(family, opened.identifier, 56).request(number, new_secret())
            opened.handle.sendto(request, ("127.0.0.1", 0))
        # On loopback the replies are there when sendto returns.
        message = ours.handle.recv(2000)[20 * ours.raw :]
        assert ECHO.unpack_from(message)[4] == 2
        with pytest.raises(BlockingIOError):
            ours.handle.recv(2000)
