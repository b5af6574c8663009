"""Databases and their retention policies, as InfluxDB 1.x has them.

A policy's points are in a bucket of their own: `database` for the policy every database begins with, `database/policy`
for any other, which is how InfluxDB 2.x names the buckets that stand for a 1.x database.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from duckdb import DuckDBPyConnection

from streamswarm_collector.store.schema import RefusedError

AUTOGEN: Final = "autogen"
HOUR: Final = 3_600_000_000_000
_DAY: Final = 24 * HOUR

Change = Callable[[DuckDBPyConnection], object]


@dataclass(frozen=True, slots=True)
class Policy:
    """A retention policy.

    Attributes:
        name: unique in its database.
        duration: nanoseconds that points are kept; 0 for ever.
        shard_duration: nanoseconds; shown to clients, the store has no shards.
        replication: shown to clients.
        default: whether it is meant where none is named.
    """

    name: str
    duration: int = 0
    shard_duration: int = 7 * _DAY
    replication: int = 1
    default: bool = False


def bucket_of(database: str, policy: str) -> str:
    """The bucket of a policy."""
    return database if policy == AUTOGEN else f"{database}/{policy}"


def split_bucket(bucket: str) -> tuple[str, str]:
    """Database and policy of a bucket."""
    database, _, policy = bucket.partition("/")
    return database, policy or AUTOGEN


class Policies:
    """All databases' policies.

    Args:
        on_change: takes the statements that repeat a change in the file.
    """

    def __init__(self, on_change: Callable[[Change], None]) -> None:
        self._on_change = on_change
        self._databases: dict[str, dict[str, Policy]] = {}

    def load(self, connection: DuckDBPyConnection) -> None:
        """Read the side tables."""
        for (name,) in connection.execute("SELECT name FROM databases").fetchall():
            self._databases[name] = {}
        for database, name, *attributes in connection.execute("SELECT * FROM policies").fetchall():
            self._databases.setdefault(database, {})[name] = Policy(name, *attributes)
        for policies in self._databases.values():
            if not policies:  # a file from before there were policies
                policies[AUTOGEN] = Policy(AUTOGEN, default=True)

    def names(self) -> tuple[str, ...]:
        """Names of all databases, sorted."""
        return tuple(sorted(self._databases))

    def of(self, database: str) -> list[Policy]:
        """The policies of a database, in the order they were made.

        Raises:
            RefusedError: there is no such database.
        """
        if database not in self._databases:
            raise RefusedError(f"database not found: {database}", missing_database=True)
        return list(self._databases[database].values())

    def buckets(self, database: str) -> list[str]:
        """Buckets of all policies of a database; none if it isn't there."""
        return [bucket_of(database, policy) for policy in self._databases.get(database, {})]

    def all(self) -> list[tuple[str, Policy]]:
        """Every bucket with its policy."""
        return [
            (bucket_of(name, one.name), one) for name, policies in self._databases.items() for one in policies.values()
        ]

    def find(self, bucket: str) -> Policy | None:
        """The policy of a bucket, if there is one."""
        database, policy = split_bucket(bucket)
        return self._databases.get(database, {}).get(policy)

    def resolve(self, database: str, policy: str | None = None) -> str:
        """The bucket of a policy, or of the default one.

        Raises:
            RefusedError: there is no such database or policy.
        """
        found = self.of(database)
        if policy:
            if policy not in self._databases[database]:
                raise RefusedError(f"retention policy not found: {policy}")
            return bucket_of(database, policy)
        default = next((one for one in found if one.default), None)
        if default is None:
            raise RefusedError(f"database {database} has no default retention policy; name one")
        return bucket_of(database, default.name)

    def ensure(self, bucket: str) -> None:
        """Make the database, and the policy, of a bucket unless they are there."""
        database, policy = split_bucket(bucket)
        if policy not in self._databases.get(database, {}):
            known = bool(self._databases.get(database))
            self._put(database, Policy(policy, default=not known))

    def create_database(self, name: str, policy: Policy | None = None) -> None:
        """Add a database unless it is there.

        Raises:
            RefusedError: the name can't be one, or the policy differs from the one that is there.
        """
        if not name or "/" in name or "\n" in name:
            raise RefusedError("invalid name")
        existing = self._databases.get(name)
        if existing and policy:
            same = existing.get(policy.name)
            if same is None or replace(same, default=True) != replace(policy, default=True):
                raise RefusedError("retention policy conflicts with an existing policy")
        if not existing:
            self._put(name, replace(policy or Policy(AUTOGEN), default=True))

    def create(self, database: str, policy: Policy) -> None:
        """Add a policy; doing it again changes nothing.

        Raises:
            RefusedError: there is no such database, the policy is there and differs, or it contradicts itself.
        """
        self.of(database)
        if not policy.name or "/" in policy.name or "\n" in policy.name:
            raise RefusedError("invalid name")
        _check(policy)
        existing = self._databases[database].get(policy.name)
        if existing and replace(existing, default=False) != replace(policy, default=False):
            raise RefusedError("retention policy already exists")
        if existing is None or (policy.default and not existing.default):
            self._put(database, policy)

    def alter(self, database: str, name: str, **changes: object) -> None:
        """Change attributes of a policy.

        Raises:
            RefusedError: there is no such policy, or it would contradict itself.
        """
        self.resolve(database, name)
        changed = replace(self._databases[database][name], **changes)  # type: ignore[arg-type] # attributes of Policy
        _check(changed)
        self._put(database, changed)

    def drop(self, database: str, name: str) -> None:
        """Forget a policy, if it is there; its data are somebody else's to remove."""
        if self._databases.get(database, {}).pop(name, None):
            self._on_change(
                lambda connection: connection.execute(
                    "DELETE FROM policies WHERE database = ? AND name = ?", [database, name]
                )
            )

    def drop_database(self, name: str) -> None:
        """Forget a database and its policies."""
        self._databases.pop(name, None)

        def forget(connection: DuckDBPyConnection) -> None:
            connection.execute("DELETE FROM policies WHERE database = ?", [name])
            connection.execute("DELETE FROM databases WHERE name = ?", [name])

        self._on_change(forget)

    def _put(self, database: str, policy: Policy) -> None:
        policies = self._databases.setdefault(database, {})
        if policy.default:
            for one in policies.values():
                policies[one.name] = replace(one, default=False)
        policies[policy.name] = policy
        rows = [
            (database, one.name, one.duration, one.shard_duration, one.replication, one.default)
            for one in policies.values()
        ]

        def store(connection: DuckDBPyConnection) -> None:
            connection.execute("INSERT OR IGNORE INTO databases VALUES (?)", [database])
            connection.execute("DELETE FROM policies WHERE database = ?", [database])
            connection.executemany("INSERT INTO policies VALUES (?, ?, ?, ?, ?, ?)", rows)

        self._on_change(store)


def default_shard_duration(duration: int) -> int:
    """What InfluxDB chooses for a policy: an hour below two days, a day up to six months, a week beyond.

    >>> [default_shard_duration(hours * HOUR) // HOUR for hours in (47, 48, 180 * 24, 181 * 24, 0)]
    [1, 24, 24, 168, 168]
    """
    if duration == 0 or duration > 180 * _DAY:
        return 7 * _DAY
    return _DAY if duration >= 2 * _DAY else HOUR


def _check(policy: Policy) -> None:
    if 0 < policy.duration < HOUR:
        raise RefusedError("retention policy duration must be at least 1h0m0s")
    if 0 < policy.duration < policy.shard_duration:
        raise RefusedError("retention policy duration must be greater than the shard duration")
