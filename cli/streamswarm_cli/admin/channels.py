from typing import Annotated, Any, Final

import typer

from streamswarm_cli.admin import bodies, noun, output
from streamswarm_cli.admin.noun import File, Json, Name, Noun, Set
from streamswarm_core.errors import ConfigError

Setting = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="KEY=VALUE", help="One of the kind's settings, such as url; see docs."),
]
CHANNELS: Final = Noun(
    "/channels",
    "channel",
    "name",
    {"name": "name", "kind": "kind", "enabled": "enabled", "settings": "settings", "id": "id"},
)
app: Final = noun.group("Where messages go: webhooks, mail, chat.")
noun.add_list(app, CHANNELS)
noun.add_show(app, CHANNELS)


@app.command("create")
def create(
    name: Annotated[str | None, typer.Argument(help="For people.")] = None,
    kind: Annotated[str | None, typer.Argument(help="webhook, email or slack.")] = None,
    *,
    option: Setting = None,
    fields: Set = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Add a channel, or those of a file.

    Passwords are better kept there than in options that others can list.
    """
    given: dict[str, Any] = bodies.assignments(fields or ())
    if name:
        given["name"] = name
    settings = {**({"kind": kind} if kind else {}), **bodies.assignments(option or (), "--option")}
    if settings:
        given["settings"] = settings
    noun.create_from(CHANNELS, given, file, as_json=as_json)


@app.command("update")
def update(name: Name, *, option: Setting = None, fields: Set = None, as_json: Json = False) -> None:
    """Change a channel; settings that aren't given stay, secrets too."""
    body, settings = bodies.assignments(fields or ()), bodies.assignments(option or (), "--option")
    if not body and not settings:
        raise ConfigError("nothing to change: give --option or --set KEY=VALUE")

    def whole(_api: object, present: dict[str, Any]) -> dict[str, Any]:
        return {**body, "settings": {**present["settings"], **settings}} if settings else body

    output.show_one(noun.rework(CHANNELS, name, whole), as_json=as_json)


noun.add_delete(app, CHANNELS)
noun.add_act(app, CHANNELS, "test", "Send a test message; `deliveries` shows what became of it.")
