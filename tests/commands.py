"""The `streamswarm` command as a user types it, without the second that a process of its own takes to begin."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from streamswarm_cli.main import app
from streamswarm_core.errors import StreamSwarmError


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


def run_command(*arguments: str, folder: Path, stdin: str = "", **environment: str | None) -> Done:
    """Run a command in a folder; an error for the user ends as in `streamswarm_cli.main.main`, any other is raised."""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, list(arguments), input=stdin, env={"COLUMNS": "200", **environment})
    if isinstance(done.exception, StreamSwarmError):
        return Done(2, done.stdout, f"{done.stderr}error: {done.exception}\n")
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)
