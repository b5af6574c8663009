from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, status
from sqlalchemy.orm import Session

from streamswarm_controlplane.auth import sessions, throttle
from streamswarm_controlplane.auth.models import UserSession
from streamswarm_controlplane.auth.schemas import SessionPublic
from streamswarm_controlplane.deps import Admin, SessionDep
from streamswarm_controlplane.dryrun import CAN_BE_TRIED, is_dry_run
from streamswarm_controlplane.etags import ChangingDep, ReadingDep
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.pages import Page, PageDep
from streamswarm_controlplane.users import service
from streamswarm_controlplane.users.models import User, UserIdentity
from streamswarm_controlplane.users.roles import Role
from streamswarm_controlplane.users.schemas import (
    Identity,
    UserCreate,
    UserCreated,
    UserPublic,
    UserUpdate,
    UserWithBlock,
)

router = APIRouter(prefix="/users", tags=["users"], route_class=ApiRoute)


def _shown(db: Session, user: User) -> UserWithBlock:
    return _with_block(user, throttle.blocked_accounts(db, user))


def _with_block(user: User, blocked: Mapping[str, datetime]) -> UserWithBlock:
    return UserWithBlock(**UserPublic.model_validate(user).model_dump(), blocked_until=blocked.get(user.id))


@router.get("", summary="All users")
def list_users(
    db: SessionDep,
    page: PageDep,
    _admin: Admin,
    role: Annotated[Role | None, Query(description="Only users with this role.")] = None,
    active: Annotated[bool | None, Query(description="Only users who may log in, or who may not.")] = None,
    q: Annotated[str, Query(max_length=100, description="Part of the user name.")] = "",
) -> Page[UserWithBlock]:
    """Ordered by name."""
    query = service.query_users(role=role, active=active, part=q)
    blocked = throttle.blocked_accounts(db)
    return page.read(db, query, by=[User.username_key], show=lambda user: _with_block(user, blocked))


@router.post("", status_code=status.HTTP_201_CREATED, dependencies=CAN_BE_TRIED, summary="Add a user")
def create_user(request: Request, body: UserCreate, db: SessionDep, admin: Admin, _once: OnceDep) -> UserCreated:
    """The generated password is in the answer, and nowhere else."""
    user, password = service.create_user(
        db,
        admin.actor,
        body.username,
        body.role,
        display_name=body.display_name,
        email=body.email,
        active=body.active,
    )
    shown = "" if is_dry_run(request) else password
    return UserCreated(**UserPublic.model_validate(user).model_dump(), password=shown)


@router.get("/{user_id}", summary="One user")
def get_user(user_id: str, db: SessionDep, reading: ReadingDep, _admin: Admin) -> UserWithBlock:
    """By id."""
    return reading.show(_shown(db, service.get_user(db, user_id)))


@router.patch(
    "/{user_id}",
    dependencies=CAN_BE_TRIED,
    summary="Change a user: name, role, mail, or whether they are active",
)
def update_user(user_id: str, body: UserUpdate, db: SessionDep, changing: ChangingDep, admin: Admin) -> UserWithBlock:
    """The last active admin stays one. Whoever is deactivated is out at once."""
    user = service.get_user(db, user_id, lock=True)
    changing.check(_shown(db, user))
    return changing.show(_shown(db, service.update_user(db, admin.actor, user, body)))


@router.post("/{user_id}/reset-password", summary="Give a user a new generated password")
def reset_password(user_id: str, db: SessionDep, admin: Admin, _once: OnceDep) -> UserCreated:
    """It has to be changed at the next login; the user's sessions end, and their tokens rest until then."""
    user = service.get_user(db, user_id, lock=True)
    password = service.reset_password(db, admin.actor, user)
    throttle.forgive(db, user)
    return UserCreated(**UserPublic.model_validate(user).model_dump(), password=password)


@router.post("/{user_id}/unlock", summary="Let a user log in without waiting")
def unlock_user(user_id: str, db: SessionDep, admin: Admin, _once: OnceDep) -> UserWithBlock:
    """Forgets the failed logins of the account; those of addresses stay."""
    user = service.get_user(db, user_id, lock=True)
    throttle.unlock(db, admin.actor, user)
    return _shown(db, user)


@router.delete("/{user_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Remove a user")
def delete_user(user_id: str, db: SessionDep, changing: ChangingDep, admin: Admin) -> None:
    """With their sessions and personal tokens. Nobody can remove themself or the last active admin."""
    user = service.get_user(db, user_id, lock=True)
    changing.check(_shown(db, user))
    service.delete_user(db, admin.actor, user)


@router.get("/{user_id}/sessions", summary="Where a user is logged in")
def list_user_sessions(user_id: str, db: SessionDep, page: PageDep, _admin: Admin) -> Page[SessionPublic]:
    """Newest first."""
    query = sessions.query_sessions(service.get_user(db, user_id))
    by = [UserSession.created_at, UserSession.id]
    return page.read(db, query, by=by, show=SessionPublic.model_validate, descending=True)


@router.delete("/{user_id}/sessions", status_code=status.HTTP_204_NO_CONTENT, summary="Log a user out everywhere")
def end_user_sessions(user_id: str, db: SessionDep, admin: Admin) -> None:
    """Their personal tokens stay."""
    sessions.end_all(db, admin.actor, service.get_user(db, user_id))


@router.get("/{user_id}/identities", summary="Who a user is to OpenID providers")
def list_identities(user_id: str, db: SessionDep, page: PageDep, _admin: Admin) -> Page[Identity]:
    """Issuer and subject; e-mail addresses play no part."""
    query = service.query_identities(service.get_user(db, user_id))
    return page.read(db, query, by=[UserIdentity.issuer, UserIdentity.subject], show=Identity.model_validate)


@router.post(
    "/{user_id}/identities",
    response_model=Identity,
    status_code=status.HTTP_201_CREATED,
    summary="Let a user log in by single sign-on",
)
def link_identity(user_id: str, body: Identity, db: SessionDep, admin: Admin, _once: OnceDep) -> UserIdentity:
    """Links an account that exists to somebody at an OpenID provider."""
    return service.link(db, admin.actor, service.get_user(db, user_id), body)


@router.delete(
    "/{user_id}/identities", status_code=status.HTTP_204_NO_CONTENT, summary="Unlink a user from an OpenID provider"
)
def unlink_identity(
    user_id: str,
    issuer: Annotated[str, Query(min_length=1, max_length=500, description="URL of the provider.")],
    subject: Annotated[str, Query(min_length=1, max_length=255, description="Who the user is to it.")],
    db: SessionDep,
    admin: Admin,
) -> None:
    """The account stays."""
    identity = Identity(issuer=issuer, subject=subject)
    service.unlink(db, admin.actor, service.get_user(db, user_id), identity)
