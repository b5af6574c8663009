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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net.targets import Address, resolve, split_host_port
from streamswarm_agent.net.tcp import Handshake, first_sign, shake_hands
from streamswarm_agent.net.tcpinfo import TcpInfo
from streamswarm_agent.probes.base import Context
from streamswarm_agent.probes.tcp_finding import Evidence, Pings, explain
from streamswarm_core.catalogue.tcp import TCP
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import TcpParams

_SERVER_SPEAKS_FIRST: Final = {21, 22, 25, 110, 119, 143, 587, 3306, 5900, 6667}
_REMEMBERED_DELAYS: Final = 20
_OPEN_SECONDS: Final = 300.0
_PINGS: Final = 5
_TIMESTAMP_STEP: Final = 0.001
_ECN_ASKED: Final = {"1", "3", "4", "5"}


@dataclass(slots=True)
class _Seen:
    """What an assignment remembers of its target from run to run."""

    host: str = ""
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_DELAYS))
    established: float | None = None


@dataclass(slots=True)
class _Run:
    """One run as it goes."""

    handshakes: list[Handshake] = field(default_factory=list)
    sign: str = "off"
    response: float | None = None
    reset: bool = False
    later_fault: ProbeFault | None = None


class TcpProbe:
    """TCP handshakes, the first of which is described."""

    async def run(self, target: str, params: TcpParams, context: Context) -> list[Point]:
        """Up if the first handshake was completed and not reset at once."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target}
        fields: dict[str, FieldValue | None] = {}
        run, address, fault = _Run(), None, None
        try:
            host, port = split_host_port(target)
            address = await resolve(host, port, params.family)
            tags["family"] = address.family_tag
            fields["resolve"] = address.resolve
            await _measure(address, port, params, run)
        except ProbeFault as raised:
            fault = raised
            fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
        else:
            fields["up"] = 1
        seen = context.memory.setdefault("tcp", _Seen())
        now = context.monotonic()
        fields |= _describe(run, _remember(seen, address, run, now))
        evidence = Evidence(
            fault=fault,
            later_fault=run.later_fault,
            icmp=run.handshakes[0].icmp if run.handshakes else None,
            handshakes=len(_completed(run)),
            syn_retransmits=tuple(handshake.syn_retransmits for handshake in run.handshakes),
            network_delay=_number(fields["network_delay"]),
            network_delay_error=_number(fields["network_delay_error"]),
            sign=run.sign,
            reset=run.reset,
            response=run.response,
            server_processing=_number(fields["server_processing"]),
            open_lately=seen.established is not None and now - seen.established < _OPEN_SECONDS,
            pings=await _ping(address, context) if address and _lost_syns(run) else None,
            wait=params.wait,
            response_wait=params.response_wait,
            slow_network=params.slow_network,
            slow_server=params.slow_server,
        )
        finding, analysis = explain(evidence)
        return [
            TCP.point(
                tags,
                time_ns=stamp,
                finding=finding.value,
                analysis=analysis,
                **fields,
                duration=context.monotonic() - started,
            )
        ]


async def _measure(address: Address, port: int, params: TcpParams, run: _Run) -> None:
    """Shake hands and wait for the program's sign, then shake hands again for the spread of the network's delay.

    Raises:
        ProbeFault: the first handshake failed, or its connection was reset.
    """
    run.handshakes.append(first := Handshake())
    with await shake_hands(address, params.wait, first) as opened:
        run.sign = _sign(port, params)
        if run.sign != "off":
            began = first.established or time.monotonic()
            if params.send is not None:
                began = time.monotonic()
                opened.send(params.send.encode())
            elif run.sign == "close":
                began = time.monotonic()
                opened.shutdown(socket.SHUT_WR)
            try:
                arrived = await first_sign(opened, params.response_wait)
            except ProbeFault:
                if run.sign != "close":
                    raise
                # The program took the connection and answered our close: rudely, but it is a sign.
                run.reset, arrived = True, time.monotonic()
            run.response = None if arrived is None else max(0.0, arrived - began)
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


def _completed(run: _Run) -> list[Handshake]:
    return [handshake for handshake in run.handshakes if handshake.total is not None]


def _lost_syns(run: _Run) -> bool:
    return any(handshake.syn_retransmits for handshake in run.handshakes)


def _remember(seen: _Seen, address: Address | None, run: _Run, now: float) -> list[float]:
    """Add the run's SYN-ACK times to those of earlier runs to the same address; returns them all."""
    if address is not None and seen.host != address.host:
        seen.host = address.host
        seen.delays.clear()
        seen.established = None
    if _completed(run):
        seen.established = now
    seen.delays.extend(handshake.syn_ack for handshake in _completed(run) if handshake.syn_ack is not None)
    return list(seen.delays)


def _describe(run: _Run, delays: list[float]) -> dict[str, FieldValue | None]:
    delay = _median([handshake.syn_ack for handshake in _completed(run) if handshake.syn_ack is not None])
    error = None
    if delay is not None and len(delays) > 1:
        resolution = max(handshake.resolution for handshake in _completed(run))
        if _lost_syns(run):
            resolution = max(resolution, _TIMESTAMP_STEP)
        error = max(abs(one - delay) for one in delays) + resolution
    fields: dict[str, FieldValue | None] = {
        "handshakes": len(_completed(run)),
        "network_delay": delay,
        "network_delay_error": error,
        "response": run.response,
        "server_processing": None if run.response is None or delay is None else max(0.0, run.response - delay),
    }
    if run.handshakes:
        first = run.handshakes[0]
        fields["syn_retransmits"] = sum(handshake.syn_retransmits for handshake in run.handshakes)
        fields |= {"connect": first.connect, "syn_ack": first.syn_ack, "ack": first.ack, "total": first.total}
        fields |= _negotiated(first.info) if first.info else {}
    return fields


def _negotiated(info: TcpInfo, sysctl: Path = Path("/proc/sys/net/ipv4/tcp_ecn")) -> dict[str, FieldValue | None]:
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


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _number(value: FieldValue | None) -> float | None:
    return float(value) if isinstance(value, int | float) else None


async def _ping(address: Address, context: Context) -> Pings | None:
    """Whether the host answers while its port doesn't; None where this host may not ping."""
    try:
        echoes = await context.icmp.echo(address, count=_PINGS, spacing=0.02, wait=1.0, size=56)
    except ProbeFault:
        return None
    return Pings(len(echoes.rtts), len(echoes.received))
