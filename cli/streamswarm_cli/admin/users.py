from typing import Annotated, Final

import typer

from streamswarm_cli.admin import bodies, noun
from streamswarm_cli.admin.noun import File, Json, Noun, Set

USERS: Final = Noun(
    "/users",
    "user",
    "username",
    {"username": "username", "role": "role", "active": "active", "last login": "last_login_at", "id": "id"},
)
app: Final = noun.group("People who can log in.")
noun.add_list(app, USERS)
noun.add_show(app, USERS)


@app.command("create")
def create(
    username: Annotated[str | None, typer.Argument(help="Name to log in with.")] = None,
    *,
    role: Annotated[str | None, typer.Option(help="viewer, operator or admin; viewer if not given.")] = None,
    fields: Set = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Add a user; the generated password is printed once."""
    given = {"username": username, "role": role, **bodies.assignments(fields or ())}
    noun.create_from(USERS, {key: one for key, one in given.items() if one is not None}, file, as_json=as_json)


noun.add_update(app, USERS)
noun.add_delete(app, USERS)
noun.add_act(app, USERS, "reset-password", "Give a user a new generated password, printed once.", ask=True)
noun.add_act(app, USERS, "unlock", "Let a user log in without waiting after failed logins.")
