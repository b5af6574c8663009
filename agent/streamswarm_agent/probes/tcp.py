"""The `tcp` probe: a handshake's phases, and the network's delay apart from the server's.

The server's kernel answers a SYN before the program calls accept, so the time to the SYN-ACK is the network's round
trip and some microseconds of the remote kernel. The program shows only in the first thing it does: its banner, its
answer, or its close after ours. That sign takes one more round trip r and the program's own time s, so

    response = r + s
    network_delay = median of this run's SYN-ACK times
    server_processing = response - network_delay

r is not network_delay itself but one more draw from the same path. Of n exchangeable draws the next lies between the
least and the greatest of those before with probability (n - 1)/(n + 1): network_delay_error is the largest distance of
the last 20 draws (this run's and earlier ones' of the assignment) from network_delay, plus what the clocks leave open;
50 % for the first run's three, 90 % from 20 draws on. One draw says nothing about the spread, so it has no error.
"""

import socket
import statistics
import time
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.targets import Address, read_target, resolve
from streamswarm_agent.net.tcp import Handshake, first_sign, shake_hands
from streamswarm_agent.probes.base import Context
from streamswarm_agent.probes.tcp_finding import Evidence, Pings, explain
from streamswarm_core.catalogue.tcp import TCP
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import TcpParams
from streamswarm_core.probespecs.targets import read_host_port

_SERVER_SPEAKS_FIRST: Final = {21, 22, 25, 110, 119, 143, 587, 3306, 5900, 6667}
_REMEMBERED_DELAYS: Final = 20
_OPEN_SECONDS: Final = 300.0
_PINGS: Final = 5
_TIMESTAMP_STEP: Final = 0.001
_ECN_ASKED: Final = {"1", "3", "4", "5"}


@dataclass(slots=True)
class _Run:
    """One run as it goes.

    Attributes:
        handshakes: in order, the last one may have failed.
        sign: which sign of the program is waited for: `banner`, `answer`, `close`, or `off`.
        response: seconds until it came.
        reset: the connection was reset when the agent closed it.
        fault: why the first handshake failed, or that its connection was reset.
        later_fault: why a later handshake failed.
    """

    handshakes: list[Handshake] = field(default_factory=list)
    sign: str = "off"
    response: float | None = None
    reset: bool = False
    fault: ProbeFault | None = None
    later_fault: ProbeFault | None = None

    @property
    def completed(self) -> list[Handshake]:
        return [handshake for handshake in self.handshakes if handshake.total is not None]

    @property
    def syns_lost(self) -> bool:
        return any(handshake.syn_retransmits for handshake in self.handshakes)

    @property
    def delays(self) -> list[float]:
        """SYN-ACK times; those after a repeated SYN, good to a millisecond only, where there are no others."""
        exact = [one.syn_ack for one in self.completed if one.syn_ack is not None and not one.syn_retransmits]
        return exact or [one.syn_ack for one in self.completed if one.syn_ack is not None]

    @property
    def resolution(self) -> float:
        """What the clocks leave open, seconds."""
        exact = [one.resolution for one in self.completed if not one.syn_retransmits]
        return max(exact, default=_TIMESTAMP_STEP)


@dataclass(slots=True)
class _Seen:
    """What an assignment remembers of its target from run to run."""

    host: str = ""
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_DELAYS))
    established: float | None = None

    def remember(self, address: Address | None, run: _Run, now: float) -> None:
        """Add the run's SYN-ACK times to those of earlier runs to the same address."""
        if address is not None and self.host != address.host:
            self.host, self.established = address.host, None
            self.delays.clear()
        if run.completed:
            self.established = now
        self.delays.extend(run.delays)


class TcpProbe:
    """TCP handshakes, the first of which is described."""

    async def run(self, target: str, params: TcpParams, context: Context) -> list[Point]:
        """Up if the first handshake was completed and its connection not reset while the program's sign was awaited."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target}
        fields: dict[str, FieldValue | None] = {"up": 1}
        run, address = _Run(), None
        try:
            host, port = read_target(read_host_port, target)
            address = await resolve(host, port, params.family)
            tags["family"] = address.family_tag
            fields["resolve"] = address.resolve
            await _measure(address, port, params, run)
        except ProbeFault as fault:
            run.fault = fault
            fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
        seen: _Seen = context.memory.setdefault("tcp", _Seen())
        now = context.monotonic()
        seen.remember(address, run, now)
        split = _split_delay(run, seen.delays)
        timed_out = run.fault is not None and run.fault.fault is Fault.TIMEOUT
        pings = await _ping(address, context) if address and (timed_out or run.syns_lost) else None
        fields["finding"], fields["analysis"] = explain(
            Evidence(
                fault=run.fault,
                later_fault=run.later_fault,
                icmp=run.handshakes[0].icmp if run.handshakes else None,
                syn_retransmits=tuple(handshake.syn_retransmits for handshake in run.handshakes),
                **split,
                sign=run.sign,
                reset=run.reset,
                response=run.response,
                open_lately=seen.established is not None and now - seen.established < _OPEN_SECONDS,
                pings=pings,
                wait=params.wait,
                response_wait=params.response_wait,
                slow_network=params.slow_network,
                slow_server=params.slow_server,
            )
        )
        fields |= {**_phases(run), **split, **_negotiated(run)}
        return [TCP.point(tags, time_ns=stamp, **fields, duration=context.monotonic() - started)]


async def _measure(address: Address, port: int, params: TcpParams, run: _Run) -> None:
    """Shake hands and wait for the program's sign, then shake hands again for the spread of the network's delay.

    Raises:
        ProbeFault: the first handshake failed, or its connection was reset.
    """
    run.handshakes.append(first := Handshake())
    with await shake_hands(address, params.wait, first) as opened:
        run.sign = _sign(port, params)
        if run.sign != "off":
            await _await_sign(opened, params, first, run)
    for _ in range(params.count - 1):
        run.handshakes.append(again := Handshake())
        try:
            (await shake_hands(address, params.wait, again)).close()
        except ProbeFault as fault:
            run.later_fault = fault
            return


def _sign(port: int, params: TcpParams) -> str:
    if params.send is not None:
        return "answer"
    if params.response != "auto":
        return params.response
    return "banner" if port in _SERVER_SPEAKS_FIRST else "close"


async def _await_sign(opened: socket.socket, params: TcpParams, handshake: Handshake, run: _Run) -> None:
    began = time.monotonic()
    try:
        if params.send is not None:
            opened.send(params.send.encode())
        elif run.sign == "close":
            opened.shutdown(socket.SHUT_WR)
        elif handshake.established is not None:
            began = handshake.established
        arrived = await first_sign(opened, params.response_wait, began)
    except OSError as error:
        if run.sign != "close":
            raise from_os_error(error) from None
        # The program took the connection and answered our close: rudely, but it is a sign.
        run.reset, arrived = True, time.monotonic()
    if arrived is not None:
        run.response = max(0.0, arrived - began)


def _split_delay(run: _Run, delays: Collection[float]) -> dict[str, float | None]:
    """The network's delay, its error and the server's part, as the module's docstring has it."""
    if not run.delays:
        return {}
    delay = statistics.median(run.delays)
    error = max(abs(one - delay) for one in delays) + run.resolution if len(delays) > 1 else None
    processing = None if run.response is None else max(0.0, run.response - delay)
    return {"network_delay": delay, "network_delay_error": error, "server_processing": processing}


def _phases(run: _Run) -> dict[str, FieldValue | None]:
    if not run.handshakes:
        return {}
    first = run.handshakes[0]
    return {
        "handshakes": len(run.completed),
        "syn_retransmits": sum(handshake.syn_retransmits for handshake in run.handshakes),
        "connect": first.connect,
        "syn_ack": first.syn_ack,
        "ack": first.ack,
        "total": first.total,
        "response": run.response,
    }


def _negotiated(run: _Run, sysctl: Path = Path("/proc/sys/net/ipv4/tcp_ecn")) -> dict[str, FieldValue | None]:
    info = run.handshakes[0].info if run.handshakes else None
    if info is None:
        return {}
    return {
        "mss": info.mss,
        "remote_window": info.snd_wnd,
        "scale_local": info.scale_local,
        "scale_remote": info.scale_remote,
        "sack": int(info.sack),
        "timestamps": int(info.timestamps),
        "ecn": int(info.ecn) if _asks_for_ecn(sysctl) else None,
    }


def _asks_for_ecn(sysctl: Path) -> bool:
    try:
        return sysctl.read_text(encoding="ascii").strip() in _ECN_ASKED
    except OSError:
        return False


async def _ping(address: Address, context: Context) -> Pings | None:
    """Whether the host answers while its port doesn't; None where this host may not ping."""
    try:
        echoes = await context.icmp.echo(address, count=_PINGS, spacing=0.02, wait=1.0, size=56)
    except ProbeFault:
        return None
    return Pings(len(echoes.rtts), len(echoes.received))
