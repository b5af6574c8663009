"""TCP: whose delay a handshake shows, and what holds a transfer back."""

from typing import Final

from streamswarm_core.catalogue.tcp import TCP, TCP_WINDOW, TCP_WINDOW_SAMPLE
from streamswarm_grafana.ask import Ask, Column, How, over_time, table
from streamswarm_grafana.panel import DOWN_UP, Board, Kind, Panel, Row

_PAIR: Final = ("agent", "target")
_ARROW: Final = "{agent} → {target}"
_WAY: Final = ("agent", "target", "direction")
_WAYS: Final = "{agent} → {target} {direction}"
_SLOW: Final = "5m"

TCP_BOARD: Final = Board(
    key="tcp",
    title="TCP",
    about="Handshakes split into the network's and the server's part; bulk transfers and what limited them.",
    about_measurements=(TCP, TCP_WINDOW),
    rows=(
        Row(
            "Handshake",
            (
                Panel(
                    kind=Kind.STATES,
                    title="Answers",
                    asks=(over_time(TCP, "up", How.MIN, by=_PAIR, legend=_ARROW),),
                    states=DOWN_UP,
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Connect",
                    asks=(over_time(TCP, "connect", by=_PAIR, legend=_ARROW),),
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="SYNs sent again",
                    asks=(over_time(TCP, "syn_retransmits", How.MAX, by=_PAIR, legend=_ARROW),),
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Phases",
                    asks=(Ask(TCP, (Column("resolve"), Column("syn_ack"), Column("ack"), Column("response"))),),
                    stacked=True,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Network and server",
                    asks=(
                        Ask(TCP, (Column("network_delay", name="network"), Column("server_processing", name="server"))),
                    ),
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Slowest",
                    asks=(
                        table(
                            TCP,
                            Column("connect"),
                            Column("network_delay", name="network"),
                            Column("server_processing", name="server"),
                            Column("syn_retransmits", How.MAX, "SYNs again"),
                            Column("mss", How.LAST, "MSS", "suffix: B"),
                            Column("finding", How.LAST),
                            Column("error", How.LAST, "last error"),
                            by=_PAIR,
                        ),
                    ),
                    worst="connect",
                    width=24,
                ),
            ),
        ),
        Row(
            "Transfer",
            (
                Panel(
                    kind=Kind.LINES,
                    title="Throughput",
                    asks=(over_time(TCP_WINDOW, "throughput", by=_WAY, legend=_WAYS),),
                    every=_SLOW,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="What held it back",
                    asks=(
                        Ask(
                            TCP_WINDOW,
                            (
                                Column("receiver_limited", name="receiver's window"),
                                Column("sender_limited", name="send buffer"),
                                Column("busy", name="busy"),
                            ),
                        ),
                    ),
                    every=_SLOW,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Retransmission rate",
                    asks=(over_time(TCP_WINDOW, "retransmission_rate", How.MAX, by=_WAY, legend=_WAYS),),
                    every=_SLOW,
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Congestion window",
                    asks=(
                        Ask(
                            TCP_WINDOW,
                            (
                                Column("cwnd_min", name="min"),
                                Column("cwnd_mean", name="mean"),
                                Column("cwnd_max", name="max"),
                            ),
                        ),
                    ),
                    every=_SLOW,
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Round trip under load",
                    asks=(
                        Ask(
                            TCP_WINDOW,
                            (
                                Column("rtt_min", name="min"),
                                Column("rtt_mean", name="mean"),
                                Column("rtt_max", name="max"),
                            ),
                        ),
                    ),
                    every=_SLOW,
                    width=8,
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Bottlenecks",
                    asks=(
                        table(
                            TCP_WINDOW,
                            Column("throughput", How.MIN, "least throughput"),
                            Column("efficiency", How.MIN),
                            Column("retransmits", How.MAX),
                            Column("bottleneck", How.LAST),
                            Column("congestion_control", How.LAST, "algorithm"),
                            Column("analysis", How.LAST),
                            by=_WAY,
                        ),
                    ),
                    worst="efficiency",
                    width=24,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Course of transfers: window and data in flight",
                    asks=(
                        Ask(
                            TCP_WINDOW_SAMPLE,
                            (Column("cwnd"), Column("in_flight"), Column("peer_window"), Column("ssthresh")),
                        ),
                    ),
                    every=_SLOW,
                    note="Zoom into one transfer to see its course.",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Course of transfers: delivery rate",
                    asks=(over_time(TCP_WINDOW_SAMPLE, "delivery_rate", by=_WAY, legend=_WAYS),),
                    every=_SLOW,
                ),
            ),
        ),
    ),
)
