"""The database's schema, by Alembic: brought up to date, taken back, and told which revision it has."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Engine, inspect, make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from streamswarm_controlplane import models
from streamswarm_controlplane.db import Base
from streamswarm_controlplane.sqlite import READING
from streamswarm_core import __version__
from streamswarm_core.errors import ConfigError, NotYetError

_ = models
_log: Final = logging.getLogger(__name__)
MIGRATIONS: Final = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the schema."""

    id: str
    title: str
    current: bool
    """Whether the database has exactly this one."""


def alembic_config(engine: Engine) -> Config:
    """Alembic's configuration, made here instead of in an ini file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["engine"] = engine
    return config


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema up to date, or up to a revision; of several that try at the same time one does it.

    Raises:
        ConfigError: the database can't be reached or changed, or a newer program made it.
    """
    _run(engine, revision, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema back to an earlier revision, `base` for none at all; what that one can't hold is lost.

    Raises:
        ConfigError: the database can't be reached or changed, or there is no such revision.
    """
    _run(engine, revision, lambda config: command.downgrade(config, revision))


def revisions(engine: Engine) -> list[Revision]:
    """All revisions that this program knows, oldest first.

    Raises:
        ConfigError: the database can't be reached, or a newer program made it.
    """
    current = current_revision(engine)
    known = [
        Revision(script.revision, (script.doc or "").rstrip("."), script.revision == current)
        for script in reversed(list(_scripts(engine).walk_revisions()))
    ]
    if current is not None and not any(one.current for one in known):
        raise _newer(engine, current)
    return known


def current_revision(engine: Engine) -> str | None:
    """The revision that the database has; None if it has no schema yet.

    Raises:
        ConfigError: the database can't be reached.
    """
    try:
        with engine.execution_options(**{READING: True}).connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise _unusable(engine, error) from None


def check_current(engine: Engine) -> None:
    """Make sure that a database has exactly the schema of this program.

    Raises:
        ConfigError: it can't be reached, has another revision, or lacks something that its revision has.
    """
    current, heads = current_revision(engine), _scripts(engine).get_heads()
    if [current] != heads:
        revisions(engine)  # which says so if it is a newer one
        raise ConfigError(
            f"database {_name(engine)}: its schema has revision {current or 'base'}, this program's is {heads[0]}; "
            "streamswarm controlplane migrate brings it up to date"
        )
    _check_complete(engine)


def newest_revision(engine: Engine) -> str:
    """The revision that this program works with."""
    return _scripts(engine).get_heads()[0]


def lacking(engine: Engine) -> list[str]:
    """Tables and columns that this program asks for and a database doesn't have."""
    inspector = inspect(engine)
    there = {
        name: {column["name"] for column in columns} for (_, name), columns in inspector.get_multi_columns().items()
    }
    missing = [
        table.name if table.name not in there else f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name not in there.get(table.name, ())
    ]
    return list(dict.fromkeys(missing))


def _check_complete(engine: Engine) -> None:
    """Look whether what the program is going to ask for is there, so that nobody finds out request by request."""
    if missing := lacking(engine):
        raise ConfigError(
            f"database {_name(engine)}: its schema is marked as revision {current_revision(engine)} and lacks "
            f"{', '.join(missing)}: it was made by a version between two releases, or changed by hand; "
            "take back a backup, or add what is missing"
        )


def _scripts(engine: Engine) -> ScriptDirectory:
    return ScriptDirectory.from_config(alembic_config(engine))


def _run(engine: Engine, revision: str, change: Callable[[Config], None]) -> None:
    current = current_revision(engine)
    scripts = _scripts(engine)
    if current is not None and revision in {current, "head"} and scripts.get_heads() == [current]:
        _check_complete(engine)
        return
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise _newer(engine, current)
    if revision not in {*known, "head", "base"}:
        raise ConfigError(f"no schema revision {revision!r}; one of base, {', '.join(sorted(known))}, head")
    try:
        change(alembic_config(engine))
    except SQLAlchemyError as error:
        raise _unusable(engine, error) from None
    except CommandError as error:
        raise ConfigError(f"database {_name(engine)}: {error}") from None
    if revision == "head":
        _check_complete(engine)
    _log.info("schema: from revision %s to %s", current or "base", current_revision(engine) or "base")


def _newer(engine: Engine, current: str) -> ConfigError:
    return ConfigError(
        f"database {_name(engine)}: its schema has revision {current}, which StreamSwarm {__version__} doesn't know; "
        "a newer version has been here: run that one, or take back a backup made before it"
    )


def _unusable(engine: Engine, error: SQLAlchemyError) -> ConfigError:
    text = f"database {_name(engine)}: {str(error).splitlines()[0]}"
    # A server that is just starting, or away. SQLite's file is there or it isn't.
    away = isinstance(error, OperationalError) and engine.dialect.name != "sqlite"
    return NotYetError(text) if away else ConfigError(text)


def database_name(url: str | URL) -> str:
    """A database's URL as it may be shown: without the password."""
    return make_url(url).render_as_string(hide_password=True)


def _name(engine: Engine) -> str:
    return database_name(engine.url)
