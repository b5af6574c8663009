from typing import Annotated

from fastapi import APIRouter, Query, status

from streamswarm_controlplane.deps import Admin, SessionDep
from streamswarm_controlplane.etags import ChangingDep, ReadingDep
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.pages import Page, PageDep
from streamswarm_controlplane.users import service
from streamswarm_controlplane.users.models import Role, User
from streamswarm_controlplane.users.schemas import UserCreate, UserCreated, UserPublic, UserUpdate

router = APIRouter(prefix="/users", tags=["users"], route_class=ApiRoute)


@router.get("", summary="All users")
def list_users(
    db: SessionDep,
    page: PageDep,
    _admin: Admin,
    role: Annotated[Role | None, Query(description="Only users with this role.")] = None,
    active: Annotated[bool | None, Query(description="Only users who may log in, or who may not.")] = None,
    q: Annotated[str, Query(max_length=100, description="Part of the user name.")] = "",
) -> Page[UserPublic]:
    """Ordered by name."""
    query = service.query_users(role=role, active=active, part=q)
    return page.read(db, query, by=[User.username_key], show=UserPublic.model_validate)


@router.post("", status_code=status.HTTP_201_CREATED, summary="Add a user")
def create_user(body: UserCreate, db: SessionDep, admin: Admin, _once: OnceDep) -> UserCreated:
    """The generated password is in the answer, and nowhere else."""
    user, password = service.create_user(db, admin.actor, body.username, body.role)
    return UserCreated(**UserPublic.model_validate(user).model_dump(), password=password)


@router.get("/{user_id}", summary="One user")
def get_user(user_id: str, db: SessionDep, reading: ReadingDep, _admin: Admin) -> UserPublic:
    """By id."""
    return reading.show(UserPublic.model_validate(service.get_user(db, user_id)))


@router.patch("/{user_id}", summary="Change a user's role, or deactivate")
def update_user(user_id: str, body: UserUpdate, db: SessionDep, changing: ChangingDep, admin: Admin) -> UserPublic:
    """The last active admin stays one."""
    user = service.get_user(db, user_id, lock=True)
    changing.check(UserPublic.model_validate(user))
    return changing.show(UserPublic.model_validate(service.update_user(db, admin.actor, user, body)))


@router.post("/{user_id}/reset-password", summary="Give a user a new generated password")
def reset_password(user_id: str, db: SessionDep, admin: Admin, _once: OnceDep) -> UserCreated:
    """It has to be changed at the next login; the user's sessions end."""
    user = service.get_user(db, user_id)
    password = service.reset_password(db, admin.actor, user)
    return UserCreated(**UserPublic.model_validate(user).model_dump(), password=password)


@router.delete("/{user_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Remove a user")
def delete_user(user_id: str, db: SessionDep, changing: ChangingDep, admin: Admin) -> None:
    """Nobody can remove themself or the last active admin."""
    user = service.get_user(db, user_id, lock=True)
    changing.check(UserPublic.model_validate(user))
    service.delete_user(db, admin.actor, user)
