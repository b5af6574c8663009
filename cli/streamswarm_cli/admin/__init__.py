"""`streamswarm admin`: the REST API on the command line; one file for each noun."""

from typing import Annotated, Final

import typer

from streamswarm_cli.admin import (
    agents,
    alerts,
    apply,
    audit,
    channels,
    config,
    deliveries,
    enrolment_tokens,
    maintenance,
    plans,
    request,
    results,
    rules,
    runs,
    session,
    silences,
    sites,
    tokens,
    users,
)
from streamswarm_cli.admin.credentials import DEFAULT_URL, URL_VARIABLE
from streamswarm_cli.admin.noun import URL

app: Final = typer.Typer(help="Manage a control plane through its API.", no_args_is_help=True)


@app.callback()
def _options(
    url: Annotated[
        str, typer.Option(envvar=URL_VARIABLE, help=f"The control plane; {DEFAULT_URL} or where you are logged in.")
    ] = "",
) -> None:
    """Manage a control plane through its API."""
    URL[:] = [url]


app.command("login")(session.login)
app.command("logout")(session.logout)
app.command("whoami")(session.whoami)
for _name, _app in {
    "users": users.app,
    "agents": agents.app,
    "sites": sites.app,
    "tests": plans.app,
    "runs": runs.app,
    "alerts": alerts.app,
    "silences": silences.app,
    "maintenance": maintenance.app,
    "channels": channels.app,
    "rules": rules.app,
    "deliveries": deliveries.app,
    "enrolment-tokens": enrolment_tokens.app,
    "tokens": tokens.app,
    "config": config.app,
}.items():
    app.add_typer(_app, name=_name)
app.command("apply")(apply.apply)
app.command("export")(apply.export)
app.command("results")(results.results)
app.command("audit")(audit.audit)
app.command("request")(request.request)
