from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from streamswarm_cli.services import SERVICES, NotInstalledError, Service, complete_service
from streamswarm_core.settings import variable_name

app: Final = typer.Typer(help="The configuration in force.", no_args_is_help=True)


@app.callback()
def _keep_subcommand() -> None:
    """Typer drops the name of a group's only command unless the group has a callback."""


@app.command("show")
def show(
    service: Annotated[
        str | None,
        typer.Argument(
            help=f"One of {', '.join(SERVICES)}; all of them if not given.", autocompletion=complete_service
        ),
    ] = None,
) -> None:
    """Print the effective settings with secrets masked.

    Strongest first, they come from environment variables, `.env` and streamswarm.toml (or the file that
    STREAMSWARM_CONFIG names).
    """
    if service is not None and service not in SERVICES:
        raise typer.BadParameter(f"no service {service!r}; one of {', '.join(SERVICES)}", param_hint="service")
    console = Console(soft_wrap=True)
    for chosen in [SERVICES[service]] if service else SERVICES.values():
        try:
            console.print(_table(chosen))
        except NotInstalledError:
            if service:
                raise
            console.print(f"{chosen.title}: not installed here")


def _table(service: Service) -> Table:
    settings = service.load_settings()
    table = Table("variable", "value", "meaning", title=f"{service.title} – [{settings.table}]", title_justify="left")
    for name, value in settings.effective().items():
        field = type(settings).model_fields[name]
        table.add_row(variable_name(type(settings), name), value or "–", field.description or "")
    return table
