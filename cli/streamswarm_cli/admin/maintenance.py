from typing import Annotated, Any, Final

import typer

from streamswarm_cli.admin import bodies, noun, output
from streamswarm_cli.admin.agents import AGENTS
from streamswarm_cli.admin.api import Api
from streamswarm_cli.admin.noun import File, Json, Name, Noun, Set
from streamswarm_cli.admin.tests import TESTS
from streamswarm_core.errors import ConfigError

MAINTENANCE: Final = Noun(
    "/maintenance",
    "maintenance window",
    "name",
    {
        "name": "name",
        "active": "active",
        "starts": "starts_at",
        "ends": "ends_at",
        "cron": "cron",
        "zone": "zone",
        "seconds": "duration",
        "everything": "everything",
        "selector": "selector",
        "id": "id",
    },
)
_FIELDS: Final = (
    "name",
    "note",
    "starts_at",
    "ends_at",
    "cron",
    "zone",
    "duration",
    "everything",
    "agent_ids",
    "test_ids",
    "selector",
)
app: Final = noun.group("Times in which nobody is alerted; monitoring goes on.")
noun.add_list(app, MAINTENANCE)
noun.add_show(app, MAINTENANCE)


@app.command("active")
def active(*, as_json: Json = False) -> None:
    """List what is silenced now."""
    with noun.connect() as api:
        found = list(api.items("/maintenance/active"))
    output.show_list(found, MAINTENANCE.columns, as_json=as_json, nothing="no maintenance window")


@app.command("create")
def create(
    name: Annotated[str | None, typer.Argument(help="What is done.")] = None,
    *,
    starts: Annotated[str | None, typer.Option("--from", help="Such as 2030-01-05T22:00:00+01:00.")] = None,
    ends: Annotated[str | None, typer.Option("--until", help="Its end.")] = None,
    cron: Annotated[str | None, typer.Option(help="Or again and again, such as '0 2 * * *'.")] = None,
    zone: Annotated[str | None, typer.Option(help="Time zone of --cron; UTC if not given.")] = None,
    minutes: Annotated[float | None, typer.Option(help="How long, with --cron.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All alerts.")] = False,
    agent: Annotated[list[str] | None, typer.Option("--agent", "-a", help="Those of this agent, by name.")] = None,
    test: Annotated[list[str] | None, typer.Option("--test", "-t", help="Those of this test, by key.")] = None,
    selector: Annotated[
        str | None, typer.Option(help="Those of agents with these labels, such as site=berlin.")
    ] = None,
    fields: Set = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Add a window, or those of a file.

    It may name `agents` and `tests` instead of ids.
    """
    given: dict[str, Any] = {
        "name": name,
        "starts_at": starts,
        "ends_at": ends,
        "cron": cron,
        "zone": zone,
        "duration": minutes * 60 if minutes is not None else None,
        "everything": everything or None,
        "agents": agent or None,
        "tests": test or None,
        "selector": selector,
        **bodies.assignments(fields or ()),
    }
    known = {key: one for key, one in given.items() if one is not None}
    noun.create_from(MAINTENANCE, known, file, as_json=as_json, ready=_with_ids)


def _with_ids(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    for names, ids, kind in (("agents", "agent_ids", AGENTS), ("tests", "test_ids", TESTS)):
        if names in body:
            body[ids] = [api.find(kind.path, str(name), kind.by)["id"] for name in body.pop(names)]
    return body


@app.command("update")
def update(name: Name, fields: Set = None, *, as_json: Json = False) -> None:
    """Change fields of a window; what isn't given stays."""
    body = bodies.assignments(fields or ())
    if not body:
        raise ConfigError("nothing to change: give --set KEY=VALUE")

    def whole(api: Api, present: dict[str, Any]) -> dict[str, Any]:
        # The API takes a window as a whole.
        kept = {field: present[field] for field in _FIELDS if present[field] not in ("", None)}
        return _with_ids(api, {**kept, **body})

    output.show_one(noun.rework(MAINTENANCE, name, whole, "PUT"), as_json=as_json)


noun.add_act(app, MAINTENANCE, "end", "Let a window silence nothing from now on; it stays listed.")
noun.add_delete(app, MAINTENANCE)
