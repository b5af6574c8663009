from typing import Annotated, Final

import typer

from streamswarm_cli.admin import noun
from streamswarm_cli.admin.noun import Json, Noun

TOKENS: Final = Noun(
    "/tokens",
    "token",
    "name",
    {
        "name": "name",
        "scopes": "scopes",
        "made by": "created_by",
        "last used": "last_used_at",
        "expires": "expires_at",
        "revoked": "revoked_at",
        "id": "id",
    },
)
app: Final = noun.group("Tokens of Grafana, Telegraf, Prometheus and scripts.")
noun.add_list(app, TOKENS)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[list[str], typer.Argument(help="read or write, or both.")],
    *,
    days: Annotated[float | None, typer.Option(help="Days until it expires; never if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Make a token; the secret is printed once."""
    given = {"name": name, "scopes": scope, **({"expires_in_days": days} if days is not None else {})}
    noun.create_from(TOKENS, given, None, as_json=as_json)


noun.add_delete(app, TOKENS, "revoke", "Revoke")
