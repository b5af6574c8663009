"""What maintenance does for the embedded store of a collector, and in which order."""

from collections.abc import Mapping
from threading import Event

from streamswarm_collector.settings import CollectorSettings
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.freezing import DAY, freeze, join_small
from streamswarm_collector.store.maintenance import Job
from streamswarm_collector.store.policies import default_shard_duration
from streamswarm_collector.store.retention import enforce_retention
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.errors import ConfigError


def store_jobs(store: EmbeddedStore, settings: CollectorSettings) -> Mapping[str, Job]:
    """The jobs by name."""

    def retention(now_ns: int, stopping: Event) -> str:
        return enforce_retention(store, now_ns, stopping)

    def freezing(now_ns: int, stopping: Event) -> str:
        if not settings.cold_days:
            return ""
        files = freeze(store, cold_before(now_ns, settings.cold_days), stopping)
        return f"{len(files)} files of {sum(one.rows for one in files)} rows" if files else ""

    def joining(_now_ns: int, stopping: Event) -> str:
        less = join_small(store, stopping)
        return f"{less} files less" if less else ""

    def sweeping(_now_ns: int, _stopping: Event) -> str:
        gone = store.cold.sweep(store.rewriting)
        return f"{gone} files deleted" if gone else ""

    def rollups(now_ns: int, stopping: Event) -> str:
        horizon = now_ns - round(settings.rollup_lag_seconds * NANOSECONDS)
        changed = store.refresh_rollups(horizon, stopping.is_set)
        return f"{changed} measurements" if changed else ""

    # Rows are rolled up before they move, while they are read fastest.
    return {
        "retention": retention,
        "rollups": rollups,
        "freezing": freezing,
        "joining": joining,
        "sweeping": sweeping,
    }


def cold_before(now_ns: int, cold_days: int) -> int:
    """The end of the youngest day that is to be cold, UTC."""
    return (now_ns // DAY - cold_days) * DAY


def set_retention(store: EmbeddedStore, database: str, days: float | None) -> None:
    """Let a database keep points for some days by its default policy, 0 for ever; None leaves it as it is.

    Raises:
        ConfigError: that is less than an hour.
    """
    if days is None:
        return
    duration = round(days * DAY)
    if 0 < duration < DAY // 24:
        raise ConfigError(f"retention_days={days}: at least an hour (0.042), or 0 for ever")
    default = next((policy for policy in store.policies(database) if policy.default), None)
    if default is not None and default.duration != duration:
        with store.changing() as catalog:
            shard_duration = default_shard_duration(duration)
            catalog.policies.alter(database, default.name, duration=duration, shard_duration=shard_duration)
