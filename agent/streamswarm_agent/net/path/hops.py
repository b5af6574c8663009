"""One listener for all traces of an agent: sends packets with a TTL, and gives each the answer that is its own.

Per address family there is one raw socket that sends whole packets, so that the kernel's cache of path MTUs has no say,
one that hears ICMP, and one that hears TCP once somebody traces with TCP. Answers are matched by what they quote.
Times are the kernel's, both ways.
"""

import asyncio
import errno
import secrets
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.departures import Departures
from streamswarm_agent.net.icmp.errors import Kind, Label, Message, is_port_unreachable, read_icmp
from streamswarm_agent.net.path import bpf
from streamswarm_agent.net.path.flows import ECN_SETUP, MARKS, Flow
from streamswarm_agent.net.steady import SteadyClock
from streamswarm_core.probespecs import TraceMethod

_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@ll")
_MOST_PACKETS_PER_WAKE: Final = 512
_RECEIVE_BUFFER: Final = 4 * 1024 * 1024
_MTU_DISCOVER: Final = {socket.AF_INET: (socket.IPPROTO_IP, 10), socket.AF_INET6: (socket.IPPROTO_IPV6, 23)}
_PMTUDISC_PROBE: Final = 3
_SYN_RST_ACK: Final = 0x16
_SYN_ACK: Final = 0x12
_RST_ACK: Final = 0x14
_ECE: Final = 0x40
_NEEDS_CAPABILITY: Final = (
    "raw packets need CAP_NET_RAW: run the agent with AmbientCapabilities=CAP_NET_RAW in its systemd unit, "
    "with --cap-add NET_RAW in a container, or as root"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a packet.

    Attributes:
        address: who sent it.
        kind: what became of the packet.
        code: the ICMP code; 0 for TCP.
        rtt: seconds.
        reached: it comes from the target itself, in the way that the method expects.
        tos: the packet's traffic class as it arrived there; None where it isn't quoted.
        mtu: with TOO_BIG: what the next link takes, bytes.
        labels: MPLS labels the packet had.
        own_tos: the answer's own traffic class as it arrived here.
        accepts_ecn: with a SYN-ACK: it agrees to ECN (ECE without CWR, RFC 3168 section 6.1.1).
    """

    address: str
    kind: Kind
    code: int
    rtt: float
    reached: bool
    tos: int | None = None
    mtu: int | None = None
    labels: tuple[Label, ...] = ()
    own_tos: int | None = None
    accepts_ecn: bool | None = None


@dataclass(slots=True, eq=False)
class Sent:
    """A packet on its way.

    Attributes:
        flow: whose it is.
        ttl: TTL or hop limit it left with.
        mark: tells it from the others.
        on_answer: called once, when there is an answer.
        sent_ns: steady clock; the kernel's transmit timestamp once there is an answer, if the interface makes one.
        received_ns: likewise, when the answer came.
        answer: None until there is one.
    """

    flow: Flow
    ttl: int
    mark: int
    on_answer: "Callable[[Sent], None]"
    sent_ns: int = 0
    received_ns: int = 0
    answer: Answer | None = None


class HopListener:
    """Sends and hears for all traces of an agent.

    Args:
        clock: by which packets are timed.
    """

    def __init__(self, clock: SteadyClock | None = None) -> None:
        self._clock = clock or SteadyClock()
        self._channels: dict[socket.AddressFamily, _Channel] = {}

    def send(self, flow: Flow, ttl: int, on_answer: Callable[[Sent], None], *, size: int = 0) -> Sent:
        """Send one packet; `forget` it when its answer is no longer wanted.

        Args:
            flow: whose packet it is.
            ttl: TTL or hop limit.
            on_answer: called when the answer has come.
            size: bytes of the whole packet; padded up to it.

        Raises:
            ProbeFault: the process has no CAP_NET_RAW, or the kernel has no route.
            OSError: EMSGSIZE, the packet is larger than the interface takes.
        """
        channel = self._channels.get(flow.family)
        if channel is None:
            channel = self._channels[flow.family] = _Channel(flow.family, self._clock)
        return channel.send(flow, ttl, on_answer, size)

    def forget(self, packets: Iterable[Sent]) -> None:
        """Take no more answers for these."""
        for packet in packets:
            self._channels[packet.flow.family].forget(packet)

    def close(self) -> None:
        """Close the sockets."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()


class _Arrival(NamedTuple):
    """Who sent what arrived, when the kernel had it, and its traffic class."""

    sender: str
    received_ns: int
    tos: int | None


class _Channel:
    """The sockets of one address family, and the packets that wait for an answer."""

    def __init__(self, family: socket.AddressFamily, clock: SteadyClock) -> None:
        self._family = family
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, Sent] = {}
        self._mark = secrets.choice(MARKS)
        self._nonce = secrets.token_bytes(4)
        self._sender = _raw_socket(family, socket.IPPROTO_RAW)
        # Otherwise the kernel would refuse what is larger than a router once said, before it is on the wire.
        self._sender.setsockopt(*_MTU_DISCOVER[family], _PMTUDISC_PROBE)
        self._departures = Departures(self._sender, clock)
        self._heard: list[socket.socket] = []
        self._hears_tcp = False
        protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        self._listen(protocol, bpf.answers_to_echo_and_errors(family), self._take_icmp)

    def close(self) -> None:
        for heard in self._heard:
            if not self._loop.is_closed():
                self._loop.remove_reader(heard.fileno())
            heard.close()
        self._sender.close()

    def send(self, flow: Flow, ttl: int, on_answer: Callable[[Sent], None], size: int) -> Sent:
        if flow.method is TraceMethod.TCP and not self._hears_tcp:
            self._listen(socket.IPPROTO_TCP, bpf.segments_to_our_ports(self._family), self._take_segment)
            self._hears_tcp = True
        packet = Sent(flow, ttl, self._free_mark(), on_answer)
        raw = flow.packet(packet.mark, ttl, self._nonce, size)
        where = socket.inet_ntop(self._family, flow.destination)
        self._waiting[packet.mark] = packet
        packet.sent_ns = self._clock.now_ns()
        try:
            self._sender.sendto(raw, (where, 0) if self._family == socket.AF_INET else (where, 0, 0, flow.scope))
        except OSError as error:
            self._departures.recount()
            if error.errno in {errno.ENOBUFS, errno.EAGAIN}:
                return packet  # a full queue loses packets, as any other on the way
            del self._waiting[packet.mark]
            if error.errno == errno.EMSGSIZE:
                raise
            raise from_os_error(error) from None
        self._departures.add(packet)
        return packet

    def forget(self, packet: Sent) -> None:
        if self._waiting.get(packet.mark) is packet:
            del self._waiting[packet.mark]

    def _free_mark(self) -> int:
        for _ in MARKS:
            self._mark = self._mark % MARKS[-1] + 1
            if self._mark not in self._waiting:
                return self._mark
        raise ProbeFault(Fault.INTERNAL, f"{len(MARKS)} packets are under way; nothing more can be told apart")

    def _listen(self, protocol: int, program: bpf.Program, take: Callable[[bytes, _Arrival], None]) -> None:
        opened = _raw_socket(self._family, protocol)
        try:
            bpf.attach(opened, program)
        except OSError as error:
            opened.close()
            raise from_os_error(error) from None
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if self._family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        self._loop.add_reader(opened.fileno(), self._receive, opened, take)
        self._heard.append(opened)

    def _receive(self, opened: socket.socket, take: Callable[[bytes, _Arrival], None]) -> None:
        self._departures.learn()
        for _ in range(_MOST_PACKETS_PER_WAKE):
            try:
                message, ancillary, _flags, sender = opened.recvmsg(65_535, 256)
            except BlockingIOError:
                return
            except OSError:
                continue  # an error of an earlier packet is reported here once; that packet goes unanswered
            tos = message[1] if self._family == socket.AF_INET else traffic_class(ancillary)
            if self._family == socket.AF_INET:
                message = message[(message[0] & 0x0F) * 4 :]
            take(message, _Arrival(sender[0].partition("%")[0], arrival_time(ancillary), tos))

    def _take_icmp(self, message: bytes, arrival: _Arrival) -> None:
        said = read_icmp(self._family, message)
        if said is not None:
            packet = self._match(said, arrival.sender)
            if packet is not None:
                self._answer(packet, arrival, said)

    def _match(self, said: Message, sender: str) -> Sent | None:
        for mark in said.marks:
            packet = self._waiting.get(mark)
            if packet is None:
                continue
            flow = packet.flow
            destination = said.destination or socket.inet_pton(self._family, sender)
            if (said.protocol, said.port, destination) != (flow.protocol, flow.source_port, flow.destination):
                continue
            # A router may quote too little to show the nonce, or pad what it quotes with zeros.
            if said.kind is Kind.REPLY and said.nonce != self._nonce:
                continue
            return packet
        return None

    def _take_segment(self, segment: bytes, arrival: _Arrival) -> None:
        if len(segment) < 20 or segment[13] & _SYN_RST_ACK not in {_SYN_ACK, _RST_ACK}:
            return
        source, port, _sequence, acknowledged = struct.unpack_from("!HHII", segment)
        sequence = acknowledged - 1 & 0xFFFFFFFF
        packet = self._waiting.get(sequence & 0xFFFF)
        if packet is None or sequence >> 16 != int.from_bytes(self._nonce[:2], "big"):
            return
        flow = packet.flow
        answered = (flow.method, flow.port, flow.source_port, flow.destination)
        if answered == (TraceMethod.TCP, source, port, socket.inet_pton(self._family, arrival.sender)):
            accepted = segment[13] & _SYN_RST_ACK == _SYN_ACK
            accepts_ecn = segment[13] & ECN_SETUP == _ECE if accepted else None
            self._answer(packet, arrival, Message(Kind.REPLY, 0, flow.protocol, port, ()), accepts_ecn=accepts_ecn)

    def _answer(self, packet: Sent, arrival: _Arrival, said: Message, *, accepts_ecn: bool | None = None) -> None:
        if packet.answer is not None:
            return  # a duplicate
        at_target = arrival.sender == socket.inet_ntop(self._family, packet.flow.destination)
        refused_port = (
            packet.flow.method is TraceMethod.UDP
            and said.kind is Kind.UNREACHABLE
            and is_port_unreachable(self._family, said.code)
        )
        packet.received_ns = self._clock.arrival(arrival.received_ns, packet.sent_ns)
        packet.answer = Answer(
            address=arrival.sender,
            kind=said.kind,
            code=said.code,
            rtt=(packet.received_ns - packet.sent_ns) / 1e9,
            reached=at_target and (said.kind is Kind.REPLY or refused_port),
            tos=said.tos,
            mtu=said.mtu,
            labels=said.labels,
            own_tos=arrival.tos,
            accepts_ecn=accepts_ecn,
        )
        packet.on_answer(packet)


def _raw_socket(family: socket.AddressFamily, protocol: int) -> socket.socket:
    try:
        opened = socket.socket(family, socket.SOCK_RAW, protocol)
    except PermissionError:
        raise ProbeFault(Fault.PERMISSION, _NEEDS_CAPABILITY) from None
    except OSError as error:
        raise from_os_error(error) from None
    opened.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
    return opened


def arrival_time(ancillary: Sequence[tuple[int, int, bytes]]) -> int:
    """When the kernel received a packet, nanoseconds of the realtime clock."""
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(content[: _TIMESPEC.size])
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


def traffic_class(ancillary: Sequence[tuple[int, int, bytes]]) -> int | None:
    """The TOS or traffic class that a packet arrived with, where the kernel was asked to say."""
    for level, kind, content in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, socket.IP_TOS):
            return content[0]
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_TCLASS):
            return int.from_bytes(content[:4], sys.byteorder) & 0xFF
    return None
