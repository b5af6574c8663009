"""Statements that change the store: databases, retention policies, deletion."""

from typing import Protocol

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.conditions import find_series, mentions_field, split_time
from streamswarm_collector.influxql.errors import ExecutionError, ParseError
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.policies import AUTOGEN, Policy, default_shard_duration
from streamswarm_collector.store.schema import RefusedError

Change = (
    ast.CreateDatabase
    | ast.DropDatabase
    | ast.CreatePolicy
    | ast.AlterPolicy
    | ast.DropPolicy
    | ast.Delete
    | ast.DropMeasurement
)


class Forget(Protocol):
    """Told what was dropped."""

    def __call__(self, database: str, measurement: str | None = None) -> None:
        """A whole bucket, or one measurement of it."""


class Administrator:
    """Carries the statements out.

    Args:
        store: what they change.
        forget: told what was dropped, so that it can come back with other types.
    """

    def __init__(self, store: EmbeddedStore, forget: Forget) -> None:
        self._store = store
        self._forget = forget

    def carry_out(self, statement: Change, database: str | None, now_ns: int) -> None:
        """Do it.

        Args:
            statement: what.
            database: for statements that name none.
            now_ns: what `now()` means.

        Raises:
            ExecutionError: it can't be done.
            RefusedError: it can't be done.
        """
        match statement:
            case ast.CreateDatabase(name, options):
                self._store.create_database(name, _policy(options.name or AUTOGEN, options) if options else None)
            case ast.DropDatabase(name):
                buckets = [one for one in self._store.buckets() if one == name or one.startswith(f"{name}/")]
                self._store.drop_database(name)
                for bucket in buckets:
                    self._forget(bucket)
            case ast.CreatePolicy(name, on, options):
                with self._store.changing() as catalog:
                    catalog.policies.create(on, _policy(name, options))
            case ast.AlterPolicy(name, on, options):
                changes = {
                    "duration": options.duration,
                    "shard_duration": options.shard_duration,
                    "replication": options.replication,
                    "default": options.default or None,
                }
                with self._store.changing() as catalog:
                    catalog.policies.alter(on, name, **{key: one for key, one in changes.items() if one is not None})
            case ast.DropPolicy(name, on):
                self._drop_policy(name, on)
            case ast.DropMeasurement(name):
                for bucket in self._buckets(database):
                    with self._store.changing() as catalog:
                        catalog.drop_measurement(bucket, name)
                    self._forget(bucket, name)
            case ast.Delete():
                self._delete(statement, database, now_ns)

    def _drop_policy(self, name: str, database: str) -> None:
        try:
            bucket = self._store.resolve(database, name)
        except RefusedError:
            return  # as InfluxDB: nothing to drop is no error
        with self._store.changing() as catalog:
            catalog.drop_bucket(bucket)
            catalog.policies.drop(database, name)
        self._forget(bucket)

    def _buckets(self, database: str | None) -> list[str]:
        if not database:
            raise ExecutionError("database name required")
        return [self._store.resolve(database, policy.name) for policy in self._store.policies(database)]

    def _delete(self, statement: ast.Delete, database: str | None, now_ns: int) -> None:
        time_range, condition = split_time(statement.where, now_ns)
        if statement.series and (time_range.start is not None or time_range.stop is not None):
            raise ExecutionError("DROP SERIES doesn't support time in WHERE clause")
        if any(source.policy for source in statement.sources):
            raise ParseError("error parsing query: retention policy not supported at line 1, char 1")
        for bucket in self._buckets(database):
            name, _, policy = bucket.partition("/")
            for measurement in self._store.database(name, policy or AUTOGEN).measurements.values():
                if not _wanted(measurement.name, statement):
                    continue
                if condition is not None and mentions_field(condition, measurement):
                    raise ExecutionError("fields not supported in WHERE clause during deletion")
                found = measurement.tags.all if condition is None else find_series(condition, measurement.tags)
                if found:
                    self._store.delete(bucket, measurement.name, sorted(found), time_range.start, time_range.stop)


def _wanted(name: str, statement: ast.Delete) -> bool:
    return not statement.sources or any(
        source.name == name if isinstance(source.name, str) else source.name.matches(name)
        for source in statement.sources
    )


def _policy(name: str, options: ast.PolicyOptions) -> Policy:
    duration = options.duration or 0
    shard = options.shard_duration or default_shard_duration(duration)
    return Policy(name, duration, shard, options.replication or 1, options.default)
