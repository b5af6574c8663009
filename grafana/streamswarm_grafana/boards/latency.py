"""Round trips and loss: how the distribution moves, not only its mean."""

from typing import Final

from streamswarm_core.catalogue.distribution import ICMP_RTT
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.sketch import BOUNDS_NS, BUCKET_FIELDS
from streamswarm_grafana.ask import Column, How, Raw, over_time, table
from streamswarm_grafana.panel import Board, Kind, Panel, Row
from streamswarm_grafana.thresholds import Limits

_PAIR: Final = ("agent", "target")
_ARROW: Final = "{agent} → {target}"

_BOUNDS: Final = list(zip(BUCKET_FIELDS, BOUNDS_NS, strict=False))
_BUCKETS: Final = ", ".join(f'sum("{name}") AS "{bound / 1e9:g}"' for name, bound in _BOUNDS)
# Names become bounds in seconds, of one length, so that their order as text is their order as numbers.
_NUMBERS: Final = ", ".join(f'"{name.removeprefix("to_")}", "{bound / 1e9:011.8f}"' for name, bound in _BOUNDS)
_WRITTEN_BUCKETS: Final = (
    'sort_by_label(label_map(sum by (le) (label_replace(sum_over_time(<icmp_rtt.bucket>[$__interval]) keep_metric_names, "le", '
    f'"$1", "__name__", "icmp_rtt_to_(.+)")), "le", {_NUMBERS}), "le")'
)


def _percentile(share: int, name: str) -> Raw:
    """Of all echoes where the store has a histogram, of the runs' means elsewhere."""
    level = share / 100
    return Raw(
        ICMP.tags,
        influxql=f'SELECT percentile("rtt_mean", {share}) FROM "icmp" WHERE <where> GROUP BY time($__interval) fill(none)',
        promql=f"histogram_quantile({level:g}, sum by (le) (rate(<icmp_rtt.bucket>[$__interval])))",
        written=f"quantile({level:g}, quantile_over_time({level:g}, <icmp.rtt_mean>[$__interval]))",
        legend=name,
    )


_BANDS: Final = Panel(
    kind=Kind.LINES,
    title="Smoke: bands of the round trip",
    width=15,
    height=10,
    asks=(
        _percentile(10, "p10"),
        _percentile(25, "p25"),
        _percentile(50, "median"),
        _percentile(75, "p75"),
        _percentile(90, "p90"),
    ),
    band=(("p10", "p90"), ("p25", "p75")),
    unit="s",
    # InfluxQL's percentile() takes the nearest rank, which five values have for 10 %.
    every="5m",
    note="The middle half is dark, the middle four fifths light. With Prometheus these are percentiles of all echoes, from the "
    "histogram; with InfluxQL and written points they are percentiles of the runs' means, and the heatmap has every echo.",
)

_HEAT: Final = Panel(
    kind=Kind.HEAT,
    title="Where round trips lie",
    width=24,
    height=9,
    unit="s",
    asks=(
        Raw(
            ICMP_RTT.tags,
            influxql=f'SELECT {_BUCKETS} FROM "icmp_rtt" WHERE <where> GROUP BY time($__interval) fill(none)',
            promql="sum by (le) (increase(<icmp_rtt.bucket>[$__rate_interval]))",
            written=_WRITTEN_BUCKETS,
            legend="{le}",
            heatmap=True,
        ),
    ),
    note=ICMP_RTT.help,
)

LATENCY: Final = Board(
    key="latency",
    title="Latency and loss",
    about="Round-trip time as a distribution, loss and jitter of every pair of agent and target (ICMP echo).",
    about_measurements=(ICMP,),
    rows=(
        Row(
            "Now",
            (
                Panel(kind=Kind.TILES, title="Loss", asks=(over_time(ICMP, "loss", legend="loss"),), width=6, height=5),
                Panel(
                    kind=Kind.TILES,
                    title="Round trip",
                    asks=(over_time(ICMP, "rtt_mean", legend="rtt"),),
                    width=6,
                    height=5,
                ),
                Panel(
                    kind=Kind.TILES,
                    title="Jitter",
                    asks=(over_time(ICMP, "jitter", legend="jitter"),),
                    width=6,
                    height=5,
                ),
                Panel(
                    kind=Kind.TILES,
                    title="Share of runs answered",
                    asks=(over_time(ICMP, "up", legend="up"),),
                    width=6,
                    height=5,
                    unit="percentunit",
                    limits=Limits(0.99, 0.9, falling=True),
                ),
            ),
        ),
        Row(
            "Distribution",
            (
                _BANDS,
                Panel(
                    kind=Kind.TABLE,
                    title="Worst pairs in the range",
                    asks=(
                        table(
                            ICMP,
                            Column("loss", How.MEAN, "mean loss"),
                            Column("rtt_mean", How.MEAN, "mean round trip"),
                            Column("rtt_max", How.MAX, "longest"),
                            by=_PAIR,
                        ),
                    ),
                    worst="mean loss",
                    width=9,
                    height=10,
                ),
                _HEAT,
            ),
        ),
        Row(
            "By pair",
            (
                Panel(
                    kind=Kind.LINES,
                    title="Loss",
                    asks=(over_time(ICMP, "loss", How.MAX, by=_PAIR, legend=_ARROW),),
                    width=24,
                ),
                Panel(
                    kind=Kind.LINES, title="Round trip", asks=(over_time(ICMP, "rtt_mean", by=_PAIR, legend=_ARROW),)
                ),
                Panel(kind=Kind.LINES, title="Jitter", asks=(over_time(ICMP, "jitter", by=_PAIR, legend=_ARROW),)),
                Panel(
                    kind=Kind.LINES,
                    title="Overtaken, doubled and late replies",
                    asks=(
                        over_time(ICMP, "reordered", How.MAX, legend="reordered"),
                        over_time(ICMP, "duplicates", How.MAX, legend="duplicates"),
                        over_time(ICMP, "late", How.MAX, legend="late"),
                    ),
                ),
                Panel(
                    kind=Kind.LINES,
                    title="TTL of replies",
                    asks=(over_time(ICMP, "ttl", How.MIN, by=_PAIR, legend=_ARROW),),
                    note="A step is another way back.",
                    floor=None,
                ),
            ),
        ),
    ),
)
