"""What all nouns of the API have in common: list, show, create, update, delete, and acts on one thing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from streamswarm_cli.admin import bodies, credentials, output
from streamswarm_cli.admin.api import Api
from streamswarm_core.errors import ConfigError, StreamSwarmError

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="A field; dots lead into objects.")
]
File = Annotated[
    str | None, typer.Option("--file", "-f", help="YAML or JSON with one or several; - is standard input.")
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", "-w", metavar="KEY=VALUE", help="A filter of the API, such as site=berlin."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Name = Annotated[str, typer.Argument(help="Its name or id.")]


@dataclass(frozen=True, slots=True)
class Noun:
    """A kind of thing.

    Attributes:
        path: of its list in the API.
        title: for people, singular.
        by: field that people call it by.
        columns: header and field of its table.
    """

    path: str
    title: str
    by: str
    columns: Mapping[str, str]


USED: Final[set[str]] = set()
"""Paths of the API that there are commands for, ids as {}."""
URL: Final[list[str]] = []
"""The `--url` of this run."""


def connect() -> Api:
    """The API, with the credentials in force."""
    return Api(credentials.load(URL[-1] if URL else ""))


def group(text: str) -> typer.Typer:
    """The commands of a noun, to which others are added."""
    app = typer.Typer(help=text, no_args_is_help=True)

    @app.callback()
    def _keep_subcommand() -> None:
        """Typer drops the name of a group's only command unless the group has a callback."""

    _keep_subcommand.__doc__ = text
    return app


def add_list(app: typer.Typer, noun: Noun) -> None:
    """`list`."""
    USED.add(noun.path)

    @app.command("list", help=f"List every {noun.title}.")
    def list_all(where: Where = None, *, as_json: Json = False) -> None:
        query = bodies.assignments(where or (), "--where")
        with connect() as api:
            found = list(api.items(noun.path, **query))
        output.show_list(found, noun.columns, as_json=as_json, nothing=f"no {noun.title}")


def add_show(app: typer.Typer, noun: Noun) -> None:
    """`show`."""

    @app.command("show", help=f"Show one {noun.title} with all its fields.")
    def show(name: Name, *, as_json: Json = False) -> None:
        with connect() as api:
            output.show_one(api.get(_path(api, noun, name)), as_json=as_json)


def create_from(
    noun: Noun,
    given: Mapping[str, Any],
    file: str | None,
    *,
    as_json: bool,
    ready: Callable[[Api, dict[str, Any]], dict[str, Any]] | None = None,
    skip_existing: bool = False,
) -> None:
    """Add what a file holds, with what is given on the command line in each, or what is given alone.

    Args:
        noun: what it is.
        given: fields from the command line.
        file: YAML or JSON; None for none.
        as_json: how to print what came of it.
        ready: makes names ids, and the like.
        skip_existing: leave out what is there already, by what it is called.
    """
    made = []
    found = bodies.documents(file) if file else [{}]
    with connect() as api:
        known = _known(api, noun) if skip_existing else set()
        for number, body in enumerate(found, 1):
            whole = {**body, **given}
            called = str(whole.get("name") or whole.get(noun.by) or number)
            if known & {str(whole.get(noun.by)), str(whole.get("name"))}:
                typer.echo(f"{noun.title} {called}: is there already", err=True)
                continue
            try:
                made.append(api.send("POST", noun.path, body=ready(api, whole) if ready else whole).json())
            except StreamSwarmError as error:
                if len(found) == 1:
                    raise
                place = f"{noun.title} {called}, number {number} of {len(found)}"
                raise ConfigError(f"{place}: {error}; {len(made)} before it are made, and none behind it") from None
    if as_json:
        output.show_json(made[0] if len(made) == 1 and not file else made)
    elif len(made) == 1:
        output.show_one(made[0], as_json=False)
    else:
        output.show_list(made, noun.columns, as_json=False)


def _known(api: Api, noun: Noun) -> set[str]:
    """What those that there are are called."""
    return {str(item[name]) for item in api.items(noun.path) for name in {noun.by, "name"} if item.get(name)}


def add_update(app: typer.Typer, noun: Noun) -> None:
    """`update`."""

    @app.command(
        "update", help=f"Change fields of one {noun.title}.\n\nOne that somebody else changes meanwhile is left alone."
    )
    def update(name: Name, fields: Set = None, *, file: File = None, as_json: Json = False) -> None:
        body = {**(_only(bodies.documents(file)) if file else {}), **bodies.assignments(fields or ())}
        if not body:
            raise ConfigError("nothing to change: give --set KEY=VALUE or --file")
        output.show_one(change(noun, name, body), as_json=as_json)


def change(noun: Noun, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Change fields of what has this name."""
    return rework(noun, name, lambda _api, _present: body)


def rework(
    noun: Noun, name: str, make: Callable[[Api, dict[str, Any]], Mapping[str, Any]], method: str = "PATCH"
) -> dict[str, Any]:
    """Change what has this name, by what it is at present; not if somebody else changes it meanwhile."""
    with connect() as api:
        path = _path(api, noun, name)
        present = api.send("GET", path)
        tag = present.headers.get("ETag")
        body = make(api, present.json())
        changed: dict[str, Any] = api.send(method, path, body=body, headers={"If-Match": tag} if tag else {}).json()
        return changed


def add_delete(app: typer.Typer, noun: Noun, verb: str = "delete", what: str = "Remove") -> None:
    """`delete`, or what it is called."""

    @app.command(verb, help=f"{what} one {noun.title}.")
    def delete(name: Name, *, yes: Yes = False) -> None:
        with connect() as api:
            found = api.find(noun.path, name, noun.by)
            if not yes:
                typer.confirm(f"{what} the {noun.title} {found.get(noun.by) or found['id']}?", abort=True, err=True)
            api.send("DELETE", f"{noun.path}/{found['id']}")
        done = verb + ("d" if verb.endswith("e") else "ed")
        typer.echo(f"{noun.title} {found.get(noun.by) or found['id']}: {done}", err=True)


def add_act(
    app: typer.Typer,
    noun: Noun,
    verb: str,
    text: str,
    *,
    ask: bool = False,
    columns: Mapping[str, str] | None = None,
) -> None:
    """A verb that the API has as `POST …/{id}/verb`.

    Args:
        app: gets the command.
        noun: on what.
        verb: the command, and the end of the path.
        text: what it does.
        ask: whether to ask first.
        columns: if the answer is a list of something else.
    """
    USED.add(f"{noun.path}/{{}}/{verb}")

    @app.command(verb, help=text)
    def act(name: Name, fields: Set = None, *, yes: Yes = not ask, as_json: Json = False) -> None:
        with connect() as api:
            found = api.find(noun.path, name, noun.by)
            called = found.get(noun.by) or found["id"]
            if not yes:
                typer.confirm(f"{text.rstrip('.')}: {called}?", abort=True, err=True)
            answer = api.send("POST", f"{noun.path}/{found['id']}/{verb}", body=bodies.assignments(fields or ()))
        if answer.content:
            made = answer.json()
            if isinstance(made, list):
                output.show_list(made, columns or noun.columns, as_json=as_json)
            else:
                output.show_one(made, as_json=as_json)
        else:
            typer.echo(f"{noun.title} {called}: {verb}: done", err=True)


def _path(api: Api, noun: Noun, name: str) -> str:
    return f"{noun.path}/{api.find(noun.path, name, noun.by)['id']}"


def _only(found: list[dict[str, Any]]) -> dict[str, Any]:
    if len(found) != 1:
        raise ConfigError(f"--file: expected one object, not {len(found)}")
    return found[0]
