"""The `streamswarm` command.

A service's package is imported only by its own commands, so that an agent's machine needs only the agent's packages.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from streamswarm_cli import (
    admin,
    agent_commands,
    backup_command,
    collector_commands,
    config_commands,
    controlplane_commands,
    probe_command,
    status_command,
    store_commands,
    unit_command,
    up_command,
)
from streamswarm_cli.doctor import command as doctor_command
from streamswarm_cli.services import ML
from streamswarm_core import __version__
from streamswarm_core.errors import NotYetError, StreamSwarmError
from streamswarm_core.outbound import prepare
from streamswarm_core.printable import printable

app: Final = typer.Typer(
    name="streamswarm",
    help="Distributed network monitoring: agents measure, a collector stores, models score, Grafana shows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_EXIT_LATER: Final = 75
"""EX_TEMPFAIL of sysexits.h: systemd starts a service again after it, and doesn't after 2."""
ml_app: Final = typer.Typer(help="The service that scores the series.", no_args_is_help=True)

app.command("up")(up_command.up)
app.command("probe")(probe_command.probe)
app.command("doctor")(doctor_command.doctor)
app.command("status")(status_command.status)
app.command("unit")(unit_command.unit)
app.command("backup")(backup_command.backup)
app.command("restore")(backup_command.restore)
app.add_typer(admin.app, name="admin")
app.add_typer(agent_commands.app, name="agent")
app.add_typer(collector_commands.app, name="collector")
app.add_typer(controlplane_commands.app, name="controlplane")
app.add_typer(ml_app, name="ml")
app.add_typer(store_commands.app, name="store")
app.add_typer(config_commands.app, name="config")


@ml_app.callback()
def _keep_subcommand() -> None:
    """Typer drops the name of a group's only command unless the group has a callback."""


@ml_app.command("run")
def run_ml() -> None:
    """Run the ML service until Ctrl-C."""
    ML.run()


@ml_app.command("score")
def score_file(
    path: Annotated[Path, typer.Argument(help="CSV with the columns timestamp and value.")],
    false_alarms: Annotated[float, typer.Option(min=0.001, max=100, help="Anomalies a healthy week may show.")] = 1.0,
    time_zone: Annotated[str, typer.Option(help="IANA name of the clock that its office hours go by.")] = "UTC",
) -> None:
    """Score a series from a file, each value by those before it.

    Prints it as CSV.
    """
    scored = ML.module("files").score_csv(path, false_alarms=false_alarms, time_zone=time_zone)
    typer.echo(scored.csv, nl=False)
    if scored.left_out:
        typer.echo(scored.left_out, err=True)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"streamswarm {__version__}")


def _answer(asked: bool) -> None:  # noqa: FBT001 - so Typer calls it
    if asked:
        version()
        raise typer.Exit


@app.callback()
def _take_options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_answer, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; an error that a person can act on becomes one line and exit code 2, or 75 if it may pass.

    What it writes is for its own user, as the units say too: databases, logs, spools and exports hold what other users
    of the host may not see.
    """
    os.umask(0o077)
    for note in prepare(os.environ):
        typer.echo(f"note: {note}", err=True)
    try:
        app()
    except StreamSwarmError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]error:[/] {escape(printable(str(error)))}", highlight=False
        )
        sys.exit(_EXIT_LATER if isinstance(error, NotYetError) else 2)
