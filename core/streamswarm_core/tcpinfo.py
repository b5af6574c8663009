"""What the kernel says of a connection: struct tcp_info of linux/tcp.h.

The struct only grows at its end, so a prefix of any length can be read: what an older kernel doesn't know is None, what
a newer one adds is ignored. The kernel counts microseconds and segments; here times are seconds.
"""

import ctypes
import socket
from dataclasses import dataclass
from typing import Final, Self

_ASKED_BYTES: Final = 512
_NO_SSTHRESH: Final = 0x7FFF_FFFF
_NO_RTT: Final = 0xFFFF_FFFF
_NO_RATE: Final = 0xFFFF_FFFF_FFFF_FFFF
_TIMESTAMPS, _SACK, _SCALED, _ECN = 1, 2, 4, 8
_U8, _U32, _U64 = ctypes.c_uint8, ctypes.c_uint32, ctypes.c_uint64
_Number = type[ctypes.c_uint8] | type[ctypes.c_uint32] | type[ctypes.c_uint64]


def _row(kind: _Number, names: str) -> list[tuple[str, _Number]]:
    return [(name, kind) for name in names.split()]


class _Layout(ctypes.Structure):
    _fields_ = (
        *_row(_U8, "state ca_state retransmits probes backoff options scales flags"),
        *_row(_U32, "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets"),
        *_row(_U32, "last_data_sent last_ack_sent last_data_recv last_ack_recv pmtu rcv_ssthresh"),
        *_row(_U32, "rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space total_retrans"),
        *_row(_U64, "pacing_rate max_pacing_rate bytes_acked bytes_received"),
        *_row(_U32, "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out"),
        *_row(_U64, "delivery_rate busy_time rwnd_limited sndbuf_limited"),
        *_row(_U32, "delivered delivered_ce"),
        *_row(_U64, "bytes_sent bytes_retrans"),
        *_row(_U32, "dsack_dups reord_seen rcv_ooopack snd_wnd"),
    )


_SHORTEST: Final = _Layout.total_retrans.offset + 4
"""What every kernel since 2.6 gives."""


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """One look at a connection. None is what this kernel or this connection has no value for.

    Attributes:
        ca_state: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss.
        timestamps: whether the option was negotiated; likewise `sack` and `ecn`.
        scale_remote: shift of the windows that the peer announces; `scale_local` of ours.
        app_limited: whether the newest delivery rate was limited by the sending program.
        mss: bytes in a segment that is sent.
        unacked: segments under way or queued at the peer; `sacked` of these known to have arrived, `lost` held lost,
            `retrans` sent again.
        rtt: smoothed round-trip time; right after connect the time from SYN to SYN-ACK. `rttvar` its deviation.
        rcv_rtt: the receiver's estimate of the round-trip time.
        ssthresh: slow start threshold, segments; `cwnd` likewise.
        total_retrans: segments sent again since connect, SYNs too.
        max_pacing_rate: bytes per second, where one was set.
        notsent_bytes: in the send buffer and not yet sent.
        delivery_rate: bytes per second, newest.
        busy: seconds with data to send or under way; `rwnd_limited` and `sndbuf_limited` of these.
        dsack_dups: segments that arrived twice by the peer's account: sent again for nothing.
        reord_seen: reordering events.
        delivered: segments that are known to have arrived, acknowledged or not.
        rcv_ooopack: segments received out of order.
        snd_wnd: the peer's receive window, bytes.
    """

    ca_state: int
    timestamps: bool
    sack: bool
    ecn: bool
    scale_remote: int | None
    scale_local: int | None
    app_limited: bool
    mss: int
    unacked: int
    sacked: int
    lost: int
    retrans: int
    rtt: float | None
    rttvar: float | None
    rcv_rtt: float | None
    ssthresh: int | None
    cwnd: int
    total_retrans: int
    max_pacing_rate: int | None
    bytes_acked: int | None
    bytes_received: int | None
    notsent_bytes: int | None
    min_rtt: float | None
    data_segs_out: int | None
    delivery_rate: int | None
    busy: float | None
    rwnd_limited: float | None
    sndbuf_limited: float | None
    delivered: int | None
    bytes_sent: int | None
    bytes_retrans: int | None
    dsack_dups: int | None
    reord_seen: int | None
    rcv_ooopack: int | None
    snd_wnd: int | None

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the kernel's bytes.

        Raises:
            ValueError: they are shorter than any kernel's.
        """
        if len(raw) < _SHORTEST:
            raise ValueError(f"{len(raw)} bytes are no struct tcp_info; it has at least {_SHORTEST}")
        layout = _Layout.from_buffer_copy(raw.ljust(ctypes.sizeof(_Layout), b"\0"))

        def number(name: str, absent: int | None = None) -> int | None:
            place = getattr(_Layout, name)
            value: int = getattr(layout, name)
            return None if place.offset + place.size > len(raw) or value == absent else value

        def seconds(name: str, absent: int | None = None) -> float | None:
            microseconds = number(name, absent)
            return None if microseconds is None else microseconds / 1e6

        scaled = bool(layout.options & _SCALED)
        return cls(
            ca_state=layout.ca_state,
            timestamps=bool(layout.options & _TIMESTAMPS),
            sack=bool(layout.options & _SACK),
            ecn=bool(layout.options & _ECN),
            scale_remote=layout.scales & 0x0F if scaled else None,
            scale_local=layout.scales >> 4 if scaled else None,
            app_limited=bool(layout.flags & 1),
            mss=layout.snd_mss,
            unacked=layout.unacked,
            sacked=layout.sacked,
            lost=layout.lost,
            retrans=layout.retrans,
            rtt=seconds("rtt", 0),
            rttvar=seconds("rttvar"),
            rcv_rtt=seconds("rcv_rtt", 0),
            ssthresh=number("snd_ssthresh", _NO_SSTHRESH),
            cwnd=layout.snd_cwnd,
            total_retrans=layout.total_retrans,
            max_pacing_rate=number("max_pacing_rate", _NO_RATE),
            bytes_acked=number("bytes_acked"),
            bytes_received=number("bytes_received"),
            notsent_bytes=number("notsent_bytes"),
            min_rtt=seconds("min_rtt", _NO_RTT),
            data_segs_out=number("data_segs_out"),
            delivery_rate=number("delivery_rate", 0),
            busy=seconds("busy_time"),
            rwnd_limited=seconds("rwnd_limited"),
            sndbuf_limited=seconds("sndbuf_limited"),
            delivered=number("delivered"),
            bytes_sent=number("bytes_sent"),
            bytes_retrans=number("bytes_retrans"),
            dsack_dups=number("dsack_dups"),
            reord_seen=number("reord_seen"),
            rcv_ooopack=number("rcv_ooopack"),
            snd_wnd=number("snd_wnd"),
        )

    @property
    def in_flight(self) -> int:
        """Segments in the network by the kernel's reckoning (RFC 6675's pipe)."""
        return max(0, self.unacked - self.sacked - self.lost + self.retrans)


def read_tcp_info(opened: socket.socket) -> TcpInfo | None:
    """Ask the kernel; None where it doesn't say."""
    try:
        return TcpInfo.parse(opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ASKED_BYTES))
    except (OSError, ValueError):
        return None
