"""The database: SQLite or PostgreSQL by SQLAlchemy, its schema by Alembic."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import JSON, Connection, DateTime, Engine, LargeBinary, String, create_engine, event, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import TypeDecorator

READING: Final = "streamswarm_reading"
"""The execution option of a connection that only reads."""
_WRITES: Final = frozenset({"INSERT", "UPDATE", "DELETE", "REPLAC"})


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite, which has no zones, gets it as naive UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database.

        Raises:
            ValueError: the datetime is naive.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Parent of all tables."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        dict[str, str]: JSON,
        bytes: LargeBinary,
        str: String,
    }


def new_id() -> str:
    """A random identifier."""
    return uuid.uuid4().hex


def connect(url: str) -> Engine:
    """Make an engine; SQLite gets write-ahead logging, foreign keys and patience with locks."""
    engine = create_engine(url, pool_pre_ping=True, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin)
        event.listen(engine, "before_cursor_execute", _become_writer)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling would start one only at the first write, after reads made before it.
    connection.isolation_level = None
    for pragma in ("busy_timeout = 10000", "journal_mode = WAL", "foreign_keys = ON", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    reading = bool(connection.get_execution_options().get(READING))
    connection.info[READING] = reading
    # Writers queue here instead of failing when two read transactions both want to write; readers wait for nobody.
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _become_writer(
    connection: Connection,
    cursor: Any,
    statement: str,
    _parameters: Any,
    _context: Any,
    _many: bool,  # noqa: FBT001
) -> None:
    """Let a reading transaction that wants to write after all end, and begin a writing one.

    SQLite would refuse the write if another had been committed meanwhile. What was read before may be older than what
    is written, as in PostgreSQL's READ COMMITTED; a request that must decide on what it read doesn't begin as a reader.
    """
    if connection.info.get(READING) and statement.lstrip()[:6].upper() in _WRITES:
        cursor.execute("COMMIT")
        cursor.execute("BEGIN IMMEDIATE")
        connection.info[READING] = False


def lock_out_others(connection: Connection | Session, key: int) -> None:
    """Let one transaction at a time go on from here, until its end, among those with the same key.

    PostgreSQL gets an advisory lock; SQLite's writers queue at their beginning anyway.
    """
    bind = connection.get_bind() if isinstance(connection, Session) else connection
    if bind.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


class Database:
    """An engine with its session factory."""

    def __init__(self, url: str) -> None:
        self.engine = connect(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._reading_sessions = sessionmaker(self.engine.execution_options(**{READING: True}), expire_on_commit=False)

    @contextmanager
    def session(self, *, reading: bool = False) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back by an exception.

        What needs to be seen by others before the end may commit; what follows is another transaction.

        Args:
            reading: it decides nothing on what it reads, so that it need not queue with SQLite's writers.
        """
        with (self._reading_sessions if reading else self._sessions)() as session:
            yield session
            session.commit()

    def close(self) -> None:
        """Drop the connections."""
        self.engine.dispose()
