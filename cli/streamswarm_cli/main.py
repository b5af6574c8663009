"""The `streamswarm` command.

A service's package is imported only by its own commands, so that an agent's machine needs only the agent's packages.
"""

import os
import signal
import sys
from typing import Annotated, Final

import typer

from streamswarm_cli.deferred import deferred
from streamswarm_cli.terminal import explain_full, settle
from streamswarm_cli.version_command import version
from streamswarm_core.errors import NotYetError, StreamSwarmError
from streamswarm_core.printable import printable
from streamswarm_core.proxies import prepare

COMMANDS: Final = {
    "up": "streamswarm_cli.up_command:up",
    "probe": "streamswarm_cli.probe_command:probe",
    "doctor": "streamswarm_cli.doctor.command:doctor",
    "status": "streamswarm_cli.status_command:status",
    "unit": "streamswarm_cli.unit_command:unit",
    "backup": "streamswarm_cli.backup_command:backup",
    "restore": "streamswarm_cli.backup_command:restore",
    "version": "streamswarm_cli.version_command:version",
    "admin": "streamswarm_cli.admin:app",
    "agent": "streamswarm_cli.agent_commands:app",
    "collector": "streamswarm_cli.collector_commands:app",
    "controlplane": "streamswarm_cli.controlplane_commands:app",
    "ml": "streamswarm_cli.ml_commands:app",
    "store": "streamswarm_cli.store_commands:app",
    "config": "streamswarm_cli.config_commands:app",
}
_EXIT_LATER: Final = 75
"""EX_TEMPFAIL of sysexits.h: systemd starts a service again after it, and doesn't after 2."""
_EXIT_INTERRUPTED: Final = 128 + signal.SIGINT
_INTERRUPTED: Final = "Query interrupted"
"""What DuckDB makes of a KeyboardInterrupt that comes while it works."""

app: Final = typer.Typer(
    name="streamswarm",
    cls=deferred(COMMANDS),
    help="Distributed network monitoring: agents measure, a collector stores, models score, Grafana shows.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
    settle(os.environ)
    for note in prepare(os.environ):
        typer.echo(f"note: {note}", err=True)
    try:
        app()
    except StreamSwarmError as error:
        _say(str(error))
        sys.exit(_EXIT_LATER if isinstance(error, NotYetError) else 2)
    except OSError as error:
        full = explain_full(error)
        if full is None:
            raise
        _say(full)
        sys.exit(2)
    except RuntimeError as error:
        if str(error) != _INTERRUPTED:
            raise
        sys.exit(_EXIT_INTERRUPTED)


def _say(problem: str) -> None:
    from rich.console import Console  # noqa: PLC0415 - a start without an error has no use for it
    from rich.markup import escape  # noqa: PLC0415

    Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(printable(problem))}", highlight=False)
