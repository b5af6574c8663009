"""StreamSwarm watching itself: agents by what they write, services by what they expose."""

from typing import Final

from streamswarm_core.catalogue.model import PER_SECOND
from streamswarm_core.catalogue.platform import AGENT, RUN
from streamswarm_grafana.ask import Column, How, Raw, over_time, table
from streamswarm_grafana.panel import Board, Kind, Panel, Row
from streamswarm_grafana.thresholds import Limits

_BY: Final = ("agent",)


def _stack(expression: str, legend: str = "") -> Raw:
    return Raw((), promql=expression, legend=legend, stack=True)


def _rate(metric: str, label: str = "") -> Raw:
    by = f" by ({label})" if label else " by (instance)"
    return _stack(f"sum{by} (rate({metric}[$__rate_interval]))", f"{{{label or 'instance'}}}")


def _quantiles(metric: str) -> tuple[Raw, ...]:
    return tuple(
        _stack(f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[$__rate_interval])))", name)
        for share, name in ((0.5, "median"), (0.95, "p95"), (0.99, "p99"))
    )


def _lines(title: str, *asks: Raw, unit: str, note: str, width: int = 8, limits: Limits | None = None) -> Panel:
    return Panel(kind=Kind.LINES, title=title, asks=asks, unit=unit, note=note, width=width, limits=limits)


PLATFORM: Final = Board(
    key="platform",
    title="StreamSwarm itself",
    about="Whether points arrive: agents, their queues and clocks, the collector's log, sinks and store, the ML service.",
    about_measurements=(AGENT,),
    variables=("site", "agent"),
    stack=True,
    rows=(
        Row(
            "Agents",
            (
                Panel(
                    kind=Kind.TABLE,
                    title="Agents",
                    asks=(
                        table(
                            AGENT,
                            Column("assignments", How.LAST),
                            Column("refused", How.LAST),
                            Column("lag", How.MAX, "longest lag"),
                            Column("oldest_queued", How.MAX, "oldest queued"),
                            Column("cpu"),
                            Column("memory", How.LAST),
                            Column("clock_offset", How.LAST),
                            by=("site", "agent"),
                        ),
                    ),
                    worst="oldest queued",
                    most=50,
                    width=24,
                    height=9,
                ),
                Panel(kind=Kind.LINES, title="Runs", asks=(over_time(AGENT, "runs", How.RATE, by=_BY),), width=8),
                Panel(kind=Kind.LINES, title="Lag", asks=(over_time(AGENT, "lag", How.MAX, by=_BY),), width=8),
                Panel(
                    kind=Kind.LINES,
                    title="Skipped runs",
                    asks=(over_time(AGENT, "skipped", How.RATE, by=_BY),),
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Points waiting",
                    asks=(over_time(AGENT, "queued_points", How.MAX, by=_BY),),
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Oldest waiting point",
                    asks=(over_time(AGENT, "oldest_queued", How.MAX, by=_BY),),
                    width=8,
                ),
                Panel(
                    kind=Kind.LINES,
                    title="Points given up",
                    asks=(over_time(AGENT, "dropped_points", How.INCREASE, by=_BY),),
                    width=8,
                ),
                Panel(kind=Kind.LINES, title="Processor", asks=(over_time(AGENT, "cpu", by=_BY),), width=8),
                Panel(kind=Kind.LINES, title="Memory", asks=(over_time(AGENT, "memory", How.MAX, by=_BY),), width=8),
                Panel(
                    kind=Kind.TABLE,
                    title="Why runs didn't start",
                    asks=(table(RUN, Column("skipped", How.LAST), by=("agent", "test", "reason")),),
                    worst="skipped",
                    width=8,
                    empty="every run started",
                ),
            ),
        ),
        Row(
            "Collector",
            (
                _lines(
                    "Points",
                    _rate("streamswarm_collector_points_total"),
                    unit=PER_SECOND.grafana,
                    note="Points made durable.",
                ),
                _lines(
                    "Received",
                    _rate("streamswarm_collector_received_bytes_total"),
                    unit="Bps",
                    note="Line protocol, unpacked.",
                ),
                _lines(
                    "Refused lines",
                    _rate("streamswarm_collector_refused_lines_total", "reason"),
                    unit=PER_SECOND.grafana,
                    note="Lines refused, by reason: syntax, type_conflict, series_limit.",
                ),
                _lines(
                    "Write-ahead log",
                    _stack("max by (instance) (streamswarm_collector_wal_bytes)", "{instance}"),
                    unit="bytes",
                    note="Size of the log; it grows while a sink is away.",
                ),
                _lines(
                    "Oldest record that a sink lacks",
                    _stack("max by (instance) (streamswarm_collector_wal_oldest_seconds)", "{instance}"),
                    unit="s",
                    note="Age of the oldest record in the log that any sink lacks.",
                    limits=Limits(60, 600),
                ),
                _lines(
                    "Rejected requests",
                    _rate("streamswarm_collector_rejected_requests_total", "status"),
                    unit=PER_SECOND.grafana,
                    note="Write requests refused, in part or whole, by HTTP status.",
                ),
                _lines(
                    "Flushes",
                    *_quantiles("streamswarm_collector_flush_seconds"),
                    unit="s",
                    note="Duration of a flush of the embedded store.",
                ),
                _lines(
                    "Queries",
                    *_quantiles("streamswarm_collector_query_seconds"),
                    unit="s",
                    note="Duration of a query: the latency of the API that panels use.",
                ),
                _lines(
                    "Series by writer",
                    _stack("max by (writer) (streamswarm_collector_writer_series)", "{writer}"),
                    unit="none",
                    note="Series by the agent or token that writes them.",
                ),
                _lines(
                    "On their way in",
                    _stack("max by (instance) (streamswarm_collector_intake_bytes)", "{instance}"),
                    unit="bytes",
                    note="Line protocol in memory on its way to the log; at max_intake_bytes senders are told to wait.",
                ),
                _lines(
                    "Foreign points",
                    _rate("streamswarm_collector_foreign_points_total"),
                    unit=PER_SECOND.grafana,
                    note="Points of measurements that the catalogue doesn't have, such as Telegraf's.",
                ),
                _lines(
                    "Embedded store",
                    _stack("max by (tier) (streamswarm_collector_store_bytes)", "{tier}"),
                    unit="bytes",
                    note="Its table file, and cold days in Parquet files.",
                ),
            ),
        ),
        Row(
            "Control plane and ML service",
            (
                _lines(
                    "Agents by state",
                    _stack("max by (state) (streamswarm_controlplane_agents)", "{state}"),
                    unit="none",
                    note="As the control plane counts them.",
                    width=6,
                ),
                _lines(
                    "Series watched",
                    _stack("sum(streamswarm_ml_series)", "series"),
                    unit="none",
                    note="Series that are scored.",
                    width=6,
                ),
                _lines(
                    "Lag",
                    _stack("max(streamswarm_ml_lag_seconds)", "lag"),
                    unit="s",
                    note="Age of the newest scored point.",
                    width=6,
                    limits=Limits(120, 600),
                ),
                _lines(
                    "Cycle",
                    _stack("max(streamswarm_ml_cycle_seconds)", "cycle"),
                    unit="s",
                    note="Duration of the last cycle.",
                    width=6,
                ),
            ),
        ),
    ),
)
