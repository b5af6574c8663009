"""Classes of traffic, directions apart, and how much fits through."""

from typing import Final

from streamswarm_core.catalogue.bandwidth import BANDWIDTH, BANDWIDTH_SECOND
from streamswarm_core.catalogue.qos import QOS, QOS_CLASS
from streamswarm_core.catalogue.stamp import STAMP
from streamswarm_grafana.ask import Ask, Column, How, over_time, table
from streamswarm_grafana.panel import Board, Kind, Panel, Row

_PAIR: Final = ("agent", "target")
_ARROW: Final = "{agent} → {target}"
_CLASS: Final = ("agent", "target", "dscp")
_SEEN: Final = "{agent} → {target} {dscp}"


def _ways(title: str, field: str, width: int = 8, note: str = "") -> Panel:
    columns = (Column(f"{field}_there", name="there"), Column(f"{field}_back", name="back"))
    asks = (Ask(STAMP, columns, _PAIR, _ARROW),)
    return Panel(kind=Kind.LINES, title=title, asks=asks, width=width, note=note)


QOS_BOARD: Final = Board(
    key="qos",
    title="QoS, directions and bandwidth",
    about="What becomes of DSCP and ECN, whether classes are treated as agreed, loss and jitter of each direction, bandwidth.",
    about_measurements=(QOS, STAMP, BANDWIDTH),
    rows=(
        Row(
            "Classes",
            (
                Panel(
                    kind=Kind.STATES,
                    title="Policy kept",
                    asks=(over_time(QOS_CLASS, "compliant", How.MIN, by=_CLASS, legend=_SEEN),),
                    states=("broken", "kept"),
                    width=24,
                    every="5m",
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Newest findings",
                    asks=(
                        table(
                            QOS_CLASS,
                            Column("loss", How.LAST),
                            Column("rtt_difference", How.LAST, "against best effort"),
                            Column("marking", How.LAST),
                            Column("marking_hop", How.LAST),
                            Column("marking_address", How.LAST),
                            Column("limit", How.LAST),
                            Column("limit_rate", How.LAST),
                            Column("violations", How.LAST),
                            by=_CLASS,
                        ),
                    ),
                    worst="loss",
                    most=30,
                    width=24,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Round trip by class",
                    asks=(over_time(QOS_CLASS, "rtt_mean", by=_CLASS, legend=_SEEN),),
                    every="5m",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Loss by class",
                    asks=(over_time(QOS_CLASS, "loss", by=_CLASS, legend=_SEEN),),
                    every="5m",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Delivered rate",
                    asks=(over_time(QOS_CLASS, "delivered_rate", by=_CLASS, legend=_SEEN),),
                    width=8,
                    every="5m",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Waiting in queues",
                    asks=(over_time(QOS_CLASS, "queue_delay", How.MAX, by=_CLASS, legend=_SEEN),),
                    width=8,
                    every="5m",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Bleached and rewritten classes",
                    asks=(
                        Ask(
                            QOS, (Column("bleached", How.MAX), Column("rewritten", How.MAX), Column("limited", How.MAX))
                        ),
                    ),
                    width=8,
                    every="5m",
                ),
            ),
        ),
        Row(
            "Directions (STAMP)",
            (
                _ways("Loss", "loss"),
                _ways("Jitter", "jitter"),
                _ways("Delay variation, 95th percentile", "pdv"),
                Panel(
                    kind=Kind.LINES,
                    title="Round trip",
                    asks=(over_time(STAMP, "rtt_mean", by=_PAIR, legend=_ARROW),),
                    width=8,
                ),
                _ways(
                    "One-way delay",
                    "owd_mean",
                    note="Absent unless both clocks are kept; owd_error says how wrong it can be.",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="How wrong one-way delays can be",
                    asks=(over_time(STAMP, "owd_error", How.MAX, by=_PAIR, legend=_ARROW),),
                    width=8,
                ),
            ),
        ),
        Row(
            "Bandwidth",
            (
                Panel(
                    kind=Kind.LINES,
                    title="Download and upload",
                    asks=(Ask(BANDWIDTH, (Column("download"), Column("upload")), _PAIR, _ARROW),),
                    every="15m",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Delay before and under load",
                    asks=(
                        Ask(
                            BANDWIDTH,
                            (
                                Column("rtt_idle", name="idle"),
                                Column("rtt_download", name="download"),
                                Column("rtt_upload", name="upload"),
                            ),
                        ),
                    ),
                    every="15m",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Bufferbloat",
                    asks=(over_time(BANDWIDTH, "bufferbloat", How.MAX, by=_PAIR, legend=_ARROW),),
                    width=7,
                    every="15m",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Seconds of the tests",
                    asks=(
                        over_time(
                            BANDWIDTH_SECOND, "rate", by=(*_PAIR, "direction"), legend="{agent} → {target} {direction}"
                        ),
                    ),
                    width=7,
                    every="15m",
                    note="Zoom into one test to see its course.",
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Newest tests",
                    asks=(
                        table(
                            BANDWIDTH,
                            Column("download", How.LAST),
                            Column("upload", How.LAST),
                            Column("bufferbloat", How.LAST),
                            Column("error", How.LAST),
                            by=_PAIR,
                        ),
                    ),
                    worst="download",
                    width=10,
                ),
            ),
        ),
    ),
)
