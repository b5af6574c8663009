"""The database: SQLite or PostgreSQL by SQLAlchemy, its schema by Alembic."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import JSON, DateTime, Engine, LargeBinary, String, create_engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import TypeDecorator

from streamswarm_core.errors import ConfigError


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
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling would start one only at the first write, after reads made before it.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "foreign_keys = ON", "busy_timeout = 10000", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Any) -> None:
    # Writers queue here instead of failing when two read transactions both want to write.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def alembic_config(engine: Engine) -> Config:
    """Alembic's configuration, made here instead of in an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = engine
    return config


def migrate(engine: Engine) -> None:
    """Bring the schema up to date.

    Raises:
        ConfigError: the database can't be reached or changed.
    """
    try:
        command.upgrade(alembic_config(engine), "head")
    except SQLAlchemyError as error:
        raise ConfigError(f"database {engine.url.render_as_string()}: {_first_line(error)}") from None


def _first_line(error: SQLAlchemyError) -> str:
    return str(error).splitlines()[0]


class Database:
    """An engine with its session factory."""

    def __init__(self, url: str) -> None:
        self.engine = connect(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back by an exception.

        What needs to be seen by others before the end may commit; what follows is another transaction.
        """
        with self._sessions() as session:
            yield session
            session.commit()

    def close(self) -> None:
        """Drop the connections."""
        self.engine.dispose()
