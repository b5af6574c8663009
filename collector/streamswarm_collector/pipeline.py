"""The collector's parts put together: parser, log, sinks."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from streamswarm_collector.auth import ANYBODY
from streamswarm_collector.batch import Batch
from streamswarm_collector.fieldtypes import FieldTypes
from streamswarm_collector.ingest import Parser, canonical_series_key
from streamswarm_collector.intake import Intake
from streamswarm_collector.metrics import CollectorMetrics
from streamswarm_collector.series import ANYONE, SeriesLimits
from streamswarm_collector.settings import CollectorSettings
from streamswarm_collector.sinks.embedded import EmbeddedSink
from streamswarm_collector.sinks.influx import InfluxSink
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.jobs import set_retention, store_jobs
from streamswarm_collector.store.maintenance import Maintenance
from streamswarm_collector.store.policies import AUTOGEN, bucket_of, split_bucket
from streamswarm_collector.store.schema import RefusedError
from streamswarm_collector.wal import Wal
from streamswarm_core.clock import Clock, now_ns
from streamswarm_core.errors import Unavailable
from streamswarm_core.lineprotocol import MIN_TIME_NS
from streamswarm_core.point import Point

_RELEASE_SECONDS: Final = 5.0
_RETRY_AFTER_SECONDS: Final = 5.0
MOST_DATABASES: Final = 100
"""From so many on writing creates no more; whoever may write could fill lists and memory with their names."""
_ARRIVAL_SECONDS: Final = 60.0
_LONGEST_NAME: Final = 255
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def learn_types(types: FieldTypes, store: EmbeddedStore) -> None:
    """Take over the types of all fields that a store holds."""
    for bucket in store.buckets():
        for measurement in store.database(*split_bucket(bucket)).measurements.values():
            types.learn(bucket, measurement.name, {one.name: one.type for one in measurement.fields.values()})


class UnknownDatabaseError(Exception):
    """A write to a database that isn't there and may not be created by writing."""


class Pipeline:
    """Takes bodies, answers when they are durable, and keeps the sinks fed.

    Args:
        settings: the collector's settings.
        metrics: to be kept up to date.
        clock: the time by which points expire and days become cold.
        on_fatal: as in EmbeddedStore.

    Raises:
        ConfigError: the store's file can't be used.
        OSError: the folder can't be used.
    """

    def __init__(
        self,
        settings: CollectorSettings,
        metrics: CollectorMetrics,
        clock: Clock = now_ns,
        on_fatal: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._types = FieldTypes()
        # One thread: the parser's caches are its own, and batches keep the order in which they came.
        self._parsing = ThreadPoolExecutor(1, thread_name_prefix="parser")
        self.store: EmbeddedStore | None = None
        self._embedded: EmbeddedSink | None = None
        self.maintenance: Maintenance | None = None
        settings.folder.mkdir(parents=True, exist_ok=True)
        if settings.embedded:
            self.store = EmbeddedStore(
                settings.folder / "store.duckdb",
                flush_seconds=settings.flush_seconds,
                memory_limit=settings.store_memory,
                rollups=settings.rollups,
                rollup_rows=settings.rollup_rows,
                on_flush=metrics.flush.observe,
                on_fatal=on_fatal,
            )
        # A log that was lost would number anew, and what it holds after a crash would be taken for stored already.
        self.wal = Wal(settings.folder / "wal", after=self.store.stored_lsn if self.store else 0)
        if self.store:
            self._embedded = EmbeddedSink(self.store, self.wal)
            self._embedded.replay()
            self.store.create_database(settings.bucket)
            set_retention(self.store, settings.bucket, settings.retention_days)
            learn_types(self._types, self.store)
            self.maintenance = Maintenance(
                store_jobs(self.store, settings),
                interval_seconds=settings.maintenance_seconds,
                clock=clock,
                on_run=self._maintained,
            )
        self._limits = SeriesLimits(
            settings.max_series_per_agent, settings.max_series, self._stored_series if self.store else None
        )
        self._parser = Parser(self._types, self._limits)
        self._new_databases: dict[str, float] = {}
        self.intake = Intake(settings.max_intake_bytes, self._waiting_bytes)
        self.sinks = [
            InfluxSink(
                sink,
                self.wal,
                settings.folder / "sinks" / sink.name,
                metrics,
                most_dead_bytes=settings.max_dead_letter_bytes,
            )
            for sink in settings.sinks
        ]

    def _stored_series(self) -> Iterator[tuple[str, str, str]]:
        if self.store is None:
            return
        for bucket in self.store.buckets():
            for measurement in self.store.database(*split_bucket(bucket)).measurements.values():
                for tags in measurement.series.values():
                    writer = tags.get("agent", ANYONE) if self._settings.auth else ANYBODY.writer
                    yield bucket, canonical_series_key(Point(measurement.name, tags, {})), writer

    def _waiting_bytes(self) -> int:
        return self._embedded.waiting_bytes if self._embedded else 0

    def start(self) -> None:
        """Begin forwarding, and looking after the store."""
        if self.maintenance:
            self.maintenance.start()
        for sink in self.sinks:
            sink.start()

    def bucket(self, database: str, policy: str | None) -> str:
        """Where points of a database and retention policy go.

        Raises:
            UnknownDatabaseError: it isn't there and may not be created by writing.
        """
        if self.store is None:
            return bucket_of(database, policy or AUTOGEN)
        try:
            return self.store.resolve(database, policy)
        except RefusedError as error:
            known = policy in {None, "", AUTOGEN}
            if not known or not self._settings.auto_create_databases or not error.missing_database:
                raise UnknownDatabaseError(str(error)) from None
            self._check_new(database)
            return database

    def _check_new(self, database: str) -> None:
        """Let a name pass that is going to be a database by being written to."""
        if len(database) > _LONGEST_NAME or _CONTROL.search(database):
            raise UnknownDatabaseError(
                f"{database[:40]!r} can't become a database: a name has at most {_LONGEST_NAME} characters, "
                "none of them a control character"
            )
        # Those that were let through a moment ago are not in the store yet, and some never will be.
        recent = time.monotonic() - _ARRIVAL_SECONDS
        self._new_databases = {name: at for name, at in self._new_databases.items() if at > recent}
        there = set(self.store.databases()) if self.store else set()
        if len(there | self._new_databases.keys() | {database}) > MOST_DATABASES:
            raise UnknownDatabaseError(
                f"database not found: {database!r}; there are {MOST_DATABASES} or more, so writing creates none: "
                "create it with CREATE DATABASE, or drop some"
            )
        self._new_databases[database] = time.monotonic()

    async def write(
        self, body: str, *, bucket: str, precision: str, received_ns: int, stamp: Mapping[str, str], writer: str
    ) -> Batch:
        """Make a body's good lines durable; what was refused is in the batch that is returned.

        Raises:
            Unavailable: the disk refuses.
        """
        self._metrics.bytes.inc(len(body))
        loop = asyncio.get_running_loop()
        batch = await loop.run_in_executor(
            self._parsing,
            lambda: self._parser.parse(
                body,
                database=bucket,
                precision=precision,
                received_ns=received_ns,
                stamp=stamp,
                writer=writer,
                oldest_ns=self._oldest_kept(bucket, received_ns),
            ),
        )
        for line in batch.refused:
            self._metrics.refused.labels(line.kind).inc()
        if batch.lines:
            payload = batch.payload()
            await self.wal.append(payload, on_durable=lambda lsn: self._durable(lsn, batch, len(payload)))
            self._metrics.batches.inc()
            self._metrics.points.inc(len(batch.lines))
            self._metrics.foreign.inc(batch.foreign)
        return batch

    def check_log(self) -> None:
        """Make sure that the log has room.

        Raises:
            Unavailable: it is full because a sink doesn't take its points.
        """
        if self.wal.size > self._settings.max_wal_bytes:
            raise Unavailable(
                "the collector's log is full because a store does not take its points; wait and send again",
                retry_after=_RETRY_AFTER_SECONDS,
            )

    def _oldest_kept(self, bucket: str, now: int) -> int:
        """The earliest time that a bucket still keeps."""
        policy = self.store.retention(bucket) if self.store else None
        return max(MIN_TIME_NS, now - policy.duration) if policy and policy.duration else MIN_TIME_NS

    def _maintained(self, job: str, seconds: float, failure: str | None) -> None:
        self._metrics.maintenance_seconds.labels(job).set(seconds)
        self._metrics.maintenance_failed.labels(job).set(1 if failure else 0)

    def _durable(self, lsn: int, batch: Batch, size: int) -> None:
        if self._embedded is not None:
            self._embedded.add(lsn, batch, size)

    def forget(self, database: str, measurement: str | None = None) -> None:
        """Let the fields of what was dropped come back with another type, and its series' room be used again."""
        self._types.forget(database, measurement)
        self._limits.forget(database, measurement)

    async def release_forever(self) -> None:
        """Delete the parts of the log that every sink has taken, until cancelled."""
        while True:
            await asyncio.sleep(_RELEASE_SECONDS)
            await asyncio.to_thread(self.wal.release, self._slowest_position())

    def _slowest_position(self) -> int:
        return min(sink.position for sink in self._all_sinks())

    def _all_sinks(self) -> list[EmbeddedSink | InfluxSink]:
        return [*([self._embedded] if self._embedded else []), *self.sinks]

    def failures(self) -> dict[str, str]:
        """Why a sink, or the log, doesn't take points at the moment, by its name."""
        failures = {sink.name: sink.failure for sink in self._all_sinks() if sink.failure}
        return failures | ({"log": self.wal.failure} if self.wal.failure else {})

    def dead_bytes(self) -> dict[str, int]:
        """How much was set aside because a peer refused it, by sink."""
        return {sink.name: sink.dead_letters.bytes for sink in self.sinks}

    def observe(self) -> None:
        """Bring the gauges up to date."""
        self._metrics.wal_bytes.set(self.wal.size)
        self._metrics.wal_age.set(self.wal.age_after(self._slowest_position()))
        self._metrics.intake.set(self.intake.bytes + self._waiting_bytes())
        for sink in self._all_sinks():
            self._metrics.sink_lag.labels(sink.name).set(self.wal.last_lsn - sink.position)
            self._metrics.sink_age.labels(sink.name).set(self.wal.age_after(sink.position))
            self._metrics.sink_up.labels(sink.name).set(0 if sink.failure else 1)
        for name, size in self.dead_bytes().items():
            self._metrics.sink_dead_bytes.labels(name).set(size)
        if self.store:
            self._metrics.series.set(self.store.series_count())
            for tier, size in self.store.sizes().items():
                self._metrics.store_bytes.labels(tier).set(size)
        self._metrics.show_writers(self._limits.by_writer())

    def close(self) -> None:
        """Stop the sinks, write what is queued, close the files."""
        if self.maintenance:
            self.maintenance.close()
        for sink in self.sinks:
            sink.close()
        self._parsing.shutdown()
        self.wal.close()
        if self.store:
            self.store.close()
