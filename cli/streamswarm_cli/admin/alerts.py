from typing import Annotated, Final

import typer

from streamswarm_cli.admin import noun, output
from streamswarm_cli.admin.noun import Json, Noun

Id = Annotated[str, typer.Argument(help="The alert's id.")]
ALERTS: Final = Noun(
    "/alerts",
    "alert",
    "id",
    {
        "severity": "severity",
        "event": "event",
        "agent": "labels.agent",
        "test": "labels.test",
        "what": "summary",
        "opened": "opened_at",
        "closed": "closed_at",
        "taken by": "acknowledged_by",
        "not told": "held_back",
        "id": "id",
    },
)
app: Final = noun.group("What is wrong; `list -w state=all` has what was, too.")
noun.add_list(app, ALERTS)
noun.add_show(app, ALERTS)


@app.command("acknowledge")
def acknowledge(
    alert: Id, *, comment: Annotated[str, typer.Option(help="For the others.")] = "", as_json: Json = False
) -> None:
    """Take care of an alert: only its end is told any more."""
    with noun.connect() as api:
        made = api.send(
            "POST", f"/alerts/{api.find('/alerts', alert, 'id')['id']}/acknowledge", body={"comment": comment}
        )
    output.show_one(made.json(), as_json=as_json)


@app.command("unacknowledge")
def unacknowledge(alert: Id, *, as_json: Json = False) -> None:
    """Take an acknowledgement back: the alert is repeated again."""
    with noun.connect() as api:
        made = api.send("DELETE", f"/alerts/{api.find('/alerts', alert, 'id')['id']}/acknowledge")
    output.show_one(made.json(), as_json=as_json)
