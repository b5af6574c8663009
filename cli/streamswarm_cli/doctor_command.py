import dataclasses
import json
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Column, Table

from streamswarm_cli.services import AGENT

_COLOURS: Final = {"ok": "green", "limited": "yellow", "lacking": "red"}


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, one a line.")] = False
) -> None:
    """Say what this host lacks for the agent and its probes, and what to do about each.

    Works before the agent is enrolled. Exit code 0 if everything that is needed is there, 1 if something is lacking;
    what is only limited doesn't count.
    """
    findings = AGENT.module("doctor").examine(AGENT.load_settings())
    if as_json:
        for finding in findings:
            typer.echo(json.dumps(dataclasses.asdict(finding), ensure_ascii=False))
    else:
        # Names of variables and paths are to be copied, so they are folded and not cut off.
        table = Table("for", "state", Column("found", overflow="fold"), Column("what to do", overflow="fold"))
        for finding in findings:
            colour = _COLOURS[finding.state]
            table.add_row(finding.subject, f"[{colour}]{finding.state}[/]", finding.found, finding.remedy)
        Console(soft_wrap=True).print(table)
    raise typer.Exit(1 if any(finding.state == "lacking" for finding in findings) else 0)
