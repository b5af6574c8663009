import re
from html import escape
from typing import Annotated, Final

from fastapi import APIRouter, Cookie, Depends, Query, Request, status
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from streamswarm_controlplane.addresses import came_by_tls
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.auth import oidc, sessions
from streamswarm_controlplane.auth.oidc_users import user_of
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.deps import AddressDep, BaseSettingsDep, DatabaseDep
from streamswarm_controlplane.idempotency import ApiRoute
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.sysconfig.service import effective

router = APIRouter(prefix="/auth/oidc", tags=["auth"], route_class=ApiRoute)

_COOKIE: Final = "streamswarm_oidc"
_PAGE: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Logged in</title>'
    '<meta http-equiv="refresh" content="0;url={path}"><p><a href="{path}">Go on to StreamSwarm</a>'
)
_REFUSED: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not logged in – StreamSwarm</title>'
    '<link rel="stylesheet" href="/static/style.css"><body><main class="card-page"><div class="card">'
    '<h1>Not logged in</h1><p role="alert">{why}</p><a class="button" href="/login">Back to the login</a></div></main>'
)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def get_provider(request: Request) -> oidc.Provider:
    """The OpenID provider.

    Raises:
        ApiError: 404 if there is none.
    """
    provider: oidc.Provider | None = request.app.state.oidc
    if provider is None:
        raise ApiError(404, "there is no single sign-on here; set oidc_issuer and oidc_client_id in [controlplane]")
    return provider


ProviderDep = Annotated[oidc.Provider, Depends(get_provider)]


@router.get(
    "/login",
    response_class=RedirectResponse,
    status_code=status.HTTP_303_SEE_OTHER,
    summary="Log in by single sign-on",
)
def oidc_login(
    request: Request,
    provider: ProviderDep,
    database: DatabaseDep,
    base: BaseSettingsDep,
    next_path: Annotated[str, Query(alias="next", description="Page to go to afterwards.", max_length=500)] = "/",
) -> Response:
    """Sends the browser to the OpenID provider."""
    provider.metadata()
    with database.session() as db:
        begun = provider.begin(db, next_path if _is_own_path(next_path) else "/")
    response = RedirectResponse(begun.url, status.HTTP_303_SEE_OTHER, headers={"Cache-Control": "no-store"})
    response.set_cookie(
        _COOKIE,
        begun.browser_secret,
        max_age=600,
        path=oidc.CALLBACK,
        httponly=True,
        samesite="lax",  # the browser comes back from another site
        secure=base.secure_cookies or came_by_tls(request, base.trusted_proxies),
    )
    return response


@router.get("/callback", response_class=HTMLResponse, summary="Where the OpenID provider sends the browser back to")
def oidc_callback(
    request: Request,
    provider: ProviderDep,
    database: DatabaseDep,
    base: BaseSettingsDep,
    address: AddressDep,
    state: Annotated[str, Query(max_length=500, description="What the login was begun with.")] = "",
    code: Annotated[str, Query(max_length=4000, description="What the provider gives for a login.")] = "",
    error: Annotated[str, Query(max_length=200, description="Why the provider refused.")] = "",
    streamswarm_oidc: Annotated[str, Cookie(max_length=200, description="Set when the login was begun.")] = "",
) -> Response:
    """Sets the session cookie."""
    begun = False
    try:
        with database.session() as db:
            login = oidc.take(db, state, streamswarm_oidc)
        begun = True
        claims = provider.claims(login, code, error)
        with database.session() as db:
            user = user_of(db, base, claims)
            agent = request.headers.get("User-Agent", "")
            settings = effective(db, base)
            _, secret = sessions.open_session(db, settings, user, method="oidc", address=address, user_agent=agent)
    except ApiError as refused:
        # Anybody can ask for this page, as often as they like: what no browser has begun is no failed login.
        if begun and refused.problem.status != status.HTTP_502_BAD_GATEWAY:
            _note_failure(database, address, refused)
        if "text/html" not in request.headers.get("Accept", ""):
            raise
        page = _REFUSED.format(why=escape(refused.problem.detail))
        return HTMLResponse(page, refused.problem.status, headers=_HEADERS)
    # A page, no redirect: a browser that was sent here by another site would not send the new cookie along with one.
    response = HTMLResponse(_PAGE.format(path=escape(login.next_path, quote=True)), headers=_HEADERS)
    sessions.set_cookie(request, response, base, secret)
    response.delete_cookie(_COOKIE, path=oidc.CALLBACK)
    return response


def _note_failure(database: Database, address: str, refused: ApiError) -> None:
    with database.session() as db:
        actor = Actor("anonymous", address, kind="anonymous")
        record(db, actor, "auth.login_failed", "single sign-on", after={"reason": refused.problem.detail})


def _is_own_path(path: str) -> bool:
    """Whether it stays on this site: one slash, then none and no backslash."""
    return re.fullmatch(r"/([^/\\\s;][^\\\s;]*)?", path) is not None
