from typing import Annotated

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from streamswarm_controlplane.auth import service
from streamswarm_controlplane.auth.models import UserSession
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.deps import SESSION_COOKIE, AddressDep, PrincipalDep, SessionDep, SettingsDep
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.users.models import User
from streamswarm_controlplane.users.schemas import UserPublic

router = APIRouter(prefix="/auth", tags=["auth"], route_class=ApiRoute)

_Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class Login(BaseModel):
    """Who wants in."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"username": "kim", "password": "nine quiet harbour lamps"}]},
    )

    username: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    password: _Password


class PasswordChange(BaseModel):
    """The caller's own password."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"old_password": "k3m2p-9xw4z", "new_password": "nine quiet harbour lamps"}]},
    )

    old_password: _Password
    new_password: _Password = Field(description="At least 12 characters, without the user name.")


class Me(UserPublic):
    """The caller."""

    csrf_token: str = Field(description="To be sent as X-CSRF-Token with every request that changes something.")


def _me(user: User, session: UserSession) -> Me:
    return Me(**UserPublic.model_validate(user).model_dump(), csrf_token=session.csrf_token)


@router.post("/login", summary="Log in")
def login(
    body: Login,
    request: Request,
    response: Response,
    settings: SettingsDep,
    db: SessionDep,
    address: AddressDep,
    _once: OnceDep,
) -> Me:
    """Sets the session cookie."""
    keys = service.throttle_keys(body.username, address)
    service.check_throttle(db, keys)
    found = service.log_in(db, body.username, body.password, address)
    if found is None:
        # The request's own transaction is rolled back with the refusal; the count must stay.
        db.rollback()
        database: Database = request.app.state.database
        with database.session() as counting:
            service.count_failure(counting, keys)
        raise ApiError(401, "wrong user name or password")
    user, session, secret = found
    response.set_cookie(
        SESSION_COOKIE,
        secret,
        max_age=int(settings.session_hours * 3600),
        httponly=True,
        samesite="strict",
        secure=settings.secure_cookies,
    )
    return _me(user, session)


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT, summary="Log out")
def logout(response: Response, db: SessionDep, principal: PrincipalDep, _once: OnceDep) -> None:
    """Ends the session."""
    db.delete(principal.session)
    response.delete_cookie(SESSION_COOKIE)


@router.get("/me", summary="Who am I")
def me(principal: PrincipalDep) -> Me:
    """Also says whether a password change is due."""
    return _me(principal.user, principal.session)


@router.post("/password", status_code=status.HTTP_204_NO_CONTENT, summary="Change the caller's own password")
def change_password(body: PasswordChange, db: SessionDep, principal: PrincipalDep, _once: OnceDep) -> None:
    """Other sessions of the caller end."""
    service.change_password(
        db, principal.actor, principal.user, principal.session, old=body.old_password, new=body.new_password
    )
