"""Which way packets go, hop by hop, when that changed, and what fits through."""

from typing import Final

from streamswarm_core.catalogue.path import MTU, TRACEROUTE, TRACEROUTE_FLOW, TRACEROUTE_HOP
from streamswarm_grafana.ask import Column, How, Raw, over_time, table
from streamswarm_grafana.panel import Board, Kind, Panel, Row

_PAIR: Final = ("agent", "target")
_ARROW: Final = "{agent} → {target}"
_HOP: Final = ("agent", "target", "hop")

_CHANGES: Final = Raw(
    TRACEROUTE.tags,
    influxql='SELECT "agent"::tag, "target"::tag, "changed_hop" AS "hop", "changed_from" AS "was", "changed_to" AS "is", '
    '"path_hash" AS "path" FROM "traceroute" WHERE <where> AND "path_changed" = 1 ORDER BY time DESC LIMIT 100',
    table=True,
)

PATHS: Final = Board(
    key="paths",
    title="Paths",
    about="Hops and their delay over time, changes of the path with the hop that changed, path MTU and black holes.",
    about_measurements=(TRACEROUTE,),
    rows=(
        Row(
            "Path",
            (
                Panel(
                    kind=Kind.LINES,
                    title="Hops",
                    asks=(over_time(TRACEROUTE, "hops", How.MAX, by=_PAIR, legend=_ARROW),),
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Path changes",
                    asks=(over_time(TRACEROUTE, "path_changed", How.MAX, by=_PAIR, legend=_ARROW),),
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="What changed",
                    asks=(_CHANGES,),
                    unit="none",
                    width=24,
                    timed=True,
                    note="Each change: the first hop that differs, who stood there and who stands there now.",
                    empty="no path changed",
                ),
            ),
        ),
        Row(
            "Hops",
            (
                Panel(
                    kind=Kind.LINES,
                    title="Round trip by hop",
                    asks=(over_time(TRACEROUTE_HOP, "rtt_mean", by=_HOP, legend="{agent} → {target} hop {hop}"),),
                    height=10,
                ),
                Panel(
                    kind=Kind.STATES,
                    title="Loss by hop",
                    asks=(over_time(TRACEROUTE_HOP, "loss", How.MAX, by=_HOP, legend="{agent} → {target} hop {hop}"),),
                    height=10,
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Hops in the newest trace",
                    asks=(
                        table(
                            TRACEROUTE_HOP,
                            Column("address", How.LAST),
                            Column("name", How.LAST),
                            Column("asn", How.LAST, "AS"),
                            Column("as_name", How.LAST, "operator"),
                            Column("country", How.LAST),
                            Column("loss", How.LAST),
                            Column("rtt_mean", How.LAST, "round trip"),
                            Column("branches", How.LAST),
                            by=_HOP,
                        ),
                    ),
                    width=24,
                    height=10,
                ),
                Panel(
                    kind=Kind.MAP,
                    title="Located hops",
                    asks=(
                        table(
                            TRACEROUTE_HOP,
                            Column("latitude", How.LAST),
                            Column("longitude", How.LAST),
                            Column("rtt_mean", How.LAST, "round trip"),
                            by=_HOP,
                        ),
                    ),
                    height=10,
                    unit="s",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="How straight the way is",
                    asks=(over_time(TRACEROUTE, "geographic_efficiency", How.MIN, by=_PAIR, legend=_ARROW),),
                    height=10,
                ),
            ),
        ),
        Row(
            "Where it breaks, and how wide it is",
            (
                Panel(
                    kind=Kind.TABLE,
                    title="Newest trace",
                    asks=(
                        table(
                            TRACEROUTE,
                            Column("up", How.LAST),
                            Column("loss", How.LAST),
                            Column("hops", How.LAST),
                            Column("failing_hop", How.LAST),
                            Column("failing_after", How.LAST),
                            Column("failing_address", How.LAST),
                            Column("loss_hop", How.LAST),
                            Column("loss_address", How.LAST),
                            Column("as_path", How.LAST),
                            by=_PAIR,
                        ),
                    ),
                    worst="loss",
                    most=50,
                    width=24,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Branches",
                    asks=(over_time(TRACEROUTE, "branches", How.MAX, by=_PAIR, legend=_ARROW),),
                    width=8,
                    note="Load is balanced where there is more than one; that is no change of the path.",
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Round trip by flow",
                    asks=(
                        over_time(TRACEROUTE_FLOW, "rtt", by=(*_PAIR, "flow"), legend="{agent} → {target} flow {flow}"),
                    ),
                    width=8,
                    note="Flows that take different paths, with the option multipath.",
                ),
                Panel(
                    kind=Kind.STATES,
                    title="Routers differ within a flow",
                    asks=(over_time(TRACEROUTE, "per_packet", How.MAX, by=_PAIR, legend=_ARROW),),
                    states=("they don't", "they differ"),
                    alarm=1,
                    width=8,
                ),
            ),
        ),
        Row(
            "MTU",
            (
                Panel(
                    kind=Kind.LINES,
                    title="Path MTU",
                    asks=(over_time(MTU, "pmtu", How.MIN, by=_PAIR, legend=_ARROW),),
                    every="5m",
                    unit="suffix: B",
                    floor=None,
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Newest path MTU",
                    asks=(
                        table(
                            MTU,
                            Column("pmtu", How.LAST, "path MTU", "suffix: B"),
                            Column("tcp_mss", How.LAST, "TCP MSS", "suffix: B"),
                            Column("black_hole", How.LAST),
                            Column("limiting_hop", How.LAST),
                            Column("limiting_address", How.LAST),
                            by=_PAIR,
                        ),
                    ),
                    worst="path MTU",
                ),
            ),
        ),
    ),
)
