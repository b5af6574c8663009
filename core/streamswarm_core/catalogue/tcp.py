from enum import StrEnum
from typing import Final

from streamswarm_core.catalogue.common import ASSIGNMENT_TAGS, SEQ, probe_measurement
from streamswarm_core.catalogue.model import (
    BYTES,
    COUNT,
    LINE_RATE,
    RATIO,
    SECONDS,
    STATE,
    TEXT,
    Field,
    Kind,
    Measurement,
)


class HandshakeFinding(StrEnum):
    """What a TCP handshake came to, the `finding` field of `tcp`."""

    HEALTHY = "healthy"
    SLOW_NETWORK = "slow_network"
    SLOW_SERVER = "slow_server"
    PACKET_LOSS = "packet_loss_in_handshake"
    BACKLOG_OVERFLOW = "backlog_overflow_suspected"
    REFUSED = "refused"
    FILTERED = "filtered"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no_answer"
    RESET = "reset"
    NO_SUCH_NAME = "no_such_name"
    NOT_TRIED = "not_tried"


class Bottleneck(StrEnum):
    """What held a transfer back, the `bottleneck` field of `tcp_window`."""

    OPTIMAL = "optimal"
    NETWORK_CONGESTION = "network_congestion"
    PACKET_LOSS = "packet_loss"
    INSTABILITY = "instability"
    RECEIVER_LIMITED = "receiver_limited"
    SENDER_LIMITED = "sender_limited"


TCP: Final = probe_measurement(
    "tcp",
    "TCP handshake: its phases, and the network's delay apart from the server's.",
    Field("resolve", SECONDS, "Name resolution; absent for an address.", worse="up"),
    Field(
        "connect",
        SECONDS,
        "From SYN to established: the kernel's own figure if the first SYN was answered, else by the clock.",
        worse="up",
        feature=True,
    ),
    Field("syn_ack", SECONDS, "From the answered SYN to its SYN-ACK, by the kernel (TCP_INFO).", worse="up"),
    Field(
        "ack",
        SECONDS,
        "From the SYN-ACK until the agent was told: this host's own delay. Absent if a SYN was repeated.",
        worse="up",
    ),
    Field("total", SECONDS, "From the call to connect until the agent was told it is established.", worse="up"),
    Field("handshakes", COUNT, "Handshakes completed in the run.", kind=Kind.INTEGER),
    Field(
        "syn_retransmits", COUNT, "SYNs repeated in the run because none was answered.", kind=Kind.INTEGER, worse="up"
    ),
    Field("network_delay", SECONDS, "Round trip without the server program: median SYN-ACK of the run.", worse="up"),
    Field(
        "network_delay_error",
        SECONDS,
        "Largest distance of a recent SYN-ACK from network_delay; absent for a single sample.",
        worse="up",
    ),
    Field("response", SECONDS, "From established to the first sign of the server program.", worse="up"),
    Field(
        "server_processing",
        SECONDS,
        "What the server program took to accept and react: response less network_delay, known to its error.",
        worse="up",
        feature=True,
    ),
    Field("mss", BYTES, "Largest segment that may be sent.", kind=Kind.INTEGER),
    Field("remote_window", BYTES, "Receive window that the server announced.", kind=Kind.INTEGER),
    Field("scale_local", COUNT, "Window scale (shift) of this side; absent if not negotiated.", kind=Kind.INTEGER),
    Field("scale_remote", COUNT, "Window scale (shift) of the server; absent if not negotiated.", kind=Kind.INTEGER),
    Field("sack", STATE, "1 if selective acknowledgement was negotiated.", kind=Kind.INTEGER),
    Field("timestamps", STATE, "1 if timestamps were negotiated.", kind=Kind.INTEGER),
    Field("ecn", STATE, "1 if ECN was negotiated; absent where this host doesn't ask for it.", kind=Kind.INTEGER),
    Field("finding", TEXT, "What it came to, one word of a closed set.", kind=Kind.STRING),
    Field("analysis", TEXT, "The finding and what it rests on, for a person to read.", kind=Kind.STRING),
    tags=("family",),
)

TCP_WINDOW: Final = probe_measurement(
    "tcp_window",
    "A bounded bulk transfer over TCP, and what held it back by the kernel's accounting.",
    Field("resolve", SECONDS, "Name resolution; absent for an address.", worse="up"),
    Field("connect", SECONDS, "TCP connection set-up.", worse="up"),
    Field("congestion_control", TEXT, "The sender's algorithm, such as cubic (upload).", kind=Kind.STRING),
    Field("size", BYTES, "Bytes that the peer acknowledged (upload) or that were read (download).", kind=Kind.INTEGER),
    Field("elapsed", SECONDS, "From the first byte handed to the kernel to the last acknowledged or read."),
    Field("throughput", LINE_RATE, "size over elapsed.", worse="down", feature=True),
    Field("rtt_min", SECONDS, "The kernel's least round-trip time of the connection.", worse="up"),
    Field("rtt_mean", SECONDS, "Mean of the sampled smoothed round-trip times.", worse="up", feature=True),
    Field("rtt_max", SECONDS, "Highest sampled smoothed round-trip time.", worse="up"),
    Field("rtt_variation", SECONDS, "Mean of the sampled round-trip time deviations (RFC 6298).", worse="up"),
    Field("cwnd_min", BYTES, "Lowest sampled congestion window, times the segment size."),
    Field("cwnd_mean", BYTES, "Mean of the sampled congestion windows."),
    Field("cwnd_max", BYTES, "Highest sampled congestion window."),
    Field("ssthresh_mean", BYTES, "Mean of the sampled slow start thresholds; absent while there is none."),
    Field(
        "congestion_events",
        COUNT,
        "Reductions of the congestion window seen between samples: a lower bound.",
        kind=Kind.INTEGER,
        worse="up",
    ),
    Field("retransmits", COUNT, "Segments sent again.", kind=Kind.INTEGER, worse="up"),
    Field("retransmission_rate", RATIO, "Bytes sent again over all bytes sent.", worse="up", feature=True),
    Field("reorderings", COUNT, "Reordering events that the kernel saw.", kind=Kind.INTEGER, worse="up"),
    Field("out_of_order", COUNT, "Segments received out of order (download).", kind=Kind.INTEGER, worse="up"),
    Field("delivery_rate", LINE_RATE, "Highest sampled delivery rate that was not app-limited.", worse="down"),
    Field("busy", RATIO, "Share of the time with data to send or under way."),
    Field("receiver_limited", RATIO, "Share of the looks at which the peer's window held us back.", worse="up"),
    Field("sender_limited", RATIO, "Share of the time in which there was nothing to send, or no room to put it."),
    Field("efficiency", RATIO, "Bytes delivered over bytes that the window would have let through.", worse="down"),
    Field("bottleneck", TEXT, "What held it back, one word of a closed set.", kind=Kind.STRING),
    Field("analysis", TEXT, "The bottleneck and the figures that decided it, for a person to read.", kind=Kind.STRING),
    tags=("family", "direction"),
)

TCP_WINDOW_SAMPLE: Final = Measurement(
    "tcp_window_sample",
    (*ASSIGNMENT_TAGS, "target", "family", "direction"),
    (
        SEQ,
        Field("rtt", SECONDS, "Smoothed round-trip time.", worse="up"),
        Field("rttvar", SECONDS, "Its deviation (RFC 6298).", worse="up"),
        Field("cwnd", BYTES, "Congestion window, times the segment size."),
        Field("ssthresh", BYTES, "Slow start threshold; absent while there is none."),
        Field("peer_window", BYTES, "The peer's receive window."),
        Field("in_flight", BYTES, "Sent and neither acknowledged nor held lost."),
        Field("delivery_rate", LINE_RATE, "The kernel's newest delivery rate.", worse="down"),
        Field("retransmits", COUNT, "Segments sent again so far.", kind=Kind.INTEGER, worse="up"),
        Field("transferred", BYTES, "Bytes acknowledged or read so far.", kind=Kind.INTEGER),
    ),
    "The course of a tcp_window transfer: a bounded number of looks at the connection.",
)

TCP_FAMILY: Final = (TCP, TCP_WINDOW, TCP_WINDOW_SAMPLE)
