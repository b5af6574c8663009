"""The console's pages. They hold no data: their scripts ask the API, with the session that the page was opened with."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from streamswarm_controlplane.deps import AddressDep, Principal, SessionDep, SettingsDep, get_principal
from streamswarm_controlplane.development import open_until
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.users.roles import Role
from streamswarm_core import __version__

_FOLDER: Final = Path(__file__).parent
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PAGES: Final = {
    "/": ("overview", "Overview"),
    "/alerts": ("alerts", "Alerts"),
    "/agents": ("agents", "Agents"),
    "/sites": ("sites", "Sites"),
    "/tests": ("tests", "Tests"),
    "/maintenance": ("maintenance", "Maintenance"),
    "/notifications": ("notifications", "Notifications"),
    "/results": ("results", "Results"),
}
_OF_A_THING: Final = {"/results"}
"""Pages that a link leads to, as they need to know of what."""
_GUARDED: Final = {
    "/tokens": ("tokens", "Tokens", Role.OPERATOR),
    "/users": ("users", "Users", Role.ADMIN),
    "/audit": ("audit", "Audit log", Role.ADMIN),
    "/configuration": ("configuration", "Configuration", Role.ADMIN),
}
"""Pages for some; the API checks the role once more."""


def mount(app: FastAPI) -> None:
    """Add the console's pages and files to the app."""
    pages = Environment(loader=FileSystemLoader(_FOLDER / "templates"), autoescape=True, undefined=StrictUndefined)

    def render(
        name: str, title: str, principal: Principal | None, *, until: datetime | None = None, **more: str | int
    ) -> HTMLResponse:
        user = principal.user if principal else None
        role = principal.role if principal else None
        guarded = {path: entry for path, entry in _GUARDED.items() if role and role.includes(entry[2])}
        content = pages.get_template(f"{name}.html").render(
            page=name,
            title=title,
            navigation={path: entry for path, entry in _PAGES.items() if path not in _OF_A_THING},
            administration=guarded,
            development_until=until,
            username=user.username if user else "",
            role=user.role if user else "",
            may_change=bool(user and Role(user.role).includes(Role.OPERATOR)),
            version=__version__,
            **more,
        )
        return HTMLResponse(content, headers=_HEADERS)

    def login(request: Request, db: SessionDep, settings: SettingsDep, address: AddressDep) -> Response:
        if _principal(request, db, settings, address):
            return RedirectResponse("/", 303)
        return render("login", "Log in", None, oidc_name=settings.oidc_name if request.app.state.oidc else "")

    def password(request: Request, db: SessionDep, settings: SettingsDep, address: AddressDep) -> Response:
        principal = _principal(request, db, settings, address)
        if principal is None:
            return _to_login(request)
        return render("password", "Change password", principal, shortest=settings.password_length)

    def page(request: Request, db: SessionDep, settings: SettingsDep, address: AddressDep) -> Response:
        principal = _principal(request, db, settings, address)
        if principal is None:
            return _to_login(request)
        if principal.user.must_change_password:
            return RedirectResponse("/password", 303)
        until = open_until(db) if settings.development_minutes else None
        path = request.url.path
        if path in _GUARDED:
            name, title, role = _GUARDED[path]
            allowed = principal.role.includes(role)
            return render(name, title, principal, until=until) if allowed else RedirectResponse("/", 303)
        return render(*_PAGES.get(path, ("profile", "Profile")), principal, until=until)

    app.add_api_route("/login", login, include_in_schema=False, name="login_page")
    app.add_api_route("/password", password, include_in_schema=False, name="password_page")
    app.add_api_route("/profile", page, include_in_schema=False, name="profile_page")
    for path, (name, *_) in {**_PAGES, **_GUARDED}.items():
        app.add_api_route(path, page, include_in_schema=False, name=f"{name}_page")
    app.mount("/static", _Static(directory=_FOLDER / "static"), name="static")


class _Static(StaticFiles):
    """Files that browsers ask for again each time, which costs them a 304.

    Without a word on it they keep a file for a tenth of its age: after an update, old modules beside new ones.
    """

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _principal(request: Request, db: SessionDep, settings: SettingsDep, address: AddressDep) -> Principal | None:
    try:
        return get_principal(request, db, settings, address)
    except ApiError:
        return None


def _to_login(request: Request) -> Response:
    """Back to where one was after the login; only paths of our own are ever followed, by the login page's script."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/login?next={quote(request.url.path + query)}", 303)
