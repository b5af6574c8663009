from typing import Final

from streamswarm_core.catalogue.common import host_measurement
from streamswarm_core.catalogue.model import (
    BYTES,
    COUNT,
    DBM,
    DECIBELS,
    HERTZ,
    LINE_RATE,
    NUMBER,
    PER_SECOND,
    RATIO,
    STATE,
    TEXT,
    Field,
    Kind,
)

HOST_NET: Final = host_measurement(
    "host_net",
    "One network interface, over the time since the last run.",
    Field("up", STATE, "1 if the interface is up.", kind=Kind.INTEGER, worse="down"),
    Field("received", LINE_RATE, "Received through the interface.", feature=True),
    Field("sent", LINE_RATE, "Sent through the interface.", feature=True),
    Field("packets_received", PER_SECOND, "Packets received."),
    Field("packets_sent", PER_SECOND, "Packets sent."),
    Field("errors_in", PER_SECOND, "Receive errors.", worse="up"),
    Field("errors_out", PER_SECOND, "Transmit errors.", worse="up"),
    Field("drops_in", PER_SECOND, "Received packets dropped.", worse="up"),
    Field("drops_out", PER_SECOND, "Outgoing packets dropped.", worse="up"),
    Field("missed", PER_SECOND, "Received packets that found no room in the card's queue.", worse="up"),
    Field("overruns", PER_SECOND, "Received packets lost in the card's own memory.", worse="up"),
    Field("crc_errors", PER_SECOND, "Received frames with a wrong checksum: cable, plug, optics.", worse="up"),
    Field("frame_errors", PER_SECOND, "Received frames of a broken length.", worse="up"),
    Field("symbol_errors", PER_SECOND, "Symbols that the physical layer couldn't read.", worse="up"),
    Field("carrier_errors", PER_SECOND, "Frames not sent for want of a carrier.", worse="up"),
    Field("collisions", PER_SECOND, "Collisions; on a full-duplex link a duplex mismatch.", worse="up"),
    Field("carrier_changes", PER_SECOND, "Times that the link came or went.", worse="up"),
    Field("pause_received", PER_SECOND, "Pause frames received: the peer asks to send less (802.3x).", worse="up"),
    Field("pause_sent", PER_SECOND, "Pause frames sent: this host can't take more (802.3x).", worse="up"),
    Field("speed", LINE_RATE, "Speed of the link in one direction; absent where there is none, as for loopback."),
    Field("full_duplex", STATE, "1 if both directions can be used at once.", kind=Kind.INTEGER, worse="down"),
    Field("utilisation", RATIO, "Share of the link's speed in use, of the busier direction.", worse="up"),
    Field("mtu", BYTES, "Maximum transmission unit.", kind=Kind.INTEGER),
    tags=("interface",),
)

HOST_TCP: Final = host_measurement(
    "host_tcp",
    "TCP of the agent's network namespace, IPv4 and IPv6 together; rates are over the time since the last run.",
    Field("connections", COUNT, "Connections in any state but listening.", kind=Kind.INTEGER),
    Field("established", COUNT, "Established.", kind=Kind.INTEGER),
    Field("listening", COUNT, "Listening sockets.", kind=Kind.INTEGER),
    Field("syn_sent", COUNT, "Connecting.", kind=Kind.INTEGER, worse="up"),
    Field("syn_received", COUNT, "Being accepted.", kind=Kind.INTEGER, worse="up"),
    Field("fin_wait", COUNT, "Closed here, not there.", kind=Kind.INTEGER),
    Field("time_wait", COUNT, "Closed, waiting for late segments.", kind=Kind.INTEGER),
    Field("close_wait", COUNT, "Closed there, not here: a program that forgets.", kind=Kind.INTEGER, worse="up"),
    Field("last_ack", COUNT, "Closed on both sides, not confirmed.", kind=Kind.INTEGER),
    Field("closing", COUNT, "Closed on both sides at once.", kind=Kind.INTEGER),
    Field("orphaned", COUNT, "Connections that no program holds any more.", kind=Kind.INTEGER),
    Field("opened", PER_SECOND, "Connections begun from here."),
    Field("accepted", PER_SECOND, "Connections begun from elsewhere."),
    Field("failed", PER_SECOND, "Connections that were not established.", worse="up"),
    Field("reset", PER_SECOND, "Connections reset while established.", worse="up"),
    Field("resets_sent", PER_SECOND, "Resets sent.", worse="up"),
    Field("segments_received", PER_SECOND, "Segments received."),
    Field("segments_sent", PER_SECOND, "Segments sent, without retransmissions."),
    Field("bad_segments", PER_SECOND, "Segments received that were broken.", worse="up"),
    Field("retransmits", PER_SECOND, "Segments sent again.", worse="up"),
    Field("retransmission", RATIO, "Share of the segments sent that were sent again.", worse="up", feature=True),
    Field("timeouts", PER_SECOND, "Retransmission timers that ran out.", worse="up"),
    Field("lost_retransmits", PER_SECOND, "Retransmitted segments that were lost again.", worse="up"),
    Field("out_of_order", PER_SECOND, "Segments received out of order.", worse="up"),
    Field("duplicates_received", PER_SECOND, "Segments received twice, acknowledged with a DSACK.", worse="up"),
    Field(
        "duplicates_sent", PER_SECOND, "Duplicate acknowledgements (DSACK) received: sent again in vain.", worse="up"
    ),
    Field("listen_overflows", PER_SECOND, "Connections refused because a listener's queue was full.", worse="up"),
    Field("listen_drops", PER_SECOND, "SYNs that a listener dropped, for any reason.", worse="up"),
    Field("congestion_marks", PER_SECOND, "Packets received that a router marked as congested (ECN).", worse="up"),
)

HOST_UDP: Final = host_measurement(
    "host_udp",
    "UDP of the agent's network namespace, IPv4 and IPv6 together, over the time since the last run.",
    Field("received", PER_SECOND, "Datagrams delivered to programs."),
    Field("sent", PER_SECOND, "Datagrams sent."),
    Field("no_port", PER_SECOND, "Datagrams for a port where nobody listens."),
    Field("receive_errors", PER_SECOND, "Datagrams that could not be delivered, for any reason.", worse="up"),
    Field("receive_buffer_errors", PER_SECOND, "Datagrams lost because a program read too slowly.", worse="up"),
    Field("send_buffer_errors", PER_SECOND, "Datagrams not sent for want of buffers.", worse="up"),
    Field("checksum_errors", PER_SECOND, "Datagrams with a wrong checksum.", worse="up"),
)

HOST_WIFI: Final = host_measurement(
    "host_wifi",
    "One WiFi interface with a link.",
    Field(
        "signal", DBM, "Strength of the access point's signal, mean of the run's samples.", worse="down", feature=True
    ),
    Field("signal_min", DBM, "The weakest sample.", worse="down"),
    Field("signal_max", DBM, "The strongest sample."),
    Field("signal_samples", COUNT, "Samples of the signal in this run.", kind=Kind.INTEGER),
    Field("noise", DBM, "Noise on the channel.", worse="up"),
    Field("snr", DECIBELS, "Signal above noise.", worse="down"),
    Field("quality", NUMBER, "The driver's own figure of the link's quality, mostly of 70.", worse="down"),
    Field("frequency", HERTZ, "Middle of the primary channel."),
    Field("transmit_rate", LINE_RATE, "Rate at which frames are sent.", worse="down"),
    Field("receive_rate", LINE_RATE, "Rate at which frames are received.", worse="down"),
    Field("retries", PER_SECOND, "Frames sent again.", worse="up"),
    Field("retry_share", NUMBER, "Frames sent again for each that was sent; may pass 1.", worse="up"),
    Field("failures", PER_SECOND, "Frames given up.", worse="up"),
    Field("beacon_losses", PER_SECOND, "Times that the access point's beacons stayed away.", worse="up"),
    Field("channel_busy", RATIO, "Share of time in which the channel was in use, by anybody.", worse="up"),
    Field("ssid", TEXT, "Name of the network.", kind=Kind.STRING),
    Field("bssid", TEXT, "Address of the access point; it changes when the host roams.", kind=Kind.STRING),
    tags=("interface",),
)

HOST_WIFI_SCAN: Final = host_measurement(
    "host_wifi_scan",
    "The air around one WiFi interface; only if asked for, because listening interrupts the link.",
    Field("networks", COUNT, "Access points heard, without the own one.", kind=Kind.INTEGER),
    Field("same_channel", COUNT, "Those on the same channel.", kind=Kind.INTEGER, worse="up"),
    Field("strongest_same_channel", DBM, "Signal of the strongest of these.", worse="up"),
    tags=("interface",),
)

HOST_NETWORK: Final = (HOST_NET, HOST_TCP, HOST_UDP, HOST_WIFI, HOST_WIFI_SCAN)
