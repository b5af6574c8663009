from typing import Annotated, Any, Final

import typer

from streamswarm_cli.admin import bodies, noun
from streamswarm_cli.admin.agents import read_labels
from streamswarm_cli.admin.noun import Json, Noun, Set

ENROLMENT_TOKENS: Final = Noun(
    "/enrolment-tokens",
    "enrolment token",
    "id",
    {
        "id": "id",
        "agent": "agent_name",
        "site": "site",
        "labels": "labels",
        "uses": "uses",
        "uses left": "uses_left",
        "revoked": "revoked_at",
        "made by": "created_by",
        "expires": "expires_at",
        "used by": "used_by",
    },
)
app: Final = noun.group("Tokens by which agents are taken in.")
noun.add_list(app, ENROLMENT_TOKENS)


@app.command("create")
def create(
    *,
    agent: Annotated[str | None, typer.Option(help="Only for the agent of this name.")] = None,
    site: Annotated[str | None, typer.Option(help="The agent's site.")] = None,
    uses: Annotated[int | None, typer.Option(help="How many agents can enrol with it; one if not given.")] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", metavar="NAME=VALUE", help="A label that they get.")
    ] = None,
    hours: Annotated[float | None, typer.Option(help="Lifetime; the server's default if not given.")] = None,
    fields: Set = None,
    as_json: Json = False,
) -> None:
    """Make a token.

    The secret, and the command to run on the agent's host, are printed once.
    """
    given: dict[str, Any] = {
        "agent_name": agent,
        "site": site,
        "uses": uses,
        "labels": read_labels(label) if label else None,
        "hours": hours,
        **bodies.assignments(fields or ()),
    }
    known = {field: one for field, one in given.items() if one is not None}
    noun.create_from(ENROLMENT_TOKENS, known, None, as_json=as_json)


noun.add_delete(app, ENROLMENT_TOKENS)
