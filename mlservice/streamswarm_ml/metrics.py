from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from streamswarm_ml.models import MODELS
from streamswarm_ml.operations import Operations
from streamswarm_ml.pipeline import Pipeline


class MlMetrics:
    """What the service says of itself, in a registry of its own."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        self._series = Gauge("streamswarm_ml_series", "Series watched.", registry=self.registry)
        self._unwatched = Gauge(
            "streamswarm_ml_series_not_watched", "Series beyond most_series, not scored.", registry=self.registry
        )
        self._open = Gauge("streamswarm_ml_open_anomalies", "Series in an anomaly.", registry=self.registry)
        self._lag = Gauge("streamswarm_ml_lag_seconds", "Age of the newest scored point.", registry=self.registry)
        self._cycle = Gauge("streamswarm_ml_cycle_seconds", "Duration of the last cycle.", registry=self.registry)
        self._state = Gauge("streamswarm_ml_state_bytes", "Size of the state on disk.", registry=self.registry)
        self._memory = Gauge("streamswarm_ml_memory_bytes", "Memory of the detectors.", registry=self.registry)
        self._points = Counter("streamswarm_ml_points", "Points scored.", registry=self.registry)
        self._failures = Counter("streamswarm_ml_failures", "Cycles that failed.", registry=self.registry)
        self._samples = self._of_model("samples", "Examples that a model has learned from.")
        self._trained = self._of_model("trained_until_timestamp_seconds", "End of the newest window a model has seen.")
        self._model_lag = self._of_model("lag_seconds", "Age of the newest window that a model has seen.")
        self._bytes = self._of_model("bytes", "Size of a model's versions on disk.")
        self._told_points = 0
        self._told_failures = 0

    def _of_model(self, name: str, told: str) -> Gauge:
        return Gauge(f"streamswarm_ml_model_{name}", told, ["model"], registry=self.registry)

    def observe_models(self, operations: Operations) -> None:
        """Bring the models' gauges up to date; reads the disk."""
        for name in MODELS:
            known = operations.gauge(name)
            self._samples.labels(name).set(known.samples)
            self._trained.labels(name).set(known.trained_until)
            self._model_lag.labels(name).set(known.lag)
            self._bytes.labels(name).set(known.bytes_on_disk)

    def observe(self, pipeline: Pipeline) -> None:
        """Bring the detectors' figures up to date."""
        counts = pipeline.counts
        self._series.set(len(pipeline.series))
        self._unwatched.set(counts.series_not_watched)
        self._open.set(len(pipeline.open_anomalies()))
        self._lag.set(counts.lag_seconds or 0)
        self._cycle.set(counts.last_seconds)
        self._state.set(pipeline.state_bytes)
        self._memory.set(pipeline.memory_bytes)
        self._points.inc(counts.points - self._told_points)
        self._failures.inc(counts.failures - self._told_failures)
        self._told_points, self._told_failures = counts.points, counts.failures
