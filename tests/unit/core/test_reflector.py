import asyncio
import socket
from collections.abc import Callable
from functools import partial

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from streamswarm_core.errors import ConfigError
from streamswarm_core.reflector.clockerror import kernel_clock_error
from streamswarm_core.reflector.limits import Peers, RateLimit
from streamswarm_core.reflector.service import Reflector
from streamswarm_core.reflector.settings import ReflectorSettings
from streamswarm_core.reflector.stamp import Sessions, StampReflector
from streamswarm_core.settings import ServiceSettings
from streamswarm_core.wire.stamp import ClockError, make_request, read_reply
from tests.support import find_free_port

CLOCK = ClockError(0.001, synchronised=True)


class DemoSettings(ReflectorSettings, ServiceSettings, table="demo"):
    pass


async def ask(port: int, *packets: bytes) -> list[bytes]:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
        asking.bind(("127.0.0.1", 0))
        for packet in packets:
            await loop.sock_sendto(asking, packet, ("127.0.0.1", port))
        answers: list[bytes] = []
        try:
            async with asyncio.timeout(0.3):
                while len(answers) < len(packets):
                    answers.append(await loop.sock_recv(asking, 9_000))
        except TimeoutError:
            pass
        return answers


async def test_a_session_is_counted_from_zero_whatever_the_sender_counts() -> None:
    reflector = StampReflector()
    port = reflector.listen(["127.0.0.1"], 0)
    try:
        first = await ask(port, *(make_request(number, 1 << 60, CLOCK, ssid=5) for number in (0, 3, 9)))
        assert [read_reply(reply).sequence for reply in first] == [0, 1, 2]
        assert [read_reply(reply).sender_sequence for reply in first] == [0, 3, 9]
        (other,) = await ask(port, make_request(4, 1 << 60, CLOCK, ssid=6))
        assert read_reply(other).sequence == 0
    finally:
        reflector.close()


async def test_times_and_ttl_are_the_kernels() -> None:
    reflector = StampReflector(clock_error=lambda: CLOCK)
    port = reflector.listen(["127.0.0.1"], 0)
    try:
        (answer,) = await ask(port, make_request(0, 0xE93C7F0080000000, CLOCK, ssid=5))
        reply = read_reply(answer)
        assert reply.received_ns <= reply.sent_ns
        assert (reply.sender_ttl, reply.sender_sent) == (64, 0xE93C7F0080000000)
        assert reply.error == ClockError.unpack(CLOCK.pack())
    finally:
        reflector.close()


@pytest.mark.parametrize(
    ("reason", "reflect", "packet"),
    [
        ("short", StampReflector, bytes(40)),
        ("hmac", partial(StampReflector, key=b"ours"), make_request(0, 1, CLOCK, ssid=1, key=b"theirs")),
        ("short", partial(StampReflector, key=b"ours"), make_request(0, 1, CLOCK, ssid=1)),
        ("peer", partial(StampReflector, peers=Peers(["192.0.2.0/24"])), make_request(0, 1, CLOCK, ssid=1)),
    ],
)
async def test_a_refused_packet_is_counted_and_not_answered(
    reason: str, reflect: Callable[[], StampReflector], packet: bytes
) -> None:
    reflector = reflect()
    port = reflector.listen(["127.0.0.1"], 0)
    try:
        assert not await ask(port, packet)
        assert dict(reflector.refused) == {reason: 1}
        assert reflector.answered == 0
    finally:
        reflector.close()


async def test_two_reflectors_do_not_answer_each_other_for_ever() -> None:
    reflector = StampReflector()
    port = reflector.listen(["127.0.0.2"], 0)
    try:
        # What comes from 127.0.0.1 and the same port stands for a packet whose source was forged.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forged:
            forged.bind(("127.0.0.1", port))
            forged.settimeout(0.2)
            forged.sendto(make_request(0, 1, CLOCK, ssid=1), ("127.0.0.2", port))
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(forged.recv, 9_000)
        assert dict(reflector.refused) == {"port": 1}
    finally:
        reflector.close()


def test_one_source_can_not_take_what_others_need() -> None:
    now = 0.0
    limit = RateLimit(each=10, total=15, clock=lambda: now)
    assert [limit.refuses("a") for _ in range(12)] == [None] * 10 + ["source_rate"] * 2
    assert [limit.refuses("b") for _ in range(6)] == [None] * 5 + ["rate"]
    now = 1.0
    assert limit.refuses("a") is None


def test_made_up_sources_do_not_fill_the_memory() -> None:
    limit = RateLimit(each=10, total=1e9, clock=lambda: 0.0)
    for number in range(20_000):
        limit.refuses(str(number))
    assert len(limit._sources) <= 4096


def test_made_up_sessions_do_not_fill_the_memory_and_silent_ones_end() -> None:
    now = 0.0
    sessions = Sessions(clock=lambda: now)
    for number in range(20_000):
        sessions.count(number)
    assert len(sessions) <= 10_001
    assert sessions.count(19_999) == 1
    now = 61.0
    assert sessions.count(19_999) == 0
    assert len(sessions) == 1


def test_the_kernel_says_how_wrong_its_clock_can_be() -> None:
    known = kernel_clock_error()
    assert known.seconds > 0
    assert isinstance(known.synchronised, bool)


def test_a_reflector_is_not_opened_to_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSWARM_DEMO_REFLECTOR_HOST", "::")
    with pytest.raises(ConfigError, match="give reflector_key or reflector_peers too"):
        DemoSettings.load()
    monkeypatch.setenv("STREAMSWARM_DEMO_REFLECTOR_PEERS", '["192.0.2.0/24"]')
    assert DemoSettings.load().reflector_peers == ("192.0.2.0/24",)


def test_a_peer_that_is_no_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSWARM_DEMO_REFLECTOR_PEERS", '["everybody"]')
    with pytest.raises(ConfigError, match="'everybody' is no network such as"):
        DemoSettings.load()


async def test_without_a_key_bandwidth_tests_are_for_loopback_only() -> None:
    reflector = Reflector(DemoSettings(reflector_host="127.0.0.1", reflector_port=find_free_port()))
    assert reflector._serves_tests
    opened = DemoSettings(reflector_host="::", reflector_peers=("192.0.2.0/24",))
    assert not Reflector(opened)._serves_tests


async def test_a_port_that_is_taken_stops_nothing_else_and_shows() -> None:
    port = find_free_port()
    first, second = (Reflector(DemoSettings(reflector_port=port)) for _ in range(2))
    registry = CollectorRegistry()
    registry.register(second)
    await first.start()
    await second.start()
    try:
        assert 'streamswarm_reflector_up{kind="stamp"} 0.0' in generate_latest(registry).decode()
    finally:
        await second.close()
        await first.close()


async def test_refusals_are_counted_by_reason_in_the_metrics() -> None:
    port = find_free_port()
    reflector = Reflector(DemoSettings(reflector_port=port))
    registry = CollectorRegistry()
    registry.register(reflector)
    await reflector.start()
    try:
        await ask(port, bytes(10))
        text = generate_latest(registry).decode()
    finally:
        await reflector.close()
    assert 'streamswarm_reflector_up{kind="bandwidth"} 1.0' in text
    assert 'streamswarm_reflector_refused_total{kind="stamp",reason="short"} 1.0' in text
    assert 'streamswarm_reflector_refused_total{kind="stamp",reason="hmac"} 0.0' in text
