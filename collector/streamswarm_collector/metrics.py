from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class CollectorMetrics:
    """What the collector says of itself on `/metrics`, in a registry of its own."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        self.points: Final = Counter("streamswarm_collector_points", "Points made durable.", registry=self.registry)
        self.batches: Final = Counter(
            "streamswarm_collector_batches", "Requests with at least one point made durable.", registry=self.registry
        )
        self.refused: Final = Counter(
            "streamswarm_collector_refused_lines", "Lines refused.", ["reason"], registry=self.registry
        )
        self.rejected: Final = Counter(
            "streamswarm_collector_rejected_requests", "Requests refused whole.", ["status"], registry=self.registry
        )
        self.wal_bytes: Final = Gauge(
            "streamswarm_collector_wal_bytes", "Size of the write-ahead log.", registry=self.registry
        )
        self.wal_age: Final = Gauge(
            "streamswarm_collector_wal_oldest_seconds",
            "Age of the oldest part of the log that a sink still needs.",
            registry=self.registry,
        )
        self.sink_lag: Final = Gauge(
            "streamswarm_collector_sink_lag_batches",
            "Durable batches that a sink has not taken.",
            ["sink"],
            registry=self.registry,
        )
        self.sink_up: Final = Gauge(
            "streamswarm_collector_sink_up", "1 if a sink took what it was last sent.", ["sink"], registry=self.registry
        )
        self.series: Final = Gauge(
            "streamswarm_collector_series", "Series in the embedded store.", registry=self.registry
        )
        self.flush: Final = Histogram(
            "streamswarm_collector_flush_seconds",
            "Duration of a flush of the embedded store.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.query: Final = Histogram(
            "streamswarm_collector_query_seconds", "Duration of a query.", buckets=_SECONDS, registry=self.registry
        )
