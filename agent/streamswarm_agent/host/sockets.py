"""TCP and UDP of the host: /proc/net/snmp, snmp6, netstat, sockstat, tcp and tcp6."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from streamswarm_agent.host.files import PROC, as_int, points_of, read_lines
from streamswarm_agent.host.growth import Growth, quotient
from streamswarm_core.catalogue.host_net import HOST_TCP, HOST_UDP
from streamswarm_core.point import FieldValue, Point

MOST_LISTED: Final = 20_000
"""Connections beyond which their states are not counted: each costs 2.5 µs of CPU, most of it the kernel's."""

_STATES: Final = {
    "01": "established",
    "02": "syn_sent",
    "03": "syn_received",
    "04": "fin_wait",
    "05": "fin_wait",
    "06": "time_wait",
    "08": "close_wait",
    "09": "last_ack",
    "0A": "listening",
    "0B": "closing",
    "0C": "syn_received",
}
"""include/net/tcp_states.h; 0C is a SYN that the listener hasn't accepted yet."""

_TCP_RATES: Final = {
    "opened": ("Tcp", "ActiveOpens"),
    "accepted": ("Tcp", "PassiveOpens"),
    "failed": ("Tcp", "AttemptFails"),
    "reset": ("Tcp", "EstabResets"),
    "resets_sent": ("Tcp", "OutRsts"),
    "segments_received": ("Tcp", "InSegs"),
    "bad_segments": ("Tcp", "InErrs"),
    "listen_overflows": ("TcpExt", "ListenOverflows"),
    "listen_drops": ("TcpExt", "ListenDrops"),
    "timeouts": ("TcpExt", "TCPTimeouts"),
    "out_of_order": ("TcpExt", "TCPOFOQueue"),
    "duplicates_received": ("TcpExt", "TCPDSACKOldSent"),
    "duplicates_sent": ("TcpExt", "TCPDSACKRecv"),
    "lost_retransmits": ("TcpExt", "TCPLostRetransmit"),
    "congestion_marks": ("IpExt", "InCEPkts"),
}
_UDP_RATES: Final = {
    "received": "InDatagrams",
    "sent": "OutDatagrams",
    "no_port": "NoPorts",
    "receive_errors": "InErrors",
    "receive_buffer_errors": "RcvbufErrors",
    "send_buffer_errors": "SndbufErrors",
    "checksum_errors": "InCsumErrors",
}

Tables = Mapping[str, Mapping[str, int]]


def socket_points(growth: Growth, states: Mapping[str, int | None], proc: Path = PROC) -> Iterator[Point]:
    """HOST_TCP and HOST_UDP, of the network namespace that the agent is in; `states` from tcp_states."""
    tables = {**_read_tables(proc / "net/snmp"), **_read_tables(proc / "net/netstat")}
    yield from points_of(HOST_TCP, {}, {**states, **_tcp_rates(growth, tables)})
    yield from points_of(HOST_UDP, {}, _udp_rates(growth, tables, proc))


def tcp_states(proc: Path = PROC) -> dict[str, int | None]:
    """How many connections are in each state; only some totals when there are very many."""
    counted = _sockstat(proc)
    totals = {"time_wait": counted.get(("TCP", "tw")), "orphaned": counted.get(("TCP", "orphan"))}
    in_use = counted.get(("TCP", "inuse"), 0) + counted.get(("TCP6", "inuse"), 0)
    if in_use + (totals["time_wait"] or 0) > MOST_LISTED:
        return totals
    tables = [table for name in ("tcp", "tcp6") if (table := read_lines(proc / "net" / name))]
    if not tables:
        return totals
    found = Counter(columns[3] for table in tables for line in table[1:] if len(columns := line.split(None, 4)) > 3)
    states: Counter[str] = Counter(dict.fromkeys(_STATES.values(), 0))
    for code, count in found.items():
        if code in _STATES:
            states[_STATES[code]] += count
    return {"connections": sum(states.values()) - states["listening"], **states, "orphaned": totals["orphaned"]}


def _tcp_rates(growth: Growth, tables: Tables) -> dict[str, FieldValue | None]:
    sent = growth.of("Tcp OutSegs", tables.get("Tcp", {}).get("OutSegs"))
    again = growth.of("Tcp RetransSegs", tables.get("Tcp", {}).get("RetransSegs"))
    return {
        **{field: growth.rate(place, tables.get(place[0], {}).get(place[1])) for field, place in _TCP_RATES.items()},
        "segments_sent": quotient(sent, growth.seconds),
        "retransmits": quotient(again, growth.seconds),
        # Linux leaves retransmissions out of OutSegs, as RFC 4022 says.
        "retransmission": quotient(again, sent + again) if sent is not None and again is not None else None,
    }


def _udp_rates(growth: Growth, tables: Tables, proc: Path) -> dict[str, FieldValue | None]:
    later = {row[0]: as_int(row[1]) for line in read_lines(proc / "net/snmp6") if len(row := line.split()) == 2}
    rates: dict[str, FieldValue | None] = {}
    for field, name in _UDP_RATES.items():
        both = [count for count in (tables.get("Udp", {}).get(name), later.get(f"Udp6{name}")) if count is not None]
        rates[field] = growth.rate(("Udp", name), sum(both)) if both else None
    return rates


def _read_tables(path: Path) -> dict[str, dict[str, int]]:
    """Pairs of lines, the names and the values, each beginning with the table's name."""
    lines = [line.split() for line in read_lines(path)]
    tables = {}
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        if names and values and names[0] == values[0]:
            numbers = [as_int(value) for value in values[1:]]
            pairs = zip(names[1:], numbers, strict=False)
            tables[names[0].rstrip(":")] = {name: number for name, number in pairs if number is not None}
    return tables


def _sockstat(proc: Path) -> dict[tuple[str, str], int]:
    found = {}
    for name in ("sockstat", "sockstat6"):
        for line in read_lines(proc / "net" / name):
            protocol, _, rest = line.partition(":")
            columns = rest.split()
            for key, value in zip(columns[::2], columns[1::2], strict=False):
                if (count := as_int(value)) is not None:
                    found[protocol, key] = count
    return found
