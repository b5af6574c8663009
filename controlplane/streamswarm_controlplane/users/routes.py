from fastapi import APIRouter, status

from streamswarm_controlplane.deps import Admin, SessionDep
from streamswarm_controlplane.users import service
from streamswarm_controlplane.users.models import User
from streamswarm_controlplane.users.schemas import UserCreate, UserCreated, UserPublic, UserUpdate

router = APIRouter(prefix="/users", tags=["users"])


@router.get("", response_model=list[UserPublic], summary="All users")
def list_users(db: SessionDep, _admin: Admin) -> list[User]:
    """Ordered by name."""
    return list(service.list_users(db))


@router.post("", status_code=status.HTTP_201_CREATED, summary="Add a user")
def create_user(body: UserCreate, db: SessionDep, admin: Admin) -> UserCreated:
    """The generated password is in the answer, and nowhere else."""
    user, password = service.create_user(db, admin.actor, body.username, body.role)
    return UserCreated(**UserPublic.model_validate(user).model_dump(), password=password)


@router.get("/{user_id}", response_model=UserPublic, summary="One user")
def get_user(user_id: str, db: SessionDep, _admin: Admin) -> User:
    """By id."""
    return service.get_user(db, user_id)


@router.patch("/{user_id}", response_model=UserPublic, summary="Change a user's role, or deactivate")
def update_user(user_id: str, body: UserUpdate, db: SessionDep, admin: Admin) -> User:
    """The last active admin stays one."""
    return service.update_user(db, admin.actor, service.get_user(db, user_id), body)


@router.post("/{user_id}/reset-password", summary="Give a user a new generated password")
def reset_password(user_id: str, db: SessionDep, admin: Admin) -> UserCreated:
    """It has to be changed at the next login; the user's sessions end."""
    user = service.get_user(db, user_id)
    password = service.reset_password(db, admin.actor, user)
    return UserCreated(**UserPublic.model_validate(user).model_dump(), password=password)


@router.delete("/{user_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Remove a user")
def delete_user(user_id: str, db: SessionDep, admin: Admin) -> None:
    """Nobody can remove themself or the last active admin."""
    service.delete_user(db, admin.actor, service.get_user(db, user_id))
