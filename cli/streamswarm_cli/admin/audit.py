import itertools
from typing import Annotated

import typer

from streamswarm_cli.admin import bodies, output
from streamswarm_cli.admin.noun import Json, Where, connect

COLUMNS = {"time": "time", "who": "actor", "from": "address", "did": "action", "to": "object"}


def audit(
    where: Where = None,
    *,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="The newest so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Show who changed what, newest first."""
    query = bodies.assignments(where or (), "--where")
    with connect() as api:
        found = list(itertools.islice(api.items("/audit", **query), count))
    output.show_list(found, COLUMNS, as_json=as_json)
