from typing import Annotated, Final

import typer

from streamswarm_cli.admin import bodies, noun, output
from streamswarm_cli.admin.noun import Json, Noun, connect

CONFIG: Final = Noun(
    "/config",
    "key",
    "key",
    {"key": "key", "value": "value", "default": "default", "changed by": "changed_by", "meaning": "description"},
)
Key = Annotated[str, typer.Argument(help="One of those of `list`.")]
app: Final = noun.group("What can be set while the control plane runs.")
noun.add_list(app, CONFIG)


@app.command("show")
def show(key: Key, *, as_json: Json = False) -> None:
    """Show a key with its default and its bounds."""
    with connect() as api:
        output.show_one(api.get(f"/config/{key}"), as_json=as_json)


@app.command("set")
def set_key(key: Key, value: Annotated[str, typer.Argument()], *, as_json: Json = False) -> None:
    """Set a key; it holds at once."""
    with connect() as api:
        output.show_one(
            api.send("PUT", f"/config/{key}", body={"value": bodies.value_of(value)}).json(), as_json=as_json
        )


@app.command("reset")
def reset(key: Key, *, as_json: Json = False) -> None:
    """Give a key its default again."""
    with connect() as api:
        output.show_one(api.send("DELETE", f"/config/{key}").json(), as_json=as_json)
