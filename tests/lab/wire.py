"""Links between namespaces: a plain veth pair, and a wire that delays, loses, repeats and limits what it carries."""

import ctypes
import dataclasses
import fcntl
import itertools
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from tests.lab.capture import ALL_PROTOCOLS, SO_TIMESTAMPNS, SOL_PACKET, enlarge_buffers
from tests.lab.impairment import Impairment, Options
from tests.lab.namespace import LabError, Namespace
from tests.lab.relay import Counters

_ROOT: Final = Path(__file__).parents[2]
_SIOCETHTOOL: Final = 0x8946
# Checksums (rx, tx), scatter-gather, TSO, GSO, GRO: ETHTOOL_S… of linux/ethtool.h.
_OFFLOADS: Final = (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C)
_PACKET_IGNORE_OUTGOING: Final = 23
_ANSWER_SECONDS: Final = 30.0
_numbers: Final = itertools.count()

Way = Literal["there", "back"]


@dataclass(frozen=True)
class End:
    """Where a link ends.

    Attributes:
        namespace: whose interface it is.
        interface: the interface's name.
        v4: its IPv4 address.
        v6: its IPv6 address.
    """

    namespace: Namespace
    interface: str
    v4: str
    v6: str


@dataclass(frozen=True)
class Record:
    """What became of one packet.

    Attributes:
        arrived_ns: when the kernel took it from the sender, realtime clock.
        sent_ns: when the relay handed it to the kernel of the receiver; None if it never did.
        size: bytes of the IP packet.
        fate: "delivered", "lost", "queue_dropped" or "swallowed".
        head: the first 64 bytes of the IP packet.
    """

    arrived_ns: int
    sent_ns: int | None
    size: int
    fate: str
    head: bytes


@dataclass(frozen=True)
class Truth:
    """What a wire did, in both directions."""

    there: Counters
    back: Counters


def join(left: End, right: End, *, mtu: int = 1500) -> None:
    """Join two namespaces by a veth pair."""
    left.namespace.configure(
        [f"link add {left.interface} type veth peer name {right.interface} netns {right.namespace.path}"]
    )
    for end in (left, right):
        _switch_offloads_off(end.namespace, end.interface)
        _bring_up(end, f"mtu {mtu}")
    _wait_until_up(left, right)


class Wire:
    """An impaired link between two namespaces.

    Two veth pairs meet in a namespace of their own, where the relay (relay.py) carries frames from one to the other.
    Both ends have the same hardware address and need no ARP or neighbour discovery, so only IP packets travel.

    Raises:
        LabError: the relay did not start.
    """

    def __init__(self, left: End, right: End, *, mtu: int, seed: int, record: bool) -> None:
        self._ends = (left, right)
        self._between = Namespace(f"the wire {left.namespace.name}–{right.namespace.name}")
        self._impairments: dict[Way, Impairment] = {"there": Impairment(), "back": Impairment()}
        self._between.sysctl({"ipv6/conf/default/disable_ipv6": 1})
        hardware = f"02:00:00:00:{(number := next(_numbers)) >> 8 & 0xFF:02x}:{number & 0xFF:02x}"
        for name, end in (("left", left), ("right", right)):
            self._between.configure(
                [
                    f"link add {name} type veth peer name {end.interface} netns {end.namespace.path}",
                    f"link set {name} mtu 9000 up",
                ]
            )
            _switch_offloads_off(self._between, name)
            _switch_offloads_off(end.namespace, end.interface)
            _bring_up(end, f"address {hardware} arp off mtu {mtu}")
        with self._between.entered():
            sockets = [_packet_socket("left"), _packet_socket("right")]
        self._control, remote = socket.socketpair()
        self._control.settimeout(_ANSWER_SECONDS)
        self._lines = self._control.makefile("rw", encoding="utf-8")
        numbers = [opened.fileno() for opened in (*sockets, remote)]
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-m", "tests.lab.relay", *map(str, numbers), str(seed)],
            cwd=_ROOT,
            pass_fds=numbers,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for opened in (*sockets, remote):
            opened.close()
        if record:
            self._ask("record")
        _wait_until_up(left, right)

    @property
    def truth(self) -> Truth:
        """What has happened to everything that was sent into the wire before this call."""
        answer = self._ask("truth")
        return Truth(Counters(**answer["there"]), Counters(**answer["back"]))

    def records(self, way: Way) -> list[Record]:
        """What became of each packet, in the order in which that was decided.

        Raises:
            LabError: the wire was made without `record=True`.
        """
        rows = self._ask("records")[way]
        if rows is None:
            raise LabError("nothing was recorded; make the path with record=True")
        return [Record(arrived, sent, size, fate, bytes.fromhex(head)) for arrived, sent, size, fate, head in rows]

    def set(self, *, there: Options | None = None, back: Options | None = None, both: Options | None = None) -> None:
        """Change what is named; in force for packets that arrive after this returns.

        Raises:
            ValueError: a value is out of its range.
        """
        changes: dict[Way, Options] = {
            "there": {**(both or {}), **(there or {})},
            "back": {**(both or {}), **(back or {})},
        }
        self._impairments = {
            way: dataclasses.replace(impairment, **changes[way]) for way, impairment in self._impairments.items()
        }
        self._ask("set", impairments={way: dataclasses.asdict(value) for way, value in self._impairments.items()})

    def set_mtu(self, mtu: int) -> None:
        """Change the MTU of both ends, so that they answer "fragmentation needed" and "packet too big"."""
        for end in self._ends:
            end.namespace.configure([f"link set {end.interface} mtu {mtu}"])

    def close(self) -> None:
        """End the relay."""
        self._lines.close()
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._between.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, what: str, **details: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._lines.write(json.dumps({"do": what, **details}) + "\n")
            self._lines.flush()
            line = self._lines.readline()
        except OSError as error:
            raise LabError(f"the relay doesn't answer: {error}") from None
        if not line:
            said = self._process.stderr.read().decode(errors="replace") if self._process.stderr else ""
            raise LabError(f"the relay has ended: {said}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _wait_until_up(*ends: End) -> None:
    """Wait until the kernel has noticed both ends: it does so later, and drops until then whatever is sent.

    Raises:
        LabError: it doesn't.
    """
    deadline = time.monotonic() + _ANSWER_SECONDS
    for end in ends:
        while "state UP" not in end.namespace.run(["ip", "link", "show", "dev", end.interface]).stdout:
            if time.monotonic() > deadline:
                raise LabError(f"{end.interface} of {end.namespace.name} does not come up")
            time.sleep(0.002)


def _bring_up(end: End, settings: str) -> None:
    end.namespace.configure(
        [
            f"link set {end.interface} {settings}",
            f"link set {end.interface} up",
            f"addr add {end.v4}/30 dev {end.interface}",
            f"addr add {end.v6}/64 dev {end.interface} nodad",
        ]
    )


def _switch_offloads_off(namespace: Namespace, interface: str) -> None:
    """So that a packet in the lab is one packet, with a checksum, wherever it is counted or captured."""
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        for command in _OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("@II", command, 0))
            request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(anything, _SIOCETHTOOL, request)


def _packet_socket(interface: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    enlarge_buffers(opened)
    opened.setsockopt(SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    opened.bind((interface, ALL_PROTOCOLS))
    return opened
