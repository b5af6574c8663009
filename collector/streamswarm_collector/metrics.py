from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX: Final = "streamswarm_collector"
_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_MOST_WRITERS_SHOWN: Final = 20


class CollectorMetrics:
    """What the collector says of itself on `/metrics`, in a registry of its own."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        self.points: Final = self._counter("points", "Points made durable.")
        self.batches: Final = self._counter("batches", "Requests with at least one point made durable.")
        self.bytes: Final = self._counter("received_bytes", "Line protocol received, unpacked.")
        self.foreign: Final = self._counter(
            "foreign_points", "Points made durable of measurements that the catalogue does not declare."
        )
        self.refused: Final = self._counter("refused_lines", "Lines refused.", "reason")
        self.rejected: Final = self._counter("rejected_requests", "Write requests refused, in part or whole.", "status")
        self.intake: Final = self._gauge(
            "intake_bytes", "Line protocol in memory on its way to the log and the embedded store."
        )
        self.wal_bytes: Final = self._gauge("wal_bytes", "Size of the write-ahead log.")
        self.wal_age: Final = self._gauge("wal_oldest_seconds", "Age of the oldest record that a sink lacks.")
        self.sink_lag: Final = self._gauge("sink_lag_batches", "Durable batches that a sink has not taken.", "sink")
        self.sink_age: Final = self._gauge("sink_lag_seconds", "Age of the oldest batch that a sink lacks.", "sink")
        self.sink_up: Final = self._gauge("sink_up", "1 if a sink took what it was last sent.", "sink")
        self.sink_retries: Final = self._counter("sink_retries", "Requests that a sink has to send again.", "sink")
        self.sink_dead_letters: Final = self._counter(
            "sink_dead_letter_lines", "Lines set aside since the start because the peer refused them.", "sink"
        )
        self.sink_dead_bytes: Final = self._gauge("sink_dead_letter_bytes", "Size of what is set aside.", "sink")
        self.series: Final = self._gauge("series", "Series in the embedded store.")
        self.writer_series: Final = self._gauge(
            "writer_series",
            "Series by the agent or token that writes them; the largest, and the others together.",
            "writer",
        )
        self.store_bytes: Final = self._gauge(
            "store_bytes", "Size of the embedded store: its table file, and cold days in Parquet files.", "tier"
        )
        self.maintenance_seconds: Final = self._gauge(
            "maintenance_seconds", "Duration of the last run of a job of the embedded store.", "job"
        )
        self.maintenance_failed: Final = self._gauge(
            "maintenance_failed", "1 if the last run of a job of the embedded store failed.", "job"
        )
        self.flush: Final = self._histogram("flush_seconds", "Duration of a flush of the embedded store.")
        self.query: Final = self._histogram("query_seconds", "Duration of a query.")

    def show_writers(self, series: dict[str, int]) -> None:
        """Set the gauges by writer: those with most series, the rest as `other`."""
        largest = sorted(series, key=lambda writer: (-series[writer], writer))
        shown = {writer or "unknown": series[writer] for writer in largest[:_MOST_WRITERS_SHOWN]}
        others = sum(series[writer] for writer in largest[_MOST_WRITERS_SHOWN:])
        self.writer_series.clear()
        for writer, count in (shown | ({"other": others} if others else {})).items():
            self.writer_series.labels(writer).set(count)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", text, buckets=_SECONDS, registry=self.registry)
