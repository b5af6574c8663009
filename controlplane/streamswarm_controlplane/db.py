"""The database: SQLite or PostgreSQL by SQLAlchemy, its schema by Alembic."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

import anyio
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import (
    JSON,
    Connection,
    CursorResult,
    DateTime,
    Delete,
    Engine,
    LargeBinary,
    String,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from streamswarm_controlplane import sqlite
from streamswarm_controlplane.sqlite import ALONE, READING

Answer = TypeVar("Answer")
TURNS: Final = 16
"""Requests of one process that have a transaction at the same time; fewer than there are threads for them."""
_FRESH_SECONDS: Final = 1.0
_RESTING_SINCE: Final = "streamswarm_resting_since"


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
    """Make an engine."""
    local = make_url(url).get_backend_name() == "sqlite"
    # The last one used is the next, so that the others, of a busy hour, aren't pinged again and again.
    # A database made without a locale is in SQL_ASCII, whose text would come as bytes.
    arguments = {} if local else {"client_encoding": "utf8"}
    engine = create_engine(
        url, pool_use_lifo=True, pool_size=TURNS, max_overflow=TURNS, hide_parameters=True, connect_args=arguments
    )
    if local:
        sqlite.prepare(engine)
    else:
        _ping_after_idling(engine)
    return engine


def _ping_after_idling(engine: Engine) -> None:
    """Try a connection before it is used, as the server may have been restarted, unless it was in use just now.

    SQLAlchemy's `pool_pre_ping` does so each time, which is another round trip for each request.
    """

    def rest(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_RESTING_SINCE] = time.monotonic()

    def wake(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        since = record.info.get(_RESTING_SINCE)
        if since is None or time.monotonic() - since < _FRESH_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            # Of all connections: those that were made before are tried no more.
            raise InvalidatePoolError from None

    event.listen(engine, "checkin", rest)
    event.listen(engine, "checkout", wake)


def delete_rows(db: Session, statement: Delete) -> int:
    """Delete rows; returns how many there were."""
    return cast("CursorResult[Any]", db.execute(statement)).rowcount  # which a session's type doesn't say


def lock_out_others(connection: Connection | Session, key: int) -> None:
    """Let one transaction at a time go on from here, until its end, among those with the same key.

    PostgreSQL gets an advisory lock; SQLite's writers queue at their beginning anyway.
    """
    bind = connection.get_bind() if isinstance(connection, Session) else connection
    if bind.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def _commit(session: Session) -> None:
    with session:
        session.commit()


class Database:
    """An engine with its session factory."""

    def __init__(self, url: str) -> None:
        self.engine = connect(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._turns = asyncio.Semaphore(TURNS)
        self._reading_engine = self.engine.execution_options(**{READING: True})
        self._alone_engine = self.engine.execution_options(**{ALONE: True})
        self._reading_sessions = sessionmaker(self._reading_engine, expire_on_commit=False)

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

    @asynccontextmanager
    async def session_in_turn(self, *, reading: bool = False) -> AsyncIterator[Session]:
        """A transaction for a request; see `session`.

        Requests wait here, where they hold nothing, until fewer than TURNS are under way. Waiting for a connection
        instead, they would hold the threads that those with a connection need to go on, and all would stand still.
        """
        async with self._turns:
            session = (self._reading_sessions if reading else self._sessions)()
            try:
                yield session
            except BaseException:
                # Even if the request is given up: a connection that doesn't come back is one less for good.
                with anyio.CancelScope(shield=True):
                    await run_in_threadpool(session.close)
                raise
            await run_in_threadpool(_commit, session)

    async def in_turn(
        self, work: Callable[[Connection], Answer], *, reading: bool = False, alone: bool = False
    ) -> Answer:
        """Do all of a request's work in one thread, from its transaction's begin to the end; see `session`.

        Args:
            work: what to do.
            reading: see `session`.
            alone: it writes with its first statement, and only reads afterwards.
        """
        engine = self._reading_engine if reading else self._alone_engine if alone else self.engine

        def transact() -> Answer:
            with engine.begin() as connection:
                return work(connection)

        async with self._turns:
            return await run_in_threadpool(transact)

    def close(self) -> None:
        """Drop the connections."""
        self.engine.dispose()
