"""The speech of a call on loopback, with a peer that loses, reports and speaks as the test says."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pytest

from streamswarm_agent.net.steady import SteadyClock
from streamswarm_agent.voip.call import heard_of, judge, no_speech
from streamswarm_agent.voip.sipchannel import take_message
from streamswarm_agent.voip.speech import Incoming, Speech, Spoken
from streamswarm_core.probespecs import VoipParams
from streamswarm_core.wire.rtp import Packet, read_packet
from streamswarm_core.wire.sdp import Answer
from tests.support import find_free_port, until
from tests.unit.agent.setclock import SetClock


@dataclass
class Peer:
    """Sends back what it isn't told to lose, and reports once it has got a sender report.

    Attributes:
        lost: numbers, from 0, of the packets that it doesn't get.
        reports: whether it sends receiver reports.
    """

    lost: set[int] = field(default_factory=set)
    reports: bool = False
    seen: int = 0
    goodbyes: int = 0

    def open(self) -> Answer:
        loop = asyncio.get_running_loop()
        self.speech, self.control = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for one, take in ((self.speech, self._take), (self.control, self._take_control)):
            one.bind(("127.0.0.1", 0))
            one.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
            loop.add_reader(one.fileno(), take)
        return Answer("127.0.0.1", self.speech.getsockname()[1], self.control.getsockname()[1], 8, receives=True)

    def close(self) -> None:
        for one in (self.speech, self.control):
            asyncio.get_running_loop().remove_reader(one.fileno())
            one.close()

    def _take(self) -> None:
        text, sender = self.speech.recvfrom(2_000)
        number, self.seen = self.seen, self.seen + 1
        if number not in self.lost:
            self.speech.sendto(text, sender)

    def _take_control(self) -> None:
        text, sender = self.control.recvfrom(2_000)
        if text[1] != 200:
            self.goodbyes += text[1] == 201
            return
        if self.reports:
            ssrc, ntp = struct.unpack_from("!IQ", text, 4)
            block = struct.pack("!IIIIII", ssrc, 3, 100, 80, ntp >> 16 & 0xFFFFFFFF, 0)
            self.control.sendto(struct.pack("!BBHI", 0x81, 201, 7, 99) + block, sender)


class SpeakingPeer:
    """Says something of its own, at the pace of the codec."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def close(self) -> None:
        self._socket.close()

    async def speak(self, packets: int) -> None:
        for number in range(packets):
            self._socket.sendto(bytes(Packet(8, number, number * 160, 5, b"x")), self._to)
            await asyncio.sleep(0.02)


@contextmanager
def speaking(params: VoipParams, clock: SteadyClock | None = None) -> Iterator[Speech]:
    speech = Speech(socket.AF_INET, "127.0.0.1", params, clock)
    try:
        yield speech
    finally:
        speech.close()


def params(**more: object) -> VoipParams:
    return VoipParams.model_validate(
        {"mode": "call", "dial": "echo", "seconds": 0.5, "wait": 0.3, "jitter_buffer": "fixed", "buffer": 0.4, **more}
    )


async def test_what_the_peer_loses_is_missing_from_the_echo() -> None:
    peer, asked = Peer(lost={3, 4, 10}), params()
    to = peer.open()
    with speaking(asked) as speech:
        await speech.speak(to, asyncio.Event())
        heard = judge(speech, asked)
        assert heard_of(speech) == "echo"
    await until(lambda: peer.goodbyes == 1)
    peer.close()
    assert (heard.sent, heard.received, heard.loss) == (25, 22, 3 / 25)
    assert heard.back.burst_ratio == pytest.approx(1.5 * 22 / 25)
    assert (heard.there, heard.divided) == (None, False)
    assert peer.goodbyes == 1


async def test_a_peers_report_tells_the_way_there() -> None:
    peer, asked = Peer(lost={3, 4, 10}, reports=True), params(seconds=2)
    to = peer.open()
    with speaking(asked) as speech:
        await speech.speak(to, asyncio.Event())
        heard = judge(speech, asked)
        trips = speech.trips
    peer.close()
    assert heard.there is not None
    assert (heard.there.loss, heard.there.jitter) == (3 / 100, 80 / 8_000)
    assert heard.there.r > heard.back.r - 10
    assert len(trips) == 1
    assert trips[0] >= 0


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_a_clock_that_is_set_during_a_call_is_not_heard(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    peer, asked, set_clock = Peer(reports=True), params(seconds=2), SetClock(monkeypatch)
    to = peer.open()
    loop = asyncio.get_running_loop()
    loop.call_later(1, set_clock.set_by, seconds)
    with speaking(asked, SteadyClock(set_clock.wall_ns)) as speech, closing(SpeakingPeer(speech.port)) as theirs:
        await asyncio.gather(speech.speak(to, asyncio.Event()), theirs.speak(75))
        echo = judge(speech, asked)
        speech.spoken = {number: Spoken(one.sent_ns) for number, one in speech.spoken.items()}
        own = judge(speech, asked)
        trips = speech.trips
    peer.close()
    assert len(trips) == 1
    assert max(*echo.trips, *trips) < 5
    for heard in (echo, own):
        assert heard.back.late == 0
        assert heard.back.jitter_max is not None
        assert heard.back.jitter_max < 0.4
    assert own.received == 75


async def test_a_peer_without_a_socket_is_refused() -> None:
    asked = params(wait=0.1)
    with speaking(asked) as speech:
        await speech.speak(Answer("127.0.0.1", find_free_port(), find_free_port(), 8, receives=True), asyncio.Event())
        assert heard_of(speech) == ""
        assert no_speech(speech).fault == "refused"


async def test_a_peer_that_hung_up_is_not_spoken_to() -> None:
    ended, asked = asyncio.Event(), params(seconds=60)
    ended.set()
    with speaking(asked) as speech:
        await speech.speak(Answer("127.0.0.1", 9, 9, 8, receives=True), ended)
        assert not speech.spoken


async def test_several_at_once_have_ports_of_their_own() -> None:
    spoken = [Speech(socket.AF_INET, "127.0.0.1", params()) for _ in range(20)]
    ports = {speech.port for speech in spoken}
    for speech in spoken:
        speech.close()
    assert len(ports) == 20
    assert all(port % 2 == 0 for port in ports)


def test_numbers_go_on_where_the_counter_ends() -> None:
    stream = Incoming()
    for number in (65_533, 65_534, 0, 65_535, 2, 1, 1):
        stream.take(Packet(8, number, 0, 1), 0)
    assert sorted(stream.arrivals) == list(range(65_533, 65_539))
    assert stream.highest == 65_538


def test_a_stream_that_makes_no_sense_stays_small() -> None:
    stream = Incoming()
    for number in (10, 11, 12, 20_000, 40_000, 13):
        stream.take(Packet(8, number, 0, 1), 0)
    assert sorted(stream.arrivals) == [10, 11, 12, 13]
    for number in range(0, 10_000_000, 2_900):
        stream.take(Packet(8, number % 65_536, 0, 1), 0)
    assert max(stream.arrivals) - min(stream.arrivals) <= 60_000


async def test_strangers_cant_fill_the_memory() -> None:
    asked = params()
    with speaking(asked) as speech, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for ssrc in range(50):
            stranger.sendto(bytes(Packet(8, 1, 0, ssrc, b"x")), ("127.0.0.1", speech.port))
        # Comes behind all of them, and from one that is known.
        stranger.sendto(bytes(Packet(8, 2, 0, 0, b"x")), ("127.0.0.1", speech.port))
        await until(lambda: 0 in speech.incoming and 2 in speech.incoming[0].arrivals)
        assert len(speech.incoming) == 8


def test_a_stream_of_messages_is_cut_wherever_it_is_cut() -> None:
    whole = b"A\r\nContent-Length: 4\r\n\r\nbodyB\r\nl : 0\r\n\r\n\r\n\r\nC\r\n\r\n"
    for size in range(1, len(whole)):
        stream, found = bytearray(), []
        for begin in range(0, len(whole), size):
            stream += whole[begin : begin + size]
            while (text := take_message(stream)) is not None:
                found.append(text)
        assert found == [b"A\r\nContent-Length: 4\r\n\r\nbody", b"B\r\nl : 0\r\n\r\n", b"C\r\n\r\n"]


def test_our_packets_are_rtp() -> None:
    assert read_packet(bytes(Packet(8, 1, 2, 3, b"x"))) is not None
