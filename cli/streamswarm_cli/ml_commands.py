from pathlib import Path
from typing import Annotated, Final

import typer

from streamswarm_cli.services import ML

app: Final = typer.Typer(help="The service that scores the series.", no_args_is_help=True)


@app.command("run")
def run() -> None:
    """Run the ML service until Ctrl-C."""
    ML.run()


@app.command("score")
def score(
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
