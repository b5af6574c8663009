from typing import Annotated

import typer

from streamswarm_cli.admin import bodies, output
from streamswarm_cli.admin.noun import File, Set, Where, connect
from streamswarm_core.errors import ConfigError

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def request(
    method: Annotated[str, typer.Argument(help=f"One of {', '.join(METHODS)}.")],
    path: Annotated[str, typer.Argument(help="As in the API's description, such as /alerts.")],
    fields: Set = None,
    *,
    where: Where = None,
    file: File = None,
) -> None:
    """Send any request of the API, and print its answer as JSON.

    For what has no command of its own.
    """
    verb = method.upper()
    if verb not in METHODS:
        raise ConfigError(f"no method {method!r}; one of {', '.join(METHODS)}")
    body = {**(bodies.documents(file)[0] if file else {}), **bodies.assignments(fields or ())}
    with connect() as api:
        query = bodies.assignments(where or (), "--where")
        answer = api.send(verb, f"/{path.lstrip('/')}", body=body or None, **query)
    if answer.content:
        output.show_json(answer.json())
