from typing import Annotated, Final

import typer

from streamswarm_cli.services import AGENT
from streamswarm_core.errors import ConfigError

app: Final = typer.Typer(help="The part that measures.", no_args_is_help=True)


@app.command("run")
def run() -> None:
    """Run the agent until Ctrl-C."""
    AGENT.run()


@app.command("enrol")
def enrol(
    token: Annotated[
        str,
        typer.Option(
            help="One-time enrolment token from the console.",
            prompt=True,
            hide_input=True,
            envvar="STREAMSWARM_AGENT_ENROL_TOKEN",
        ),
    ],
    url: Annotated[str | None, typer.Option(help="Base URL of the control plane.")] = None,
    name: Annotated[
        str | None, typer.Option(help="The agent's name, its `agent` tag; the host name by default.")
    ] = None,
    *,
    force: Annotated[bool, typer.Option(help="Replace the credential that is there.")] = False,
) -> None:
    """Exchange a one-time token for a credential of this agent's own.

    It is kept in the data folder.
    """
    settings = AGENT.load_settings(controlplane_url=url, name=name)
    enrolment = AGENT.module("enrol")
    if enrolment.has_credential(settings) and not force:
        path = enrolment.credential_path(settings)
        raise ConfigError(f"{path}: this agent is enrolled already; --force replaces its credential")
    credential = enrolment.enrol(settings, token=token)
    typer.echo(f"enrolled as {credential.name} (site {credential.site or '–'}); start it with: streamswarm agent run")
