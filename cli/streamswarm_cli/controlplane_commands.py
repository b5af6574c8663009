from typing import Annotated, Final

import typer

from streamswarm_cli.services import CONTROLPLANE

app: Final = typer.Typer(help="Users, agents, tests and the console.", no_args_is_help=True)


@app.command("run")
def run() -> None:
    """Run the control plane until Ctrl-C; on first start it prints the first admin's password."""
    settings = CONTROLPLANE.load_settings()
    password = CONTROLPLANE.module("bootstrap").bootstrap(settings).admin_password
    if password:
        typer.echo(f"first admin: admin / {password}  (shown once; to be changed at the first login)")
    CONTROLPLANE.module("main").run(settings)


@app.command("init")
def init() -> None:
    """Create the database, keys, service tokens and the first admin; safe to repeat."""
    password = CONTROLPLANE.module("bootstrap").bootstrap(CONTROLPLANE.load_settings()).admin_password
    typer.echo(f"first admin: admin / {password}  (shown once)" if password else "nothing to do: set up already")


@app.command("reset-password")
def reset_password(username: Annotated[str, typer.Argument(help="Whose password.")] = "admin") -> None:
    """Give a user a new generated password, for when nobody can log in any more."""
    password = CONTROLPLANE.module("bootstrap").reset_password(CONTROLPLANE.load_settings(), username)
    typer.echo(f"new password of {username}: {password}  (shown once; to be changed at the next login)")


@app.command("audit-prune")
def audit_prune(
    days: Annotated[
        float | None, typer.Option(min=1, help="Days to keep; what audit_retention_days says if not given.")
    ] = None,
) -> None:
    """Delete old entries of the audit log, the only way there is; that is an entry itself."""
    count = CONTROLPLANE.module("bootstrap").prune_audit(CONTROLPLANE.load_settings(), days)
    typer.echo(f"deleted {count} entries of the audit log")
