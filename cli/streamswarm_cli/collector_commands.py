from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from streamswarm_cli.services import COLLECTOR
from streamswarm_core.errors import ConfigError
from streamswarm_core.printable import printable

app: Final = typer.Typer(help="The gateway that every point passes.", no_args_is_help=True)


@app.command("run")
def run() -> None:
    """Run the collector until Ctrl-C."""
    COLLECTOR.run()


@app.command("dead-letters")
def dead_letters(
    sink: Annotated[str | None, typer.Argument(help="Name of a sink; all of them if not given.")] = None,
    *,
    resend: Annotated[bool, typer.Option(help="Send them again; what is refused again is kept.")] = False,
    lines: Annotated[bool, typer.Option(help="Print the lines, too.")] = False,
) -> None:
    """Show what a sink's store refused, and send it again.

    The collector may be running.
    """
    settings = COLLECTOR.load_settings()
    sinks = COLLECTOR.module("sinks.offline").sinks_with_letters(settings)
    if sink is not None and sink not in sinks:
        raise ConfigError(f"no sink {sink!r}; the collector's sinks are: {', '.join(sinks) or 'none'}")
    for name in [sink] if sink else sinks:
        if resend:
            sent, kept = sinks[name].resend()
            typer.echo(f"{name}: {sent} taken, {kept} refused again")
            continue
        table = Table("refused at", "database", "lines", "status", "answer", title=name, title_justify="left")
        for letter in sinks[name].letters.read():
            count = f"{letter.line_count}{' (some kept)' if letter.partly_kept else ''}"
            table.add_row(
                *map(printable, (letter.time, letter.database, count, str(letter.status), letter.answer.strip()))
            )
            if lines:
                table.add_row("", "", "", "", printable(letter.lines))
        Console(soft_wrap=True, markup=False).print(table)
