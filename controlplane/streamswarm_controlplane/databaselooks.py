"""Looks at the control plane's database without changing it, for `streamswarm doctor`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from streamswarm_controlplane.schema import current_revision, database_name, lacking, newest_revision, revisions
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.doctor.files import is_there
from streamswarm_core.doctor.finding import Finding, broken, note, ok, warning
from streamswarm_core.doctor.starting import how_to_start
from streamswarm_core.errors import ConfigError
from streamswarm_core.settings import variable_name

_SECONDS: Final = 4
_URL: Final = variable_name(ControlPlaneSettings, "database_url")
_REMEDIES: Final = {
    "password authentication failed": f"correct the password in {_URL}",
    "no password supplied": f"put the password into {_URL}, or into ~/.pgpass of the service's user",
    "does not exist": f"create it there (createuser, createdb), or correct {_URL}",
    "no pg_hba.conf entry": "allow this host in the server's pg_hba.conf",
    "resolve": f"correct the host in {_URL}",
    "Name or service not known": f"correct the host in {_URL}",
    "too many clients": "raise max_connections of the server, or lower what else uses it",
    "starting up": "wait a moment",
}
"""By what PostgreSQL says."""


def database(settings: ControlPlaneSettings, *, runs: bool) -> Iterator[Finding]:
    """Whether the database can be reached, and has the schema of this program."""
    url = make_url(settings.database)
    local = url.get_backend_name() == "sqlite"
    name = database_name(url)
    if local and not is_there(Path(url.database or "")):
        yield note("database", f"{url.database} is made at the first start")
        return
    engine = _only_reading(url.database or "") if local else _patient(settings.database)
    try:
        current = current_revision(engine)
        yield from _schema(engine, current, name, restart=how_to_start(settings, "restart") if runs else "")
    except ConfigError as error:
        yield _unusable(str(error), name, local=local)
    finally:
        engine.dispose()


def _only_reading(file: str) -> Engine:
    """An engine that makes no file: where nobody has the database open, SQLite would make two beside it."""
    how = "mode=ro" if is_there(Path(f"{file}-wal")) else "immutable=1"
    return create_engine(f"sqlite:///file:{quote(file)}?{how}&uri=true", poolclass=NullPool)


def _patient(url: str) -> Engine:
    arguments = {"connect_timeout": _SECONDS, "options": "-c default_transaction_read_only=on"}
    return create_engine(url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)


def _schema(engine: Engine, current: str | None, name: str, *, restart: str) -> Iterator[Finding]:
    newest = newest_revision(engine)
    if current is None:
        yield note("database", f"{name} answers and is empty", "it is filled at the first start")
    elif current != newest:
        revisions(engine)  # which says so if it is a newer one
        found = f"{name} has the schema {current}, this program's is {newest}"
        if restart:
            remedy = f"streamswarm controlplane migrate, then {restart}"
            yield broken("schema", f"{found}: a control plane runs that doesn't fit it", remedy)
        else:
            yield warning("schema", found, "take a backup; the next start brings it up to date")
    elif missing := lacking(engine):
        found = f"{name} is marked as {current} and lacks {', '.join(missing)}"
        yield broken("schema", found, "take back a backup, or add what is missing")
    else:
        yield ok("database", f"{name} answers, with the schema {current}")


def _unusable(said: str, name: str, *, local: bool) -> Finding:
    reason = said.removeprefix("database ").partition(": ")[2] or said
    if "doesn't know" in reason:
        found, _, remedy = reason.partition("; ")
        return broken("schema", f"{name}: {found}", remedy.removeprefix("a newer version has been here: "))
    reason = reason.partition(") ")[2] if reason.startswith("(") else reason
    if local:
        return broken("database", f"{name} can't be read: {reason}", "take back a backup, or correct the file's owner")
    start = f"start PostgreSQL there, let its port through firewalls, or correct {_URL}"
    remedy = next((remedy for mark, remedy in _REMEDIES.items() if mark in reason), start)
    return broken("database", f"{name} can't be used: {reason}", remedy)
