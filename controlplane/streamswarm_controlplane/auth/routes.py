from fastapi import APIRouter, Request, Response, status

from streamswarm_controlplane import development
from streamswarm_controlplane.audit.service import record
from streamswarm_controlplane.auth import service, sessions
from streamswarm_controlplane.auth.models import UserSession
from streamswarm_controlplane.auth.oidc import Provider
from streamswarm_controlplane.auth.schemas import LoggedOut, Login, Me, OwnSession, PasswordChange, SessionPublic
from streamswarm_controlplane.deps import (
    AddressDep,
    BaseSettingsDep,
    BrowserDep,
    DatabaseDep,
    Principal,
    PrincipalDep,
    SessionDep,
)
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.pages import Page, PageDep
from streamswarm_controlplane.users.schemas import ProfileUpdate, UserPublic
from streamswarm_controlplane.users.service import update_profile

router = APIRouter(prefix="/auth", tags=["auth"], route_class=ApiRoute)


def _me(principal: Principal, db: SessionDep | None = None) -> Me:
    session, token = principal.session, principal.token
    method = session.method if session else "token" if token else "development"
    return Me.model_validate(
        {
            **UserPublic.model_validate(principal.user).model_dump(),
            "csrf_token": session.csrf_token if session else None,
            "method": method,
            "scope": token.scope if token else None,
            "development_until": development.open_until(db) if db else None,
        }
    )


@router.post("/login", summary="Log in")
def login(
    body: Login,
    request: Request,
    response: Response,
    base: BaseSettingsDep,
    database: DatabaseDep,
    address: AddressDep,
    _once: OnceDep,
) -> Me:
    """Sets the session cookie."""
    user_agent = request.headers.get("User-Agent", "")
    found = service.log_in(database, base, body.username, body.password, address=address, user_agent=user_agent)
    sessions.set_cookie(request, response, base, found.secret)
    return _me(Principal(found.user, address, session=found.session))


@router.post(
    "/logout",
    status_code=status.HTTP_204_NO_CONTENT,
    responses={200: {"model": LoggedOut, "description": "Log out at the OpenID provider too"}},
    summary="Log out",
)
def logout(request: Request, db: SessionDep, principal: BrowserDep, _once: OnceDep) -> Response:
    """Ends the session. After single sign-on the answer says where to end the session at the provider."""
    response = Response(status_code=status.HTTP_204_NO_CONTENT)
    session = principal.session
    if session is not None:
        db.delete(session)
        record(db, principal.actor, "auth.logout", principal.user.username)
        db.commit()  # the provider may take its time
        provider: Provider | None = request.app.state.oidc
        url = provider.end_session_url() if provider and session.method == "oidc" else ""
        if url:
            response = Response(LoggedOut(end_session_url=url).model_dump_json(), media_type="application/json")
    response.delete_cookie(sessions.COOKIE)
    return response


@router.get("/me", summary="Who am I")
def me(principal: PrincipalDep, db: SessionDep) -> Me:
    """Also says whether a password change is due."""
    return _me(principal, db)


@router.patch("/me", summary="Change the caller's own name or e-mail address")
def change_me(body: ProfileUpdate, principal: BrowserDep, db: SessionDep) -> Me:
    """The user name and the role are for an admin to change."""
    update_profile(db, principal.actor, principal.user, body)
    return _me(principal, db)


@router.post("/password", status_code=status.HTTP_204_NO_CONTENT, summary="Change the caller's own password")
def change_password(
    body: PasswordChange,
    db: SessionDep,
    base: BaseSettingsDep,
    database: DatabaseDep,
    principal: BrowserDep,
    _once: OnceDep,
) -> None:
    """Other sessions of the caller end. No token can do it."""
    # Hashing takes a while, and SQLite has one transaction at a time: this request's own ends here.
    db.expunge_all()
    db.rollback()
    session = principal.session
    if session is not None:
        service.change_password(
            database, base, session, old=body.old_password, new=body.new_password, address=principal.address
        )


@router.get("/sessions", summary="Where the caller is logged in")
def list_own_sessions(db: SessionDep, page: PageDep, principal: PrincipalDep) -> Page[OwnSession]:
    """Newest first."""
    current = principal.session.id if principal.session else ""

    def show(session: UserSession) -> OwnSession:
        return OwnSession(**SessionPublic.model_validate(session).model_dump(), current=session.id == current)

    by = [UserSession.created_at, UserSession.id]
    return page.read(db, sessions.query_sessions(principal.user), by=by, show=show, descending=True)


@router.delete("/sessions", status_code=status.HTTP_204_NO_CONTENT, summary="End the caller's other sessions")
def end_other_sessions(db: SessionDep, principal: BrowserDep) -> None:
    """The one that asks stays."""
    sessions.end_all(db, principal.actor, principal.user, but=principal.session)


@router.delete("/sessions/{session_id}", status_code=status.HTTP_204_NO_CONTENT, summary="End one of one's sessions")
def end_own_session(session_id: str, db: SessionDep, principal: BrowserDep) -> None:
    """May be the one that asks."""
    sessions.end_session(db, principal.actor, principal.user, session_id)
