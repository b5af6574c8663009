from typing import Annotated, Any

import typer

from streamswarm_cli.admin import credentials, output
from streamswarm_cli.admin.api import CSRF_HEADER, SESSION_COOKIE, Api
from streamswarm_cli.admin.credentials import Credentials
from streamswarm_cli.admin.noun import URL, Json, connect


def login(
    username: Annotated[str | None, typer.Option(help="Log in with a password instead of a personal token.")] = None,
) -> None:
    """Keep a token, or the session of a login, for what follows."""
    url = (URL[-1] if URL else "").rstrip("/") or credentials.DEFAULT_URL
    found = _by_password(url, username) if username else Credentials(url, _ask("Personal token"))
    with Api(found) as api:
        me = api.get("/auth/me")
    where = credentials.save(found)
    typer.echo(f"{me['username']} ({me['role']}) at {url}; kept in {where}", err=True)


def logout() -> None:
    """Forget the credentials, and end the session if it is one."""
    if not credentials.path().exists():
        typer.echo("not logged in", err=True)
        return
    stored = credentials.load(environment={"XDG_CONFIG_HOME": str(credentials.path().parent.parent)})
    try:
        if stored.session:
            with Api(stored) as api:
                api.send("POST", "/auth/logout")
    finally:
        credentials.forget()
    typer.echo("logged out", err=True)


def whoami(*, as_json: Json = False) -> None:
    """Show who the control plane takes you for."""
    with connect() as api:
        me: dict[str, Any] = api.get("/auth/me")
        output.show_one({"url": api.url, **{name: me[name] for name in me if name != "csrf_token"}}, as_json=as_json)


def _by_password(url: str, username: str) -> Credentials:
    with Api(Credentials(url)) as api:
        answer = api.send("POST", "/auth/login", body={"username": username, "password": _ask("Password")})
        me = answer.json()
        session = answer.cookies[SESSION_COOKIE]
        if me["must_change_password"]:
            typer.echo("the password has to be changed first", err=True)
    found = Credentials(url, session=session, csrf=me["csrf_token"])
    if me["must_change_password"]:
        _change_password(found)
    return found


def _change_password(found: Credentials) -> None:
    with Api(found) as api:
        body = {"old_password": _ask("Old password"), "new_password": _ask("New password", twice=True)}
        api.send("POST", "/auth/password", body=body, headers={CSRF_HEADER: found.csrf})


def _ask(what: str, *, twice: bool = False) -> str:
    """From the terminal without an echo, or from a pipe."""
    answer: str = typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True)
    return answer.strip()
