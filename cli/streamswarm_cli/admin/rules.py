from typing import Annotated, Any, Final

import typer

from streamswarm_cli.admin import bodies, noun
from streamswarm_cli.admin.api import Api
from streamswarm_cli.admin.channels import CHANNELS
from streamswarm_cli.admin.noun import File, Json, Noun, Set

RULES: Final = Noun(
    "/rules",
    "rule",
    "name",
    {
        "name": "name",
        "enabled": "enabled",
        "events": "events",
        "severities": "severities",
        "sites": "sites",
        "agents": "agents",
        "tests": "tests",
        "labels": "labels",
        "id": "id",
    },
)
app: Final = noun.group("Which alerts are told on which channels.")
noun.add_list(app, RULES)
noun.add_show(app, RULES)


@app.command("create")
def create(
    name: Annotated[str | None, typer.Argument(help="For people.")] = None,
    *,
    channel: Annotated[list[str] | None, typer.Option("--channel", "-c", help="Tell it here, by name.")] = None,
    severity: Annotated[
        list[str] | None, typer.Option(help="Only critical, warning or info ones; all if none.")
    ] = None,
    fields: Set = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Add a rule, or those of a file.

    It may name `channels` instead of `channel_ids`.
    """
    given = {"name": name, "channels": channel or None, "severities": severity or None}
    known = {key: one for key, one in given.items() if one is not None}
    noun.create_from(RULES, {**known, **bodies.assignments(fields or ())}, file, as_json=as_json, ready=_with_ids)


def _with_ids(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    names = body.pop("channels", None)
    if names:
        body["channel_ids"] = [api.find(CHANNELS.path, str(name), CHANNELS.by)["id"] for name in names]
    return body


noun.add_update(app, RULES)
noun.add_delete(app, RULES)
