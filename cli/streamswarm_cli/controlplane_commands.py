from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from streamswarm_cli.services import CONTROLPLANE

app: Final = typer.Typer(help="Users, agents, tests and the console.", no_args_is_help=True)


@app.command("run")
def run() -> None:
    """Run the control plane until Ctrl-C.

    On first start it prints the first admin's password.
    """
    settings = CONTROLPLANE.load_settings()
    password = CONTROLPLANE.module("bootstrap").bootstrap(settings).admin_password
    if password:
        typer.echo(f"first admin: admin / {password}  (shown once; to be changed at the first login)")
    CONTROLPLANE.module("main").run(settings)


@app.command("init")
def init() -> None:
    """Create database, keys, service tokens and the first admin.

    Safe to repeat.
    """
    password = CONTROLPLANE.module("bootstrap").bootstrap(CONTROLPLANE.load_settings()).admin_password
    typer.echo(f"first admin: admin / {password}  (shown once)" if password else "nothing to do: set up already")


@app.command("reset-password")
def reset_password(username: Annotated[str, typer.Argument(help="Whose password.")] = "admin") -> None:
    """Give a user a new generated password.

    For when nobody can log in any more.
    """
    password = CONTROLPLANE.module("bootstrap").reset_password(CONTROLPLANE.load_settings(), username)
    typer.echo(f"new password of {username}: {password}  (shown once; to be changed at the next login)")


@app.command("audit-prune")
def audit_prune(
    days: Annotated[
        float | None, typer.Option(min=1, help="Days to keep; what audit_retention_days says if not given.")
    ] = None,
) -> None:
    """Delete old entries of the audit log.

    It is the only way there is, and an entry itself.
    """
    count = CONTROLPLANE.module("bootstrap").prune_audit(CONTROLPLANE.load_settings(), days)
    typer.echo(f"deleted {count} entries of the audit log")


@app.command("revisions")
def revisions() -> None:
    """Show the revisions of the schema, and which one is there."""
    table = Table("", "revision", "what it brought", title=_database_name(), title_justify="left")
    with _engine() as engine:
        known = CONTROLPLANE.module("schema").revisions(engine)
    for one in known:
        table.add_row("→" if one.current else "", one.id, one.title)
    Console(soft_wrap=True, markup=False, highlight=False).print(table)
    if not any(one.current for one in known):
        typer.echo("the database is empty; `streamswarm controlplane init` sets it up")


@app.command("migrate")
def migrate(revision: Annotated[str, typer.Argument(help="Up to this one.")] = "head") -> None:
    """Bring the database's schema up to date.

    `run` and `init` do it, too. Take a backup first.
    """
    with _engine() as engine:
        schema = CONTROLPLANE.module("schema")
        before = schema.current_revision(engine)
        schema.migrate(engine, revision)
        typer.echo(_moved(before, schema.current_revision(engine)))


@app.command("downgrade")
def downgrade(
    revision: Annotated[str, typer.Argument(help="Back to this one; `base` removes all tables.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Take the schema back, for an older StreamSwarm.

    Stop the control plane and take a backup first.

    What the older schema has no room for is lost.
    """
    with _engine() as engine:
        schema = CONTROLPLANE.module("schema")
        before = schema.current_revision(engine)
        if not yes:
            typer.confirm(f"Take {_database_name()} from revision {before} back to {revision}?", abort=True)
        schema.downgrade(engine, revision)
        typer.echo(_moved(before, schema.current_revision(engine)))


@app.command("copy-database")
def copy_database(
    url: Annotated[str, typer.Argument(help="URL of an empty database: postgresql+psycopg://USER@HOST/NAME.")],
) -> None:
    """Copy everything into another database.

    Such as from SQLite to PostgreSQL. Stop the control plane first; the database that is in use stays as it is. Keep
    the password out of the command: PGPASSWORD or ~/.pgpass.
    """
    schema = CONTROLPLANE.module("schema")
    wanted: Any = CONTROLPLANE.load_settings(database_url=url)
    target = CONTROLPLANE.module("db").Database(wanted.database)
    try:
        with _engine() as engine:
            rows = CONTROLPLANE.module("copying").copy_database(engine, target.engine)
    finally:
        target.close()
    typer.echo(f"{rows:,} rows copied; set STREAMSWARM_CONTROLPLANE_DATABASE_URL={schema.database_name(url)} and start")


def _moved(before: str | None, after: str | None) -> str:
    if before == after:
        return f"nothing to do: the schema has revision {after or 'base'}"
    return f"from revision {before or 'base'} to {after or 'base'}"


@contextmanager
def _engine() -> Iterator[Any]:
    settings: Any = CONTROLPLANE.load_settings()
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = CONTROLPLANE.module("db").Database(settings.database)
    try:
        yield database.engine
    finally:
        database.close()


def _database_name() -> str:
    settings: Any = CONTROLPLANE.load_settings()
    name: str = CONTROLPLANE.module("schema").database_name(settings.database)
    return name
